package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// result is what a command line left.
type result struct {
	code           int
	stdout, stderr string
}

// runIn runs a command line on a directory, in this process.
func runIn(dir, stdin string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), append([]string{"--dir", dir}, args...), strings.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// daemon is 'serve', in this process.
type daemon struct {
	flags   []string
	address string
	cancel  context.CancelFunc
	ended   chan result
}

// startDaemon returns once the daemon says that it serves.
func startDaemon(dir string, flags ...string) (*daemon, error) {
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{flags: flags, cancel: cancel, ended: make(chan result, 1)}
	said, stdout := io.Pipe()
	go func() {
		var stderr bytes.Buffer
		args := append([]string{"--dir", dir, "serve", "--listen", "127.0.0.1:0"}, flags...)
		code := run(ctx, args, nil, stdout, &stderr)
		stdout.Close()
		d.ended <- result{code, "", stderr.String()}
	}()
	line := make([]byte, 4096) // the daemon writes its one line at once
	n, err := said.Read(line)
	if err != nil {
		return nil, fmt.Errorf("no daemon: %w: %s", err, (<-d.ended).stderr)
	}
	words := strings.Fields(string(line[:n]))
	d.address = words[len(words)-1]
	return d, nil
}

// stop ends the daemon as an interrupt does.
func (d *daemon) stop() error {
	d.cancel()
	if r := <-d.ended; r.code != exitOK {
		return errors.New(r.stderr)
	}
	return nil
}

// daemons are those of one script, by the name of the directory.
type daemons map[string]*daemon

type daemonsKeyType struct{}

var daemonsKey daemonsKeyType

func daemonsOf(ts *testscript.TestScript) daemons { return ts.Value(daemonsKey).(daemons) }

func (ds daemons) stopAll() {
	for _, d := range ds {
		if d != nil {
			_ = d.stop() // the script has failed, or does not care
		}
	}
}

func serveCmd(ts *testscript.TestScript, args []string) {
	d, err := startDaemon(ts.MkAbs(args[0]), args[1:]...)
	ts.Check(err)
	daemonsOf(ts)[args[0]] = d
	ts.Setenv(args[0], d.address)
}

func haltCmd(ts *testscript.TestScript, args []string) {
	d := daemonsOf(ts)[args[0]]
	if d == nil {
		ts.Fatalf("%s has no daemon", args[0])
	}
	delete(daemonsOf(ts), args[0])
	ts.Check(d.stop())
}

func restartCmd(ts *testscript.TestScript, args []string) {
	if d := daemonsOf(ts)[args[0]]; d != nil {
		haltCmd(ts, args[:1])
		serveCmd(ts, append(args[:1:1], d.flags...))
	}
}
