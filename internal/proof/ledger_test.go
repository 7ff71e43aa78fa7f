package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// A run that finds something must be entered: of what fuzzing writes down the
// tree counts as changed before a run, and not after it.
func TestWhatFuzzingFoundIsNoChangeAfterARun(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q"},
		{"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "--allow-empty", "-m", "a"},
	} {
		if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write := func(name string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	commit, err := commitOf(dir)
	if err != nil || len(commit) != 40 {
		t.Fatalf("commit %q, %v", commit, err)
	}
	write(ledgerFile)
	write(tableFile)
	write("store/testdata/fuzz/FuzzRecord/1f")
	if _, err := commitOf(dir); err == nil {
		t.Error("a tree with an input that is not committed counts as unchanged before a run")
	}
	if now, err := commitOf(dir, foundInputs); err != nil || now != commit {
		t.Errorf("after a run: commit %q, %v", now, err)
	}
	write("store/testdata/other")
	if _, err := commitOf(dir, foundInputs); err == nil {
		t.Error("a tree with another file counts as unchanged")
	}
}
