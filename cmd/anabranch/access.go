package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

// valueRow is the answer of most verbs: what is at an address.
type valueRow struct {
	address
	// Value is JSON text rather than a crdt.Raw, which has no room for what a
	// counter may count.
	Value json.RawMessage `json:"value"`
}

// answer answers with a value.
func answer(out emit, at address, value crdt.Raw) error {
	text, err := crdt.ToJSON(value)
	if err != nil {
		return err
	}
	return out(valueRow{at, text})
}

// printValue prints value rows one by one.
func printValue(cmd *cobra.Command, g *globals) (each func(valueRow) error, done func() error) {
	p := newPrinter(cmd.OutOrStdout(), g.output)
	return func(r valueRow) error {
		text, raw, err := valueTexts(r.Value)
		if err != nil {
			return err
		}
		return p.row(r, raw, text)
	}, p.flush
}

// valueTexts returns a value, which is JSON, as it is, and bare: a string
// without quotes.
func valueTexts(v json.RawMessage) (text, raw string, err error) {
	if len(v) == 0 || v[0] != '"' {
		return string(v), string(v), nil
	}
	err = json.Unmarshal(v, &raw)
	return string(v), raw, err
}

// parseValue reads a value from the command line: JSON.
func parseValue(text string) (crdt.Raw, error) {
	v, err := crdt.FromJSON([]byte(text))
	if err != nil {
		return nil, usagef("value %s: %w%s", cited(text), err, quotesHint(text))
	}
	return v, nil
}

// quotesHint says how to write a word that was meant as a string; "" if what
// is there was begun as something else.
func quotesHint(text string) string {
	if text == "" || len(text) > maxQuoted || strings.ContainsAny(text, `'"\[]{}`) ||
		text[0] == '-' || text[0] >= '0' && text[0] <= '9' || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
		return ""
	}
	return fmt.Sprintf(` (a string needs quotes: '"%s"')`, text)
}

// maxQuoted is how many bytes of what a person gave an error shows: enough to
// know it by.
const maxQuoted = 60

// cited returns text in quotes, for an error, and cut if it is long.
func cited(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	head := strings.ToValidUTF8(text[:maxQuoted], "")
	return fmt.Sprintf("%q... (%d bytes)", head, len(text))
}

// runValue calls a verb that answers with value rows, and prints them.
func runValue[A any](cmd *cobra.Command, g *globals, name string, args A) error {
	each, done := printValue(cmd, g)
	if err := call(cmd.Context(), g, name, args, each); err != nil {
		return err
	}
	return done()
}

// runQuiet calls a verb that has nothing to say.
func runQuiet[A any](cmd *cobra.Command, g *globals, name string, args A) error {
	return call(cmd.Context(), g, name, args, func(struct{}) error { return nil })
}

// open returns the namespace and the path of an address.
func open(db *replica.DB, a address) (*replica.Namespace, crdt.Path, error) {
	path, err := a.path()
	if err != nil {
		return nil, nil, err
	}
	ns, err := db.Lookup(a.Namespace)
	return ns, path, err
}

// update runs fn on the path of an address, in a transaction.
func update(ctx context.Context, db *replica.DB, a address, fn func(tx *replica.Tx, p crdt.Path) error) error {
	ns, path, err := open(db, a)
	if err != nil {
		return err
	}
	return ns.Update(ctx, func(tx *replica.Tx) error { return fn(tx, path) })
}

// updateType is update for a write or a deletion of one of the given types. It refuses a
// path where only other types are: who writes there mistook the address. Two
// types that nodes made concurrently both stay, and can both be written.
func updateType(ctx context.Context, db *replica.DB, a address, fn func(tx *replica.Tx, p crdt.Path) error, kinds ...crdt.Type) error {
	return update(ctx, db, a, func(tx *replica.Tx, p crdt.Path) error {
		span, err := p.Here()
		if err != nil {
			return err
		}
		var other []string
		for leaf, err := range crdt.Leaves(tx, span) {
			if err != nil {
				return err
			}
			if slices.Contains(kinds, leaf.Type) {
				return fn(tx, p)
			}
			other = append(other, leaf.Type.String())
		}
		if other != nil {
			return fmt.Errorf("%s: %w: %s, not %s", a, crdt.ErrWrongType, strings.Join(other, " and "), kinds[0])
		}
		return fn(tx, p)
	})
}

// view runs fn on the path of an address, on a snapshot.
func view(ctx context.Context, db *replica.DB, a address, fn func(v crdt.View, p crdt.Path) error) error {
	ns, path, err := open(db, a)
	if err != nil {
		return err
	}
	return ns.View(ctx, func(v *replica.View) error { return fn(v, path) })
}

// found makes what a deletion did not find an error.
func found(a address, there bool, err error) error {
	if err == nil && !there {
		return missingf("%s: %w", a, crdt.ErrMissing)
	}
	return err
}
