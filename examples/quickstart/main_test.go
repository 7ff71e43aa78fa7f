package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestEachRunCountsOneMore(t *testing.T) {
	t.Chdir(t.TempDir())
	for run := range 3 {
		if got, want := output(t, main), fmt.Sprintf("cats seen: %d\n", run+1); got != want {
			t.Fatalf("run %d prints %q, want %q", run+1, got, want)
		}
	}
}

// output returns what f prints.
func output(t *testing.T, f func()) string {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = file
	f()
	os.Stdout = stdout
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
