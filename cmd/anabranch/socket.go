package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"

	"github.com/anabranch-db/anabranch/replica"
)

// The daemon's socket speaks JSON, a line a message: one request, then rows,
// then an end. The socket's file mode (0600) is the access control.
type (
	socketRequest struct {
		Verb string          `json:"verb"`
		Args json.RawMessage `json:"args"`
		// Input says that the verb's input follows, up to the end of the
		// client's side.
		Input bool `json:"input,omitempty"`
	}
	socketReply struct {
		Row  json.RawMessage `json:"row,omitempty"`
		Done bool            `json:"done,omitempty"`
		// Error and Code are of the end: the text and the exit code.
		Error string `json:"error,omitempty"`
		Code  int    `json:"code,omitempty"`
	}
)

// maxRequestBytes bounds a request: a value of 1 MiB, quoted and escaped.
const maxRequestBytes = 8 << 20

// callDaemon sends one request and hands each row of the answer on.
func callDaemon(ctx context.Context, conn net.Conn, req socketRequest, in io.Reader, each func(json.RawMessage) error) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := json.NewEncoder(conn).Encode(req); err != nil {
		return fmt.Errorf("daemon: %w", err)
	}
	if req.Input {
		// An error shows in the answer: the daemon says what it missed.
		go func() {
			_, _ = io.Copy(conn, in)
			_ = conn.(*net.UnixConn).CloseWrite()
		}()
	}
	dec := json.NewDecoder(conn)
	for {
		var reply socketReply
		if err := dec.Decode(&reply); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("daemon: the answer broke off: %w", err)
		}
		switch {
		case reply.Error != "":
			return &codedError{reply.Code, errors.New(reply.Error)}
		case reply.Done:
			return nil
		}
		if err := each(reply.Row); err != nil {
			return err
		}
	}
}

// socketServer answers verbs on a daemon's socket until it is closed.
type socketServer struct {
	db       *replica.DB
	listener net.Listener
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	wait     sync.WaitGroup
}

// listenSocket serves db's verbs on the socket of dir. Nobody else serves it:
// the caller holds the directory's lock, so a socket file that is there was
// left by a daemon that was killed.
func listenSocket(dir string, db *replica.DB, log *slog.Logger) (*socketServer, error) {
	path, done, err := socketPath(dir)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer done()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // Close removes it below: the path may be gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socketServer{db: db, listener: l, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wait.Go(s.accept)
	return s, nil
}

// Close stops accepting, ends the verbs that run, and waits for them.
func (s *socketServer) Close() {
	s.cancel()
	s.listener.Close()
	s.wait.Wait()
}

func (s *socketServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.wait.Go(func() { s.serve(conn) })
	}
}

// serve answers one request.
func (s *socketServer) serve(conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	enc := json.NewEncoder(conn)
	enc.SetEscapeHTML(false)
	dec := json.NewDecoder(io.LimitReader(conn, maxRequestBytes))
	var req socketRequest
	if err := dec.Decode(&req); err != nil {
		_ = enc.Encode(socketReply{Error: "request: " + err.Error(), Code: exitUsage})
		return
	}
	run, ok := handlers()[req.Verb]
	if !ok {
		_ = enc.Encode(socketReply{Error: fmt.Sprintf("this daemon has no verb %q (is it of an older release?)", req.Verb), Code: exitUsage})
		return
	}
	in := bufio.NewReader(io.MultiReader(dec.Buffered(), conn))
	if req.Input {
		_, _ = in.ReadByte() // the end of the request's line; an error comes again
	} else {
		go func() { // the client says no more: an end of its side ends the verb
			_, _ = io.Copy(io.Discard, conn)
			cancel()
		}()
	}
	err := run(ctx, s.db, req.Args, in, func(row any) error {
		raw, err := marshalRow(row)
		if err != nil {
			return err
		}
		return enc.Encode(socketReply{Row: raw})
	})
	if err != nil {
		_ = enc.Encode(socketReply{Error: err.Error(), Code: exitCode(err)})
		return
	}
	_ = enc.Encode(socketReply{Done: true}) // who went away needs no end
}
