package planted

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"
)

var plant = flag.Bool("planted", false, "build and run each mistake, and fail for each that is not found")

func TestEachMistakeApplies(t *testing.T) {
	tree := os.DirFS(root(t))
	for _, m := range mistakes(t) {
		if _, err := m.Apply(tree); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
		if err := m.Test.Exists(tree); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
}

func TestEachRuleIsBrokenByAMistake(t *testing.T) {
	broken := map[string]int{}
	for _, r := range Rules() {
		if _, twice := broken[r.Name]; twice {
			t.Errorf("%s is there twice", r.Name)
		}
		broken[r.Name] = 0
	}
	for _, m := range mistakes(t) {
		for _, name := range m.Breaks {
			if _, ok := broken[name]; !ok {
				t.Errorf("%s breaks %s, which is no rule", m.Name, name)
			}
			broken[name]++
		}
	}
	for name, n := range broken {
		if n == 0 {
			t.Errorf("no mistake breaks %s", name)
		}
	}
}

func TestEachMistakeIsFound(t *testing.T) {
	if !*plant {
		t.Skip("-planted builds and runs each mistake, which takes minutes")
	}
	var planted, found atomic.Int64
	t.Cleanup(func() { // after the last of them
		t.Attr("mistakes-planted", strconv.FormatInt(planted.Load(), 10))
		t.Attr("mistakes-found", strconv.FormatInt(found.Load(), 10))
	})
	finder := NewFinder(root(t), t.TempDir())
	for _, m := range mistakes(t) {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			planted.Add(1)
			start := time.Now()
			by := m.Test.String()
			if err := finder.Find(t.Context(), m); err != nil {
				t.Error(err)
				by = "NOT FOUND by " + by
			} else {
				found.Add(1)
			}
			fmt.Printf("%-34s %6.1f s  %s\n    %s\n", m.Name, time.Since(start).Seconds(), by, m.Rule)
		})
	}
}

func TestAMistakeIsRead(t *testing.T) {
	m, err := Read("testdata/sum.txtar", []byte(sum))
	if err != nil {
		t.Fatal(err)
	}
	want := "sum|a sum adds|sums-add,numbers-stay|in a school|./a TestSum|TestAll -short"
	if got := strings.Join([]string{m.Name, m.Rule, strings.Join(m.Breaks, ","), m.Seen, m.Test.String()}, "|"); got != want {
		t.Errorf("read %q, want %q", got, want)
	}
	changed, err := m.Apply(tree("	return a + b\n"))
	if err != nil || !strings.Contains(changed["a/a.go"], "a - b") {
		t.Errorf("applied as %q: %v", changed["a/a.go"], err)
	}
}

func TestAMistakeThatDoesNotApplyIsAnError(t *testing.T) {
	m, err := Read("sum.txtar", []byte(sum))
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		"	return b + a\n":                "occurs 0 times",
		"	return a + b\n	return a + b\n": "occurs 2 times",
		"	return a + b\n}\n":             "expected declaration",
	} {
		if _, err := m.Apply(tree(body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("applied to %q: %v, want %q", body, err, want)
		}
	}
	if _, err := m.Apply(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("applied to no file: %v", err)
	}
	if err := m.Test.Exists(tree("")); err == nil {
		t.Error("a test that is not there is no error")
	}
}

func TestAnArchiveThatIsNoMistakeIsAnError(t *testing.T) {
	for _, change := range [][2]string{
		{"rule: a sum", "a sum"},
		{"seen: in a", ""},
		{"breaks: sums-add numbers-stay\n", ""},
		{"-run", "-bench"},
		{"-- old a/a.go --", "-- a/a.go --"},
		{"-- new --\n", ""},
		{"	return a + b\n", ""},
	} {
		text := strings.Replace(sum, change[0], change[1], 1)
		if m, err := Read("sum.txtar", []byte(text)); err == nil {
			t.Errorf("%q in place of %q is read as %v", change[1], change[0], m)
		}
	}
}

func TestOnlyATestThatRanAndFailedFindsAMistake(t *testing.T) {
	exit := errors.New("exit status 1")
	for _, tc := range []struct {
		out  string
		err  error
		want string
	}{
		{"--- FAIL: TestSum", exit, ""},
		{"panic: a dot twice", exit, ""},
		{"ok", nil, "passes with the mistake"},
		{"panic: test timed out after 3m0s", exit, "runs out of time"},
		{"flag provided but not defined", exit, "did not run"},
	} {
		err := judge(tc.out, tc.err)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: %v, want %q", tc.out, err, tc.want)
		}
	}
}

const sum = `rule: a sum
  adds
breaks: sums-add numbers-stay
seen: in a school
test: ./a -run TestSum|TestAll -short
-- old a/a.go --
	return a + b
-- new --
	return a - b
`

func tree(body string) fstest.MapFS {
	return fstest.MapFS{"a/a.go": {Data: []byte("package a\n\nfunc sum(a, b int) int {\n" + body + "}\n")}}
}

func mistakes(t *testing.T) (all []*Mistake) {
	t.Helper()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no archives in testdata (%v)", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Read(name, data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, m)
	}
	return all
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
