package store

import (
	"errors"
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// stagedView is a snapshot with staged records in the place of its own; one
// that is staged without events is not there.
type stagedView struct {
	snap   *Snapshot
	stage  *stage
	tables []table          // of the stage, when the view began
	staged *pebble.Snapshot // of what is loose in it
}

// Scan implements View.
func (v *stagedView) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		if err := v.scan(span, yield); err != nil {
			yield(crdt.Entry{}, v.snap.ns.named("scan what is staged of", err))
		}
	}
}

func (v *stagedView) scan(span crdt.Span, yield func(crdt.Entry, error) bool) (err error) {
	c, err := v.stage.cursor(v.staged, v.tables, span)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	staged, ok, err := c.next()
	// ahead yields what is staged before a key, and takes what is at it.
	ahead := func(upTo crdt.Key, all bool) (met, more bool, err error) {
		for ok && (all || staged.Key <= upTo) {
			if len(staged.Record) > 0 && !yield(staged, nil) {
				return false, false, nil
			}
			met = met || staged.Key == upTo
			if staged, ok, err = c.next(); err != nil {
				return false, false, err
			}
		}
		return met, true, nil
	}
	if err != nil {
		return err
	}
	for e, err := range v.snap.Scan(span) {
		if err != nil {
			return err
		}
		met, more, err := ahead(e.Key, false)
		if err != nil || !more {
			return err
		}
		if !met && !yield(e, nil) {
			return nil
		}
	}
	_, _, err = ahead("", true)
	return err
}
