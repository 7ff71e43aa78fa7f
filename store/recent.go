package store

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// recent remembers the keys that were committed last, and by which commit, so
// that a transaction can tell what was written since its snapshot. The owner
// locks.
type recent struct {
	ring   []recentKey // full ones are written round and round
	next   int
	forgot uint64 // the last commit of which a key was forgotten
}

type recentKey struct {
	commit uint64
	key    crdt.Key
}

// add remembers that a commit wrote k.
func (r *recent) add(commit uint64, k crdt.Key) {
	if len(r.ring) < recentKeys {
		r.ring = append(r.ring, recentKey{commit, k})
		return
	}
	slot := &r.ring[r.next]
	r.forgot = max(r.forgot, slot.commit)
	*slot = recentKey{commit, k}
	if r.next++; r.next == recentKeys {
		r.next = 0
	}
}

// wrote remembers what a commit wrote, which is visible.
func (r *recent) wrote(commit uint64, w *writes) {
	if w.any {
		*r = recent{ring: r.ring[:0], forgot: commit}
	}
	if w.same {
		return
	}
	for k := range w.all {
		r.add(commit, k)
	}
}

// ReadSet is what a transaction read: its commit is refused if any of it was
// written since its snapshot. The zero value is empty. Not safe for
// concurrent use.
type ReadSet struct {
	few   []crdt.Key // up to fewReads: most transactions read no more
	keys  map[crdt.Key]struct{}
	spans []crdt.Span
}

// Key adds a record, there or not.
func (r *ReadSet) Key(k crdt.Key) {
	switch {
	case slices.Contains(r.few, k):
	case len(r.few) < fewReads:
		r.few = append(r.few, k)
	case r.keys == nil:
		r.keys = map[crdt.Key]struct{}{k: {}}
	default:
		r.keys[k] = struct{}{}
	}
}

// Reset makes it empty. It keeps memory for what most transactions read.
func (r *ReadSet) Reset() {
	clear(r.few)
	clear(r.spans)
	*r = ReadSet{few: r.few[:0], spans: r.spans[:0]}
	if cap(r.spans) > fewReads {
		r.spans = nil
	}
}

// Span adds all records in s, those not there included.
func (r *ReadSet) Span(s crdt.Span) {
	if n := len(r.spans); n > 0 && r.spans[n-1] == s {
		return
	}
	r.spans = append(r.spans, s)
}

// Cover makes it one span, around all that is in it and s.
func (r *ReadSet) Cover(s crdt.Span) {
	widen := func(from, to crdt.Key) {
		s.From = min(s.From, from)
		if s.To == "" || to == "" {
			s.To = ""
		} else {
			s.To = max(s.To, to)
		}
	}
	for _, k := range r.few {
		widen(k, k+"\x00")
	}
	for k := range r.keys {
		widen(k, k+"\x00")
	}
	for _, in := range r.spans {
		widen(in.From, in.To)
	}
	r.Reset()
	r.spans = append(r.spans, s)
}

func (r *ReadSet) empty() bool { return r == nil || len(r.few) == 0 && len(r.spans) == 0 }

func (r *ReadSet) contains(k crdt.Key) bool {
	if slices.Contains(r.few, k) {
		return true
	}
	if _, ok := r.keys[k]; ok {
		return true
	}
	return slices.ContainsFunc(r.spans, func(s crdt.Span) bool { return s.Contains(k) })
}

// validate returns ErrConflict if something in reads was written after the
// given commit, or may have been.
func (r *recent) validate(reads *ReadSet, commit uint64) error {
	if reads.empty() {
		return nil
	}
	for i := range r.ring {
		at := &r.ring[(r.next-1-i+len(r.ring))%len(r.ring)]
		if at.commit <= commit {
			break
		}
		if reads.contains(at.key) {
			return fmt.Errorf("%w: %q was written after it was read", ErrConflict, string(at.key))
		}
	}
	if r.forgot > commit {
		return fmt.Errorf("%w: too much was written since the snapshot", ErrConflict)
	}
	return nil
}
