package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// What is measured of a process is measured of one that does nothing else:
// this program, started again with what it is to do in its environment.
const childEnv = "ANABRANCH_BENCH_CHILD"

// A role is what such a process does, by its name. It says what it has to say
// in lines of JSON, and ends when what it hears does.
type role func(in io.Reader, out *json.Encoder, args []string) error

// roles are all that there are.
func roles() map[string]role {
	return map[string]role{"write": writeAndWait, "node": node, "crowd": crowd, "bootstrap": bootstrapDevice}
}

// Child does what a row started this program for, and reports whether one did:
// then there is nothing else to do.
func Child() bool {
	words := os.Getenv(childEnv)
	if words == "" {
		return false
	}
	if err := runChild(words); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return true
}

func runChild(words string) error {
	var args []string
	if err := json.Unmarshal([]byte(words), &args); err != nil || len(args) == 0 {
		return fmt.Errorf("%s: %w", childEnv, err)
	}
	do := roles()[args[0]]
	if do == nil {
		return fmt.Errorf("%s: there is no role %q", childEnv, args[0])
	}
	if err := do(os.Stdin, json.NewEncoder(os.Stdout), args[1:]); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// child is such a process, seen from the one that started it.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	says *json.Decoder
}

// startChild starts one, with more of an environment.
func startChild(ctx context.Context, env []string, args ...string) (*child, error) {
	words, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(append(os.Environ(), env...), childEnv+"="+string(words))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd: cmd, in: in, says: json.NewDecoder(bufio.NewReader(out))}, cmd.Start()
}

// hear waits for the next thing that it says.
func (c *child) hear(v any) error {
	if err := c.says.Decode(v); err != nil {
		return fmt.Errorf("hear a child: %w", errors.Join(err, c.end()))
	}
	return nil
}

// end has it end, and waits for that.
func (c *child) end() error { return errors.Join(c.in.Close(), c.cmd.Wait()) }

// kill ends it as it stands.
func (c *child) kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := c.cmd.Wait(); !errors.As(err, &exit) {
		return err
	}
	return nil
}
