package sim

import (
	"iter"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// state is what a namespace holds. It is never modified: what changes it makes
// another one.
type state struct {
	entries []crdt.Entry // in key order, none empty
	past    *crdt.Past
	floor   crdt.Vector // in normal form
	changes int         // that led to it
}

// find returns the place of k, or where it would be.
func (s *state) find(k crdt.Key) (int, bool) {
	return slices.BinarySearchFunc(s.entries, k, func(e crdt.Entry, k crdt.Key) int {
		return strings.Compare(string(e.Key), string(k))
	})
}

func (s *state) get(k crdt.Key) crdt.Record {
	if i, found := s.find(k); found {
		return s.entries[i].Record
	}
	return nil
}

// put returns the state with a record in the place of the one at its key.
func (s *state) put(e crdt.Entry) *state {
	next := *s
	i, found := s.find(e.Key)
	rest := s.entries[i:]
	if found {
		rest = rest[1:]
	}
	next.entries = make([]crdt.Entry, 0, len(s.entries)+1)
	next.entries = append(next.entries, s.entries[:i]...)
	if len(e.Record) > 0 {
		next.entries = append(next.entries, e)
	}
	next.entries = append(next.entries, rest...)
	return &next
}

// Scan implements protocol.Scanner.
func (s *state) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		i, _ := s.find(span.From)
		for _, e := range s.entries[i:] {
			if !span.Contains(e.Key) || !yield(e, nil) {
				return
			}
		}
	}
}

// since returns the records with an event that base does not cover.
func (s *state) since(base *crdt.Past) (news []crdt.Entry) {
	for _, e := range s.entries {
		if slices.ContainsFunc(e.Record, func(ev crdt.Event) bool { return !base.Covers(ev.Dot) }) {
			news = append(news, e)
		}
	}
	return news
}

// bytes returns all that can differ between two states that ought to be equal:
// what can be read, and the vector. Removals may have been collected.
func (s *state) bytes() []byte {
	b := crdt.AppendVector(nil, s.past.Expand())
	for _, e := range s.entries {
		rec := slices.DeleteFunc(slices.Clone(e.Record), func(ev crdt.Event) bool { return ev.Removed || ev.Expires != 0 })
		if len(rec) > 0 {
			b = crdt.AppendCanonical(crdt.AppendBytes(b, []byte(e.Key)), rec)
		}
	}
	return b
}

// view reads a state at a moment of its node's clock.
type view struct {
	*state
	lineage *crdt.Lineage
	moment  int64
}

func (v view) Get(k crdt.Key) (crdt.Record, error) { return v.get(k).At(v.moment), nil }

func (v view) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e, err := range v.state.Scan(span) {
			if !yield(crdt.Entry{Key: e.Key, Record: e.Record.At(v.moment)}, err) {
				return
			}
		}
	}
}

func (v view) Last(span crdt.Span) (last crdt.Entry, found bool, err error) {
	for e := range v.Scan(span) {
		last, found = e, true
	}
	return last, found, nil
}

func (v view) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) { return v.lineage.Node(w) }

// tx is a transaction. It goes from state to state, and commit keeps the last.
type tx struct {
	view
	node  crdt.NodeID
	dot   crdt.Dot
	time  crdt.Timestamp
	wrote []crdt.Key
	ended bool
}

func (t *tx) Put(k crdt.Key, value []byte) error {
	return t.write(k, crdt.Event{Value: slices.Clone(value)})
}

func (t *tx) PutUntil(k crdt.Key, value []byte, expires int64) error {
	if err := crdt.CheckExpires(k, expires); err != nil {
		return err
	}
	return t.write(k, crdt.Event{Value: slices.Clone(value), Expires: expires})
}

func (t *tx) Remove(k crdt.Key) error { return t.write(k, crdt.Event{Removed: true}) }

func (t *tx) write(k crdt.Key, e crdt.Event) error {
	switch {
	case t.ended:
		return crdt.ErrTxEnded
	case len(e.Value) > crdt.MaxValueBytes:
		return crdt.ErrValue
	}
	if err := k.Validate(); err != nil {
		return err
	}
	if e.Dot, e.Time = t.dot, t.time; e.Value == nil && !e.Removed {
		e.Value = []byte{}
	}
	t.state = t.put(crdt.Entry{Key: k, Record: crdt.Record{e}})
	if !slices.Contains(t.wrote, k) {
		t.wrote = append(t.wrote, k)
	}
	return nil
}

func (t *tx) Writer() crdt.WriterID { return t.dot.Writer }
func (t *tx) Node() crdt.NodeID     { return t.node }

// NodeOf knows the transaction's own writer, whose record comes with the commit.
func (t *tx) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) {
	if w == t.dot.Writer {
		return t.node, true
	}
	return t.view.NodeOf(w)
}
