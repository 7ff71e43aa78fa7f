package store

import (
	"iter"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// stagedView is a snapshot with staged records in the place of its own; one
// that is staged without events is not there.
type stagedView struct {
	snap   *Snapshot
	stage  *stage
	staged *pebble.Snapshot
}

// Scan implements View.
func (v *stagedView) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		if err := v.scan(span, yield); err != nil {
			yield(crdt.Entry{}, v.snap.ns.named("scan what is staged of", err))
		}
	}
}

func (v *stagedView) scan(span crdt.Span, yield func(crdt.Entry, error) bool) error {
	lower, upper := v.stage.records.bounds(span)
	it, err := v.staged.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	d := recordReader{writers: v.stage.writer}
	// ahead yields what is staged before a key, and takes what is at it.
	ok := it.First()
	ahead := func(upTo crdt.Key, all bool) (met, more bool, err error) {
		for ; ok; ok = it.Next() {
			at := crdt.Key(it.Key()[prefixLen:])
			if at > upTo && !all {
				break
			}
			e, err := d.entry(it)
			if err != nil {
				return false, false, err
			}
			if len(e.Record) > 0 && !yield(e, nil) {
				return false, false, nil
			}
			met = met || at == upTo
		}
		return met, true, readError(it.Error())
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
