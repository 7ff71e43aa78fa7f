package protocol

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

var rewrite = flag.Bool("rewrite", false, "write what happens into testdata")

// A transcript is a text of commands, each with what then happens below it,
// between a line of dashes and an empty line. A command takes nodes, and the
// names of namespaces and keys; see script.run.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, want)
			if *rewrite {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !bytes.Equal(got, want) {
				t.Errorf("%s does not happen any more (see the difference with -rewrite):\n%s", file, got)
			}
		})
	}
}

// replay runs the commands of a transcript and returns it with what happens.
func replay(t *testing.T, text []byte) []byte {
	sc := &script{t: t, world: newSimWorld(1, 0), held: map[string]bool{}}
	var out bytes.Buffer
	output := false // in what happened when it was written
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		switch {
		case output:
			output = line != ""
		case line == "----":
			output = true
		case line == "" && bytes.HasSuffix(out.Bytes(), []byte("\n\n")):
		case line == "" || strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		default:
			fmt.Fprintf(&out, "%s\n----\n%s\n", line, sc.do(strings.Fields(line)))
		}
	}
	return out.Bytes()
}

// script carries out commands in a world in which nothing is drawn: of what
// can happen the first thing happens.
type script struct {
	t     *testing.T
	world *simWorld
	out   strings.Builder
	held  map[string]bool
}

func (sc *script) do(args []string) (out string) {
	sc.out.Reset()
	sc.world.trace = func(s string) { sc.out.WriteString(s + "\n") }
	defer func() {
		if f, ok := recover().(simFailure); ok {
			sc.t.Errorf("%s: %s", strings.Join(args, " "), string(f))
		}
	}()
	sc.run(args[0], args[1:])
	return sc.out.String()
}

// run carries out a command.
func (sc *script) run(verb string, args []string) {
	w := sc.world
	switch verb {
	case "nodes": // count, namespaces...
		w.names = args[1:]
		w.addNodes(sc.number(args[0]))
	case "write": // node namespace keys...
		sp := sc.node(args[0]).spaces[args[1]]
		sp.write(sc.keys(args[2:]), false, []byte("v"))
		sp.sync()
		sp.dirty = false
		sp.node.step(Durable{sp.name, sp.durable()})
	case "restart", "restore": // node; it comes back as it was, or as it was one write before
		sc.node(args[0]).restart(verb == "restore")
	case "copy": // node; the copy is one more
		w.copyNode(sc.node(args[0]))
	case "open", "drop": // node namespace
		if n := sc.node(args[0]); verb == "open" {
			n.open(args[1])
		} else {
			n.drop(args[1])
		}
	case "connect": // dialer acceptor
		w.connect(sc.node(args[0]), sc.node(args[1]))
	case "cut": // node node
		for _, l := range w.links {
			if l.nodes == [2]*simNode{sc.node(args[0]), sc.node(args[1])} {
				l.cut()
			}
		}
	case "settle": // until nothing can happen without time passing
		sc.settle()
	case "wait": // milliseconds
		w.now += int64(sc.number(args[0]))
		w.fireDue()
	case "hold", "release": // node job...: its jobs of a kind wait ("send>n2": to a node)
		for _, kind := range args[1:] {
			sc.held[args[0]+" "+kind] = verb == "hold"
		}
	case "fail": // node job: the next one of the kind fails
		sc.node(args[0]).failing = map[string]int{args[1]: 1}
	case "cluster": // node number
		sc.node(args[0]).m.cluster[0] = byte(sc.number(args[1]))
	case "features": // node numbers...: what it lists in its Hellos
		for _, f := range args[1:] {
			n := sc.node(args[0])
			n.m.features = append(n.m.features, Feature(sc.number(f)))
		}
	case "meter", "used", "priority":
		sc.classify(verb, args)
	case "agreed": // node: the features of its links
		for _, l := range sc.node(args[0]).m.Links() {
			fmt.Fprintf(&sc.out, "link %d: %d\n", l.Link, l.Features)
		}
	case "readonly": // node: others know that it may not write
		w.readonly = sc.node(args[0])
	case "revoke": // node at: the statement is made at a node
		sc.node(args[1]).step(Revoked{Revocation{sc.node(args[0]).id, []byte("out: " + args[0])}})
	case "hello": // to from min max: a Hello of other versions, in place of the real one
		sc.hello(sc.node(args[0]), sc.node(args[1]), sc.number(args[2]), sc.number(args[3]))
	default:
		sc.t.Fatalf("unknown command %q", verb)
	}
}

func (sc *script) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		sc.t.Fatal(err)
	}
	return n
}

// classify runs the commands that say what may flow.
func (sc *script) classify(verb string, args []string) {
	n := sc.node(args[0])
	switch verb {
	case "meter": // node least bytes: its links cost, and have a budget
		n.class = Class{Metered: true, Least: sc.priority(args[1]), BytesPerDay: uint64(sc.number(args[2]))}
	case "used": // node bytes: of the budget of each of its links
		n.class.Used = uint64(sc.number(args[1]))
		for _, l := range n.m.Links() {
			n.step(Metered{l.Link, n.class})
		}
	case "priority": // node namespace priority
		n.step(Prioritized{args[1], sc.priority(args[2])})
	}
}

func (sc *script) priority(name string) Priority {
	for p, n := range priorityNames {
		if n == name {
			return p
		}
	}
	sc.t.Fatalf("no priority %q", name)
	return 0
}

func (sc *script) node(name string) *simNode {
	return sc.world.nodes[sc.number(strings.TrimPrefix(name, "n"))-1]
}

func (sc *script) keys(names []string) (keys []crdt.Key) {
	for _, name := range names {
		k, err := crdt.MakeKey(crdt.Path{name}, crdt.TypeRegister, "")
		if err != nil {
			sc.t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// jobs names the moves that a script can hold back.
var jobs = map[moveKind]string{moveBuild: "build", moveQueue: "apply", moveTransmit: "send", moveUp: "up"}

func (sc *script) settle() {
	held := func(mv move) bool {
		switch mv.kind {
		case moveTransmit, moveUp:
			job := mv.l.nodes[mv.i].name() + " " + jobs[mv.kind]
			return sc.held[job] || sc.held[job+">"+mv.l.nodes[1-mv.i].name()]
		case moveBuild, moveQueue:
			return sc.held[mv.n.name()+" "+jobs[mv.kind]]
		}
		return false
	}
	for {
		ms := slices.DeleteFunc(sc.world.moves(nil), held)
		if len(ms) == 0 {
			return
		}
		sc.world.do(ms[0])
	}
}

// hello has one end of the link say a Hello of given versions.
func (sc *script) hello(to, from *simNode, min, max int) {
	for _, l := range sc.world.links {
		for end := range l.nodes {
			if l.nodes[end] == from && l.nodes[1-end] == to {
				h := hello{min: uint64(min), max: uint64(max), cluster: from.m.cluster}
				l.out[end] = [Lanes][]simFrame{}
				l.queue(end, simFrame{frame: h.encode()})
			}
		}
	}
}
