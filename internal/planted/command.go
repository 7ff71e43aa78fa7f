package planted

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// timeLimit is what a test may take that finds a mistake: several times the
// slowest, on a busy machine.
const timeLimit = 3 * time.Minute

// Command is a run of tests.
type Command struct {
	Package string   // as go test takes it: ./store
	Tests   []string // names of test functions
	Flags   []string // further ones: -short
}

func (c Command) String() string {
	return strings.Join(append([]string{c.Package, strings.Join(c.Tests, "|")}, c.Flags...), " ")
}

func readCommand(text string) (Command, error) {
	words := strings.Fields(text)
	if len(words) < 3 || !strings.HasPrefix(words[0], "./") || words[1] != "-run" {
		return Command{}, fmt.Errorf("%q is no test: want ./package -run TestName", text)
	}
	return Command{words[0], strings.Split(words[2], "|"), words[3:]}, nil
}

// Exists returns an error if the package has no test of one of the names.
func (c Command) Exists(tree fs.FS) error {
	files, err := fs.Glob(tree, strings.TrimPrefix(c.Package, "./")+"/*_test.go")
	if err != nil {
		return err
	}
	var all strings.Builder
	for _, name := range files {
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		all.Write(data)
	}
	for _, test := range c.Tests {
		if !strings.Contains(all.String(), "\nfunc "+test+"(") {
			return fmt.Errorf("%s has no %s", c.Package, test)
		}
	}
	return nil
}

// run runs the tests in the module at root, with more flags of go test, and
// returns what they print. An error is that they fail, or do not run.
func (c Command) run(ctx context.Context, root string, more ...string) (string, error) {
	args := []string{"test", "-vet=off", "-timeout", timeLimit.String(), "-run", "^(" + strings.Join(c.Tests, "|") + ")$"}
	args = append(append(args, more...), c.Package)
	args = append(args, c.Flags...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Find returns nil if the test of m fails with the mistake in the module at
// root, and passes without it.
func (m *Mistake) Find(ctx context.Context, root string) error {
	if out, err := m.Test.run(ctx, root); err != nil || strings.Contains(out, "no tests to run") {
		return fmt.Errorf("the test does not pass without the mistake (%w):\n%s", err, out)
	}
	dir, err := os.MkdirTemp("", "planted")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := m.overlay(root, dir)
	if err != nil {
		return err
	}
	out, err := m.Test.run(ctx, root, "-count=1", "-failfast", "-overlay", overlay)
	return judge(out, err)
}

// overlay writes the changed files into dir, and the file that names them for
// go test, which it returns.
func (m *Mistake) overlay(root, dir string) (string, error) {
	changed, err := m.Apply(os.DirFS(root))
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for name, text := range changed {
		to := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = to
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, data, 0o600)
}

// judge returns nil if the tests ran and failed of themselves.
func judge(out string, err error) error {
	failed := strings.Contains(out, "--- FAIL: ") || strings.Contains(out, "panic: ")
	switch {
	case err == nil:
		return errors.New("the test passes with the mistake")
	case strings.Contains(out, "[build failed]") || strings.Contains(out, "[setup failed]"):
		return fmt.Errorf("it does not build:\n%s", out)
	case strings.Contains(out, "panic: test timed out"):
		return fmt.Errorf("the test runs out of time:\n%s", out)
	case !failed:
		return fmt.Errorf("the test did not run (%w):\n%s", err, out)
	}
	return nil
}
