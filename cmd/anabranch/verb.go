package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/anabranch-db/anabranch/replica"
)

// emit hands one row of a verb's answer on. An error means that nobody reads
// any more: the verb stops.
type emit func(row any) error

// marshalRow returns a row as JSON, with values as they are in it: <, > and &
// of a text are shown as such.
func marshalRow(row any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(row)
	return b.Bytes(), err
}

// handler runs one verb on a database: args is the verb's request as JSON, in
// what the command read from its standard input, for verbs that want it.
type handler func(ctx context.Context, db *replica.DB, args json.RawMessage, in io.Reader, out emit) error

// verb makes a handler of a function of typed arguments.
func verb[A any](run func(ctx context.Context, db *replica.DB, args A, out emit) error) handler {
	return func(ctx context.Context, db *replica.DB, raw json.RawMessage, _ io.Reader, out emit) error {
		var args A
		if err := json.Unmarshal(raw, &args); err != nil {
			return usagef("request: %w", err)
		}
		return run(ctx, db, args, out)
	}
}

// call runs a verb on the directory that the command names, through its
// daemon if one runs, and calls each for every row of the answer.
func call[A, R any](ctx context.Context, g *globals, name string, args A, each func(R) error) error {
	return callWith(ctx, g, name, args, nil, each)
}

// callWith is call of a verb that reads in.
func callWith[A, R any](ctx context.Context, g *globals, name string, args A, in io.Reader, each func(R) error) error {
	raw, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return g.dispatch(ctx, socketRequest{name, raw, in != nil}, in, func(row json.RawMessage) error {
		var r R
		if err := json.Unmarshal(row, &r); err != nil {
			return fmt.Errorf("answer of %s: %w", name, err)
		}
		return each(r)
	})
}
