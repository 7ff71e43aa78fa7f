package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets the test binary be the command as well: scripts and the demo
// run it as 'anabranch', in a process of its own.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"anabranch": main})
}

// patience bounds every wait, far beyond what a busy machine takes.
const patience = time.Minute

// scripts runs the scripts of a directory. Their commands, beside the usual
// ones of testscript:
//
//	ab [@DIR] ARG... [<FILE]       run a command line, in this process; it must exit with 0
//	code N [@DIR] ARG... [<FILE]   the same; it must exit with N
//	apart [@DIR] ARG...            ab, for what a daemon rightly answers otherwise
//	until REGEXP [@DIR] ARG...     repeat it until it exits with 0 and prints a match
//	serve DIR [FLAG]...            start a daemon, and put its address into $DIR
//	halt DIR                       end it (testscript's own stop ends the script)
//	restart DIR                    both, if it runs
//	same FILE...                   all files hold the same
//	keep VAR REGEXP                put the first group of the last match in stdout into $VAR
//
// DIR is below $WORK; @node is meant where none is named.
type scripts struct {
	dir    string
	daemon bool // serve 'node' from the beginning

	mu   sync.Mutex
	said map[string]*bytes.Buffer // by script: all that ab and code ran and heard
}

func (s *scripts) run(t *testing.T) {
	s.said = map[string]*bytes.Buffer{}
	s.checkNoStop(t)
	testscript.Run(t, testscript.Params{
		Dir:                 s.dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               s.setUp,
		Condition: func(cond string) (bool, error) {
			if cond != "daemon" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return s.daemon, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ab":      positive(s.ab),
			"code":    positive(s.code),
			"apart":   positive(s.apart),
			"until":   positive(until),
			"serve":   positive(serveCmd),
			"halt":    positive(haltCmd),
			"restart": positive(restartCmd),
			"same":    positive(same),
			"keep":    positive(keep),
		},
	})
}

// checkNoStop fails the test if a script says stop where it means halt: what
// came after it would never run.
func (s *scripts) checkNoStop(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scripts in %s (%v)", len(files), s.dir, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^(\[.*\] *)?stop\b`).Match(text) {
			t.Errorf("%s: stop ends the script, and lets it pass; halt ends a daemon", file)
		}
	}
}

// setUp makes $WORK/node a member of a cluster of its own, with the namespace
// edge, and serves it where the scripts run with a daemon.
func (s *scripts) setUp(env *testscript.Env) error {
	running := daemons{}
	env.Values[daemonsKey] = running
	env.Defer(running.stopAll)
	dir := filepath.Join(env.WorkDir, "node")
	for _, args := range [][]string{{"init"}, {"namespace", "create", "edge"}} {
		if r := runIn(dir, "", args...); r.code != exitOK {
			return fmt.Errorf("%v: %s", args, r.stderr)
		}
	}
	s.mu.Lock()
	s.said[filepath.Base(env.WorkDir)] = new(bytes.Buffer)
	s.mu.Unlock()
	env.Setenv("DEEP", strings.Repeat("[", 1000)+strings.Repeat("]", 1000))
	if !s.daemon {
		return nil
	}
	d, err := startDaemon(dir)
	running["node"] = d
	return err
}

// positive refuses '!', which says nothing about how a command failed.
func positive(cmd func(*testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) == 0 {
			ts.Fatalf("no '!' here (use 'code'), and at least one argument")
		}
		cmd(ts, args)
	}
}

func (s *scripts) ab(ts *testscript.TestScript, args []string) {
	s.code(ts, append([]string{"0"}, args...))
}

func (s *scripts) code(ts *testscript.TestScript, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	r := invoke(ts, args[1:])
	work := ts.Getenv("WORK")
	s.mu.Lock()
	said := s.said[filepath.Base(work)]
	s.mu.Unlock()
	text := fmt.Sprintf("$ %s\n%s%s[%d]\n", strings.Join(args[1:], " "), r.stdout, r.stderr, r.code)
	said.WriteString(strings.ReplaceAll(text, work, "$WORK"))
	if r.code != want {
		ts.Fatalf("exit code %d, want %d", r.code, want)
	}
}

func (s *scripts) apart(ts *testscript.TestScript, args []string) {
	if r := invoke(ts, args); r.code != exitOK {
		ts.Fatalf("exit code %d", r.code)
	}
}

// invoke runs a script's command line, and shows the script what it printed.
func invoke(ts *testscript.TestScript, args []string) result {
	stdin := ""
	dir, args := inDir(args)
	if last := len(args) - 1; last >= 0 && strings.HasPrefix(args[last], "<") {
		stdin, args = ts.ReadFile(args[last][1:]), args[:last]
	}
	r := runIn(ts.MkAbs(dir), stdin, args...)
	fmt.Fprint(ts.Stdout(), r.stdout)
	fmt.Fprint(ts.Stderr(), r.stderr)
	return r
}

// inDir takes the directory that a command line is meant for off it.
func inDir(args []string) (dir string, rest []string) {
	if name, ok := strings.CutPrefix(args[0], "@"); ok {
		return name, args[1:]
	}
	return "node", args
}

func until(ts *testscript.TestScript, args []string) {
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	dir, args := inDir(args[1:])
	tick, end := time.NewTicker(5*time.Millisecond), time.After(patience)
	defer tick.Stop()
	for {
		r := runIn(ts.MkAbs(dir), "", args...)
		if r.code == exitOK && want.MatchString(r.stdout) {
			fmt.Fprint(ts.Stdout(), r.stdout)
			return
		}
		select {
		case <-tick.C:
		case <-end:
			ts.Fatalf("never came; at last: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
}

func keep(ts *testscript.TestScript, args []string) {
	all := regexp.MustCompile("(?m)"+args[1]).FindAllStringSubmatch(ts.ReadFile("stdout"), -1)
	if len(all) == 0 {
		ts.Fatalf("no match for %s", args[1])
	}
	ts.Setenv(args[0], all[len(all)-1][1])
}

func same(ts *testscript.TestScript, args []string) {
	first := ts.ReadFile(args[0])
	if i := slices.IndexFunc(args, func(f string) bool { return ts.ReadFile(f) != first }); i >= 0 {
		ts.Fatalf("%s holds %q, %s holds %q", args[0], first, args[i], ts.ReadFile(args[i]))
	}
}

// Every script prints the same, whether a daemon serves the directory or none.
func TestVerbsDoTheSameWithAndWithoutADaemon(t *testing.T) {
	direct := &scripts{dir: filepath.Join("testdata", "script")}
	served := &scripts{dir: direct.dir, daemon: true}
	t.Run("direct", direct.run)
	t.Run("daemon", served.run)
	for name, said := range direct.said {
		want, got := settled(said.String()), settled(served.said[name].String())
		if !t.Failed() && want != got {
			t.Errorf("%s: without a daemon:\n%s\nwith one:\n%s", name, want, got)
		}
	}
}

// varying is what no two runs have in common: ids and digests, cursors, times,
// in milliseconds as well.
var varying = regexp.MustCompile(`\b(?:[0-9a-f]{32}|[0-9a-f]{64}|[0-9a-f]{8})\b|[-_A-Za-z0-9]{31,}|\d{4}-\d\d-\d\dT[0-9:.]+Z|\b1[78]\d{11}\b`)

// settled returns what was said with a name for all that varies.
func settled(said string) string { return varying.ReplaceAllString(said, "#") }

// What takes several nodes.
func TestFleets(t *testing.T) {
	(&scripts{dir: filepath.Join("testdata", "fleet")}).run(t)
}

// A normalization that took values out would compare nothing.
func TestSettledKeepsValues(t *testing.T) {
	const said = "18446744073709551615 -9223372036854775808 edge/a%2Fb\n"
	if got := settled(said); got != said {
		t.Errorf("%q became %q", said, got)
	}
}
