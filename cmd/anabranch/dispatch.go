package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// globals are the flags that every verb has.
type globals struct {
	dir    string
	output outputFormat
}

const (
	// maxWait is how long a command waits for a directory that another one
	// has open, or for a daemon that starts or ends: they take milliseconds.
	maxWait = 5 * time.Second
	// retryEvery is how often it looks again.
	retryEvery = 20 * time.Millisecond
)

// retry runs try until its error is not one that passes by itself, or
// maxWait is at its end.
func retry(ctx context.Context, passes error, try func() error) error {
	for end := time.Now().Add(maxWait); ; {
		err := try()
		if !errors.Is(err, passes) || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// dispatch runs a verb: on the daemon of the directory if one answers, else
// on the directory itself, opened for as long as the verb takes.
func (g *globals) dispatch(ctx context.Context, req socketRequest, in io.Reader, each func(json.RawMessage) error) error {
	var conn net.Conn
	var db *replica.DB
	err := retry(ctx, replica.ErrInUse, func() (err error) {
		conn, err = dialDaemon(ctx, g.dir)
		if err == nil || !errors.Is(err, errNoDaemon) {
			return err
		}
		if vacant(g.dir) {
			return missingf("no database in %s (make one with 'anabranch init --dir %s')", g.dir, g.dir)
		}
		db, err = replica.Open(g.dir, replica.Options{})
		return err
	})
	switch {
	case err != nil:
		return err
	case conn != nil:
		defer conn.Close()
		return callDaemon(ctx, conn, req, in, each)
	}
	err = handlers()[req.Verb](ctx, db, req.Args, in, func(row any) error {
		raw, err := marshalRow(row)
		if err != nil {
			return fmt.Errorf("answer of %s: %w", req.Verb, err)
		}
		return each(raw)
	})
	closing := db.Close()
	if errors.Is(err, replica.ErrDamaged) {
		return err // that it was halted says nothing new
	}
	return errors.Join(err, closing)
}

// vacant reports whether a directory holds nothing of a database. One without
// its FORMAT may: what is wrong with that, opening it says.
func vacant(dir string) bool {
	for _, name := range []string{"FORMAT", "REPAIR"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return false
		}
	}
	data, err := os.ReadDir(filepath.Join(dir, "data"))
	return err != nil || len(data) == 0
}

// awaitDaemon returns nil once a daemon serves the directory, for verbs that
// are nothing without one.
func (g *globals) awaitDaemon(ctx context.Context) error {
	err := retry(ctx, errNoDaemon, func() error {
		conn, err := dialDaemon(ctx, g.dir)
		if err == nil {
			err = conn.Close()
		}
		return err
	})
	if errors.Is(err, errNoDaemon) {
		return fmt.Errorf("%w (start one with 'anabranch serve --dir %s')", err, g.dir)
	}
	return err
}

var errNoDaemon = errors.New("no daemon serves this directory")

// dialDaemon connects to the daemon of dir; errNoDaemon if there is none.
func dialDaemon(ctx context.Context, dir string) (net.Conn, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, errNoDaemon
	}
	defer done()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errNoDaemon // none ran, or it was killed and left its socket
	}
	if err != nil {
		return nil, fmt.Errorf("daemon of %s: %w", dir, err)
	}
	return conn, nil
}

// socketName is the daemon's socket within its directory.
const socketName = "anabranch.sock"

// maxSocketPath is what sockaddr_un can name, less its final zero.
const maxSocketPath = 107

// socketPath returns a path to dir's socket that fits a socket address: a
// longer one goes through an open descriptor of the directory, until done is
// called.
func socketPath(dir string) (path string, done func(), err error) {
	path = filepath.Join(dir, socketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.Fd(), socketName), func() { f.Close() }, nil
}
