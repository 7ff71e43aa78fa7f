package main

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestTheChangesApplyToTheRuntime(t *testing.T) {
	const release = "go1.26" // that they were made for
	if version := runtime.Version(); !strings.HasPrefix(version, release) {
		t.Skipf("they are for %s, and this is %s", release, version)
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := write(dir, filepath.Join(strings.TrimSpace(string(root)), "src")); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d changed files: %v", len(files), err)
	}
	for _, f := range files {
		if _, err := parser.ParseFile(token.NewFileSet(), f, nil, 0); err != nil {
			t.Error(err)
		}
	}
}

func TestAnotherRuntimeIsRefused(t *testing.T) {
	dir := t.TempDir()
	for _, c := range changes {
		file := filepath.Join(dir, filepath.FromSlash(c.file))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("package runtime\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := write(dir, dir); err == nil || !strings.Contains(err.Error(), "another runtime") {
		t.Errorf("another runtime gives %v", err)
	}
}
