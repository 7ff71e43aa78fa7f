package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/replica"
)

// nowhere is an address that nobody answers at: the port is for discarding.
const nowhere = "127.0.0.1:9"

// launch runs the program to its end, and returns its summary.
func launch(t *testing.T, args ...string) summary {
	t.Helper()
	var out, log bytes.Buffer
	if err := start(t.Context(), append(args, "-o", "json"), strings.NewReader(""), &out, &log); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, &log)
	}
	var s summary
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v: %v in %q", args, err, &out)
	}
	return s
}

func sum(counts map[string]int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

func TestItWorksOfflineAndRemembersAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := replica.Init(dir); err != nil { // only members have peers
		t.Fatal(err)
	}
	first := launch(t, "-dir", dir, "-peer", nowhere, "-n", "24")
	if first.Active != "" || first.Serving != "v1" || first.Run.Readings != 24 || sum(first.Outcomes) != 24 {
		t.Fatalf("the first run ends with %+v", first)
	}
	second := launch(t, "-dir", dir, "-peer", nowhere, "-n", "12")
	if second.Node != first.Node {
		t.Errorf("the node was %s and is %s", first.Node, second.Node)
	}
	if got := sum(second.Outcomes); got != 36 || second.Served["v1"] != 36 {
		t.Errorf("%d outcomes, %d of v1, want 36", got, second.Served["v1"])
	}
	if len(second.Machines) != 6 {
		t.Fatalf("%d machines, want 6", len(second.Machines))
	}
	for i, m := range second.Machines {
		before := first.Machines[i]
		// The second run saw windows that the first had seen, so no peak rose.
		if m.Count != 6 || m.Peak != before.Peak || m.Seen.Before(before.Seen) || m.Score <= 0.25 {
			t.Errorf("after two runs %+v, after the first %+v", m, before)
		}
	}
}

func TestAPromotionOutlivesTheRunAndTheBetterModelIsRightMoreOften(t *testing.T) {
	dir := t.TempDir()
	old := launch(t, "-dir", dir, "-n", "300")
	launch(t, "-dir", dir, "-n", "6", "-promote", "v2")
	s := launch(t, "-dir", dir, "-n", "300")
	if s.Active != "v2" || s.Serving != "v2" || s.Served["v1"] != 300 || s.Served["v2"] != 306 {
		t.Errorf("after the promotion %+v", s)
	}
	if s.Run.Judged != 300 || s.Run.Right <= old.Run.Right {
		t.Errorf("v2 is right on %d of %d, v1 was on %d", s.Run.Right, s.Run.Judged, old.Run.Right)
	}
}

func TestAVersionThatTheBinaryLacksIsNotPromoted(t *testing.T) {
	dir := t.TempDir()
	err := start(t.Context(), []string{"-dir", dir, "-promote", "v9"}, nil, io.Discard, io.Discard)
	if !errors.Is(err, model.ErrUnknownVersion) || !strings.Contains(err.Error(), "v9") {
		t.Errorf("got %v", err)
	}
	if s := launch(t, "-dir", dir, "-n", "1"); s.Active != "" {
		t.Errorf("%q is active", s.Active)
	}
}

func TestReadingsComeFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "readings")
	if err := os.WriteFile(file, []byte(record(t, take(t, "south", 6)...)), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := launch(t, "-dir", dir, "-input", file, "-n", "0")
	if s.Run.Readings != 6 || s.Run.Judged != 0 || s.Machines[0].Machine != "south-pump-1" {
		t.Errorf("got %+v", s)
	}
	// What came before a bad line stays.
	in := strings.NewReader(record(t, take(t, "south", 1)...) + "bad\n")
	err := start(t.Context(), []string{"-dir", dir, "-input", "-"}, in, io.Discard, io.Discard)
	if !errors.Is(err, errInput) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("got %v", err)
	}
	if s := launch(t, "-dir", dir, "-n", "1"); sum(s.Outcomes) != 8 {
		t.Errorf("%d outcomes, want 8", sum(s.Outcomes))
	}
}

func TestAnInterruptEndsTheReadingsAndTheSummaryStillComes(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	out := &interrupter{after: 5, interrupt: interrupt}
	if err := start(ctx, []string{"-dir", t.TempDir(), "-n", "0"}, nil, out, io.Discard); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "5 readings") || !strings.Contains(out.String(), "digest") {
		t.Errorf("the output is\n%s", out)
	}
}

// interrupter interrupts after some writes.
type interrupter struct {
	bytes.Buffer
	after     int
	interrupt func()
}

func (i *interrupter) Write(b []byte) (int, error) {
	if i.after--; i.after == 0 {
		i.interrupt()
	}
	return i.Buffer.Write(b)
}

func TestACommandLineThatMakesNoSenseIsRefusedBeforeAnythingIsMade(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "device")
	for _, args := range [][]string{
		{},
		{"-dir", dir, "-n", "-1"},
		{"-dir", dir, "-o", "xml"},
		{"-dir", dir, "-every", "soon"},
		{"-dir", dir, "-nonsense"},
		{"-dir", dir, "argument"},
	} {
		if err := start(t.Context(), args, nil, io.Discard, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want errUsage", args, err)
		}
	}
	err := start(t.Context(), []string{"-dir", dir, "-input", dir + "/none"}, nil, io.Discard, io.Discard)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an input that is not there: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made (%v)", err)
	}
}

func TestADirectoryInUseIsNamed(t *testing.T) {
	dir := t.TempDir()
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = start(t.Context(), []string{"-dir", dir}, nil, io.Discard, io.Discard)
	if !errors.Is(err, replica.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Errorf("got %v", err)
	}
}

func TestADeviceOfNoClusterHasNoPeersAndIsToldHowToGetThem(t *testing.T) {
	err := start(t.Context(), []string{"-dir", t.TempDir(), "-peer", nowhere}, nil, io.Discard, io.Discard)
	if !errors.Is(err, replica.ErrNoCluster) {
		t.Errorf("got %v, want ErrNoCluster", err)
	}
}
