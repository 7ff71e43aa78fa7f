package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"strconv"
	"testing"
)

// newNode makes a node with the namespace edge, and returns its directory.
func newNode(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	do(t, dir, "init")
	do(t, dir, "namespace", "create", "edge")
	return dir
}

// do runs a command line that must succeed, and returns what it printed.
func do(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := runIn(dir, "", args...)
	if r.code != exitOK {
		t.Fatalf("%q: exit code %d: %s", args, r.code, r.stderr)
	}
	return r.stdout
}

// watched reads the lines of a watch.
type watched struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (w watched) next() watchRow {
	w.t.Helper()
	if !w.lines.Scan() {
		w.t.Fatalf("the watch ended: %v", w.lines.Err())
	}
	var row watchRow
	if err := json.Unmarshal(w.lines.Bytes(), &row); err != nil {
		w.t.Fatalf("%s: %v", w.lines.Bytes(), err)
	}
	return row
}

func (w watched) want(event, path string) watchRow {
	w.t.Helper()
	row := w.next()
	if row.Event != event || row.Path != path {
		w.t.Fatalf("the watch says %+v, want %s of %q", row, event, path)
	}
	return row
}

func TestWatchFollowsWritesThroughTheDaemon(t *testing.T) {
	dir := newNode(t)
	d, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	do(t, dir, "register", "set", "edge/a", "1")

	ctx, interrupt := context.WithCancel(context.Background())
	defer interrupt()
	r, stdout := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"watch", "edge", "-o", "json", "--dir", dir}, nil, stdout, io.Discard)
		stdout.Close()
	}()
	w := watched{t, bufio.NewScanner(r)}
	w.want("change", "a")
	w.want("synced", "")

	// Both elements at once, or none: they are one transaction.
	do(t, dir, "set", "add", "edge/s", "1", "2")
	if row := w.want("change", "s"); string(row.Value) == "" {
		t.Error("a change without a value")
	}
	w.want("synced", "")
	do(t, dir, "register", "del", "edge/a")
	w.want("removal", "a")
	cursor := w.want("synced", "").Cursor
	interrupt()
	go func() { _, _ = io.Copy(io.Discard, r) }() // it may be in the middle of a line
	if c := <-code; c != exitOK {
		t.Errorf("an interrupted watch ends with %d", c)
	}

	do(t, dir, "register", "set", "edge/b", strconv.Itoa(2))
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	got := do(t, dir, "watch", "edge", "--once", "-o", "raw", "--cursor", cursor)
	if got != "2\n" {
		t.Errorf("behind the cursor is %q, want only the write behind it", got)
	}
}

// A watch that a daemon answers ends with the daemon, and says so.
func TestWatchEndsWithItsDaemon(t *testing.T) {
	dir := newNode(t)
	d, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	r, stdout := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(context.Background(), []string{"watch", "edge", "-o", "json", "--dir", dir}, nil, stdout, io.Discard)
		stdout.Close()
	}()
	watched{t, bufio.NewScanner(r)}.want("synced", "")
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if c := <-code; c != exitError {
		t.Errorf("exit code %d, want %d", c, exitError)
	}
}
