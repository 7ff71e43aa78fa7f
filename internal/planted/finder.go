package planted

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// timeLimit is what a test may take that finds a mistake: several times the
// slowest, on a busy machine.
const timeLimit = 3 * time.Minute

// Finder builds mistakes in and runs the tests that are to find them. Not safe
// for concurrent use.
type Finder struct {
	root string // of the module
	dir  string // for what it builds

	whole  map[string]string // test binaries without a mistake, by package
	passed map[string]bool   // commands that pass with these
}

// NewFinder returns a finder for the module at root, with a folder to build in.
func NewFinder(root, dir string) *Finder {
	return &Finder{root, dir, map[string]string{}, map[string]bool{}}
}

// Find returns nil if the test of m passes without the mistake and fails with
// it.
func (f *Finder) Find(ctx context.Context, m *Mistake) error {
	if err := f.pass(ctx, m.Test); err != nil {
		return fmt.Errorf("without the mistake: %w", err)
	}
	overlay, err := f.overlay(m)
	if err != nil {
		return err
	}
	binary := filepath.Join(f.dir, "mistaken.test")
	defer os.Remove(binary)
	if err := f.build(ctx, m.Test.Package, binary, "-overlay", overlay); err != nil {
		return fmt.Errorf("with the mistake: %w", err)
	}
	return judge(f.run(ctx, m.Test, binary))
}

// pass returns nil if a command passes without a mistake.
func (f *Finder) pass(ctx context.Context, c Command) error {
	if f.passed[c.String()] {
		return nil
	}
	binary := f.whole[c.Package]
	if binary == "" {
		binary = filepath.Join(f.dir, fmt.Sprintf("%d.test", len(f.whole)))
		if err := f.build(ctx, c.Package, binary); err != nil {
			return err
		}
		f.whole[c.Package] = binary
	}
	out, err := f.run(ctx, c, binary)
	if err != nil || strings.Contains(out, "no tests to run") {
		return fmt.Errorf("the test does not pass (%w):\n%s", err, out)
	}
	f.passed[c.String()] = true
	return nil
}

// build builds a test binary.
func (f *Finder) build(ctx context.Context, pkg, binary string, more ...string) error {
	args := append([]string{"test", "-c", "-ldflags=-s -w", "-o", binary}, more...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = f.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s does not build (%w):\n%s", pkg, err, out)
	}
	return nil
}

// run runs a test binary where go test would, and returns what it prints.
func (f *Finder) run(ctx context.Context, c Command, binary string) (string, error) {
	cmd := exec.CommandContext(ctx, binary, c.args()...)
	cmd.Dir = filepath.Join(f.root, c.Package)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

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
	failed := strings.Contains(out, "--- FAIL: ") || strings.Contains(out, "panic: ")
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
