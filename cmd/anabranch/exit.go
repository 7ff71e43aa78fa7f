package main

import (
	"errors"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

// The exit codes, which scripts branch on. 4 and 5 are reserved for reads
// that would be stale or have no quorum, and for conflicts.
const (
	exitOK      = 0
	exitError   = 1
	exitUsage   = 2
	exitMissing = 3
)

// codedError carries the exit code that an error ends the process with.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// usagef returns an error of the caller's words: exit code 2.
func usagef(format string, args ...any) error {
	return &codedError{exitUsage, fmt.Errorf(format, args...)}
}

// missingf returns an error about something that is not there: exit code 3.
func missingf(format string, args ...any) error {
	return &codedError{exitMissing, fmt.Errorf(format, args...)}
}

// exitCode returns the code that err ends the process with.
func exitCode(err error) int {
	var coded *codedError
	var line *replica.ImportError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case errors.As(err, &line):
		return exitError // a path or value of the input, not of the command line
	case errors.Is(err, crdt.ErrMissing), errors.Is(err, replica.ErrNoNamespace):
		return exitMissing
	case errors.Is(err, crdt.ErrPath), errors.Is(err, crdt.ErrValue), errors.Is(err, replica.ErrName),
		errors.Is(err, replica.ErrOptions), errors.Is(err, replica.ErrCursor), errors.Is(err, transport.ErrToken):
		return exitUsage
	}
	return exitError
}
