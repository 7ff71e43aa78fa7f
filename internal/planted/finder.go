package planted

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// timeLimit is what a test may take that finds a mistake: several times the
// slowest, on a busy machine.
const timeLimit = 3 * time.Minute

// buildGC is the GOGC of builds, which are most of the time that it takes: a
// third less of it than with 100, for memory that is there while nothing else
// runs.
const buildGC = "400"

// Finder builds mistakes in and runs the tests that are to find them. Safe for
// concurrent use.
type Finder struct {
	root string // of the module
	dir  string // for what it builds

	mu   sync.Mutex
	once map[string]func() error // what is done once for all mistakes
}

// NewFinder returns a finder for the module at root, with a folder to build in.
func NewFinder(root, dir string) *Finder {
	return &Finder{root: root, dir: dir, once: map[string]func() error{}}
}

// Find returns nil if the test of m passes without the mistake and fails with
// it.
func (f *Finder) Find(ctx context.Context, m *Mistake) error {
	if err := f.first(m.Test.String(), func() error { return f.pass(ctx, m.Test) }); err != nil {
		return fmt.Errorf("without the mistake: %w", err)
	}
	overlay, err := f.overlay(m)
	if err != nil {
		return err
	}
	binary := filepath.Join(f.dir, m.Name+".test")
	defer os.Remove(binary)
	if err := f.build(ctx, m.Test.Package, binary, "-overlay", overlay); err != nil {
		return fmt.Errorf("with the mistake: %w", err)
	}
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	return judge(f.run(ctx, m.Test, binary, enough))
}

// first does what a key stands for at the first call, and returns what came of
// it at each.
func (f *Finder) first(key string, do func() error) error {
	f.mu.Lock()
	if f.once[key] == nil {
		f.once[key] = sync.OnceValue(do)
	}
	do = f.once[key]
	f.mu.Unlock()
	return do()
}

// pass returns nil if a command passes without a mistake.
func (f *Finder) pass(ctx context.Context, c Command) error {
	binary := filepath.Join(f.dir, "whole-"+strings.NewReplacer("/", "-", ".", "").Replace(c.Package)+".test")
	if err := f.first(binary, func() error { return f.build(ctx, c.Package, binary) }); err != nil {
		return err
	}
	out, err := f.run(ctx, c, binary, func() {})
	if err != nil || strings.Contains(out, "no tests to run") {
		return fmt.Errorf("the test does not pass (%w):\n%s", err, out)
	}
	return nil
}

// build builds a test binary.
func (f *Finder) build(ctx context.Context, pkg, binary string, more ...string) error {
	args := append([]string{"test", "-c", "-ldflags=-s -w", "-o", binary}, more...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = f.root
	cmd.Env = append(os.Environ(), "GOGC="+buildGC)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not build (%w):\n%s", pkg, err, out)
	}
	return nil
}

// run runs a test binary where go test would, and returns what it prints. It
// calls failed as soon as a test has.
func (f *Finder) run(ctx context.Context, c Command, binary string, failed func()) (string, error) {
	out := &output{failed: failed}
	cmd := exec.CommandContext(ctx, binary, c.args()...)
	cmd.Dir = filepath.Join(f.root, c.Package)
	cmd.Stdout, cmd.Stderr = out, out
	err := cmd.Run()
	return out.text.String(), err
}

// output is what a test binary prints with -test.v.
type output struct {
	text   strings.Builder
	failed func() // called once a test has
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.text.Write(p)
	if bytes.Contains(p, []byte(failLine)) {
		o.failed()
	}
	return len(p), nil
}

// failLine begins the line, indented for a subtest, that says that a test has
// failed.
const failLine = "--- FAIL: "

// overlay writes the files that m changes, and the one that names them for go
// test, which it returns.
func (f *Finder) overlay(m *Mistake) (string, error) {
	changed, err := m.Apply(os.DirFS(f.root))
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range changed {
		to := filepath.Join(f.dir, fmt.Sprintf("%s-%d.go", m.Name, len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(f.root, name)] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(f.dir, m.Name+".json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// judge returns nil if tests ran and failed of themselves.
func judge(out string, err error) error {
	failed := strings.Contains(out, failLine) || strings.Contains(out, "panic: ")
	switch {
	case err == nil:
		return errors.New("the test passes with the mistake")
	case strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("the test runs out of time with the mistake:\n%s", out)
	case !failed:
		return fmt.Errorf("the test did not run (%w):\n%s", err, out)
	}
	return nil
}
