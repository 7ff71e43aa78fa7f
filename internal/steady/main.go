package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: steady COMMAND [ARGUMENT...], as for go: steady test ./replica")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2:])
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		os.Exit(failed.ExitCode()) // which go has explained
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "steady:", err)
		os.Exit(1)
	}
}

// run runs a command of go with the changed runtime, and without cgo, whose
// calls the scheduler takes for system calls.
func run(command string, args []string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "steady")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	overlay, err := write(dir, filepath.Join(strings.TrimSpace(string(root)), "src"))
	if err != nil {
		return err
	}
	cmd := exec.Command("go", append([]string{command, "-overlay", overlay}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// write writes the changed files to a folder, and returns the file that tells
// the go command of them.
func write(dir, src string) (string, error) {
	replace := map[string]string{}
	for _, c := range changes {
		from := filepath.Join(src, filepath.FromSlash(c.file))
		if replace[from] != "" {
			continue
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		changed, err := apply(c.file, string(text))
		if err != nil {
			return "", err
		}
		replace[from] = filepath.Join(dir, filepath.Base(from))
		if err := os.WriteFile(replace[from], []byte(changed), 0o600); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, text, 0o600)
}
