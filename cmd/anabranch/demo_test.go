package main

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// twoNodes returns a fleet that nobody serves: a cluster's first node, and a
// second one of which nothing ever comes to the first.
func twoNodes(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{}
	for _, name := range []string{"gateway", "camera"} {
		n := &demoNode{name: name, dir: filepath.Join(t.TempDir(), name)}
		do(t, n.dir, "init")
		do(t, n.dir, "namespace", "create", demoNamespace)
		f.nodes = append(f.nodes, n)
	}
	return f
}

func TestDemoFailsIfTheDigestsDiffer(t *testing.T) {
	f := twoNodes(t)
	var out bytes.Buffer
	if err := newStage(&out, outputTable).verdict(context.Background(), f); err != nil {
		t.Fatalf("two empty nodes: %v", err)
	}
	if !strings.Contains(out.String(), "Equal:") {
		t.Errorf("two empty nodes:\n%s", &out)
	}

	do(t, f.nodes[0].dir, "register", "set", "edge/x", "1")
	for _, format := range []outputFormat{outputTable, outputJSON} {
		out.Reset()
		err := newStage(&out, format).verdict(context.Background(), f)
		if exitCode(err) != exitError || !strings.Contains(err.Error(), "different states") {
			t.Errorf("%s: the verdict is %v, exit code %d", format, err, exitCode(err))
		}
		if strings.Contains(strings.ToLower(out.String()), "equal") {
			t.Errorf("%s: different nodes are called equal:\n%s", format, &out)
		}
	}
}

func TestDemoFailsIfAnOutcomeIsWrong(t *testing.T) {
	f := twoNodes(t)
	for _, n := range f.nodes {
		for _, args := range [][]string{
			{"register", "set", "edge/model/active", `"detector-v3"`},
			{"counter", "add", "edge/seen/person", "52"},
			{"set", "add", "edge/labels", `"person"`, `"forklift"`},
			{"map", "put", "edge/config", `{"camera":{"fps":30},"threshold":0.6}`},
		} {
			do(t, n.dir, args...)
		}
	}
	var out bytes.Buffer
	if err := newStage(&out, outputTable).explain(context.Background(), f); err != nil {
		t.Fatalf("all as it should be: %v", err)
	}
	for _, o := range outcomes() {
		if !strings.Contains(unwrapped(out.String()), unwrapped(o.Why)) {
			t.Errorf("%s is not explained:\n%s", o.Path, &out)
		}
	}

	do(t, f.nodes[1].dir, "counter", "add", "edge/seen/person")
	do(t, f.nodes[1].dir, "map", "del", "edge/config/threshold")
	err := newStage(&out, outputTable).explain(context.Background(), f)
	if exitCode(err) != exitError {
		t.Fatalf("exit code %d for wrong outcomes: %v", exitCode(err), err)
	}
	for _, want := range []string{`camera sees seen/person = "53", want "52"`, `camera sees config/threshold = "", want "0.6"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say that %s:\n%v", want, err)
		}
	}
}

// unwrapped returns text as one line.
func unwrapped(text string) string { return strings.Join(strings.Fields(text), " ") }

// The stage of a terminal draws over what it drew, and cuts lines that the
// terminal would wrap: its count of lines would be wrong.
func TestStageDrawsOverItsTable(t *testing.T) {
	var out bytes.Buffer
	s := newStage(&out, outputTable)
	s.width = 20
	s.draw([]string{strings.Repeat("wide", 10), "x"})
	if s.drawn != 3 {
		t.Errorf("%d lines drawn, want 3", s.drawn)
	}
	for line := range strings.Lines(out.String()) {
		if len(line) > s.width {
			t.Errorf("%q is wider than the terminal", line)
		}
	}
	s.print("text\n")
	if !strings.HasSuffix(out.String(), "\x1b[3A\x1b[Jtext\n") {
		t.Errorf("text is not put in the place of the table: %q", out.String())
	}
}

func TestCommandLinesOfTheDemoCanBePasted(t *testing.T) {
	got := quoted([]string{"register", "set", "edge/model/active", `"detector-v1"`})
	if want := `register set edge/model/active '"detector-v1"'`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
