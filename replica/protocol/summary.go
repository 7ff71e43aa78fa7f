package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// Scanner is a snapshot of a namespace: Scan yields the records in a span in
// key order, removals included, the same ones each time, and stops after the
// first error. The ends of a span need not be keys of records. It is used by
// one goroutine at a time.
type Scanner interface {
	Scan(crdt.Span) iter.Seq2[crdt.Entry, error]
}

// errUnstable says that a Scanner broke its contract.
var errUnstable = errors.New("a snapshot changed while it was compared")

// Summary answers what a range of a snapshot adds up to. It keeps what lies
// below every stride-th key, a mark each, and scans the rest of the way: less
// than a stride. Its memory is bounded whatever the number of keys. Not safe
// for concurrent use.
type Summary struct {
	snapshot Scanner
	total    tally
	stride   uint64
	marks    []mark // marks[i].below counts (i+1)*stride records
	bytes    int    // of the marks' keys
	// maxMarks and maxBytes bound marks and bytes.
	maxMarks, maxBytes int
	contents           bool // records are told apart by their contents
	unread             bool // total and marks are still to be read
}

// mark is a boundary between two records, and what lies below it.
type mark struct {
	key   crdt.Key
	below tally
}

// NewSummary reads the whole snapshot once. The error is that of the scan.
func NewSummary(snapshot Scanner) (*Summary, error) {
	return newSummary(snapshot, maxSummaryMarks, maxSummaryBytes)
}

func newSummary(snapshot Scanner, maxMarks, maxBytes int) (*Summary, error) {
	s := &Summary{snapshot: snapshot, stride: LeafKeys, maxMarks: maxMarks, maxBytes: maxBytes}
	return s, s.read()
}

// OfferedSummary returns what NewSummary does, or with contents what
// NewContentSummary does, but that the snapshot is read once sums of it are
// asked for: a peer that has nothing asks for none.
func OfferedSummary(snapshot Scanner, contents bool) *Summary {
	s := &Summary{
		snapshot: snapshot, stride: LeafKeys, maxMarks: maxSummaryMarks, maxBytes: maxSummaryBytes, unread: true,
	}
	if s.contents = contents; contents {
		s.snapshot = Lasting{snapshot}
	}
	return s
}

// ready reads the snapshot, unless that was done.
func (s *Summary) ready() error {
	if !s.unread {
		return nil
	}
	if err := s.read(); err != nil {
		s.total, s.marks, s.bytes, s.stride = tally{}, nil, 0, LeafKeys // nothing is half read
		return err
	}
	s.unread = false
	return nil
}

// read reads the snapshot.
func (s *Summary) read() error {
	ids := identifier{contents: s.contents}
	var last crdt.Key
	for e, err := range s.snapshot.Scan(crdt.AllKeys) {
		if err != nil {
			return err
		}
		if s.total.count > 0 && s.total.count%s.stride == 0 {
			s.mark(separator(last, e.Key))
		}
		s.total.add(ids.of(e))
		last = e.Key
	}
	return nil
}

// Len returns the number of records in the snapshot.
func (s *Summary) Len() uint64 { return s.total.count }

// mark marks the boundary behind the records so far. If there is no room, the
// stride doubles, and every second mark goes.
func (s *Summary) mark(k crdt.Key) {
	s.marks = append(s.marks, mark{k, s.total})
	s.bytes += len(k)
	for len(s.marks) > s.maxMarks || s.bytes > s.maxBytes {
		s.stride *= 2
		kept := s.marks[:0]
		s.bytes = 0
		for i := 1; i < len(s.marks); i += 2 {
			kept = append(kept, s.marks[i])
			s.bytes += len(s.marks[i].key)
		}
		clear(s.marks[len(kept):])
		s.marks = kept
	}
}

// piece is a range of a snapshot, with what lies below it and in it.
type piece struct {
	crdt.Span
	below, own tally
}

// from returns the range of all keys from k on.
func (s *Summary) from(k crdt.Key) (piece, error) {
	c := newCursor(s)
	below, err := c.below(k)
	return piece{crdt.Span{From: k}, below, s.total.minus(below)}, err
}

// split cuts p into ranges of about equal counts. There must be more records
// in it than parts. Where a part is longer than a stride it ends at a mark, so
// that nothing is scanned; else p is, which is parts strides at most.
func (s *Summary) split(p piece, parts uint64) ([]piece, error) {
	var cuts []mark
	place := func(i uint64) uint64 { return p.below.count + p.own.count*i/parts }
	if p.own.count/parts >= s.stride {
		for i := uint64(1); i < parts; i++ {
			cuts = append(cuts, s.marks[place(i)/s.stride-1])
		}
		return p.cut(cuts), nil
	}
	ids := identifier{contents: s.contents}
	var last crdt.Key
	at := p.below
	for e, err := range s.snapshot.Scan(p.Span) {
		if err != nil {
			return nil, err
		}
		if n := uint64(len(cuts)) + 1; n < parts && at.count == place(n) {
			cuts = append(cuts, mark{separator(last, e.Key), at})
		}
		at.add(ids.of(e))
		last = e.Key
	}
	if at != p.below.plus(p.own) {
		return nil, errUnstable
	}
	return p.cut(cuts), nil
}

// cut returns the pieces of p between the cuts.
func (p piece) cut(cuts []mark) (pieces []piece) {
	end := p.below.plus(p.own)
	from, below := p.From, p.below
	for _, m := range append(cuts, mark{p.To, end}) {
		pieces = append(pieces, piece{crdt.Span{From: from, To: m.key}, below, m.below.minus(below)})
		from, below = m.key, m.below
	}
	return pieces
}

// cursor goes through a snapshot once, from boundary to boundary. So a list of
// ranges in order, however many, costs one scan at most, and two strides for
// each of them.
type cursor struct {
	summary *Summary
	at      mark
	ids     identifier
}

func newCursor(s *Summary) cursor {
	return cursor{summary: s, ids: identifier{contents: s.contents}}
}

// below returns what lies below k. No k may be below the one before.
func (c *cursor) below(k crdt.Key) (tally, error) {
	marks := c.summary.marks
	i, found := slices.BinarySearchFunc(marks, k, func(m mark, k crdt.Key) int { return strings.Compare(string(m.key), string(k)) })
	if found {
		i++
	}
	if i > 0 && marks[i-1].key > c.at.key {
		c.at = marks[i-1]
	}
	if k == c.at.key {
		return c.at.below, nil
	}
	for e, err := range c.summary.snapshot.Scan(crdt.Span{From: c.at.key, To: k}) {
		if err != nil {
			return tally{}, err
		}
		c.at.below.add(c.ids.of(e))
	}
	c.at.key = k
	return c.at.below, nil
}

// within returns what lies in a span. Spans must come in order.
func (c *cursor) within(s crdt.Span) (tally, error) {
	if err := c.summary.ready(); err != nil {
		return tally{}, err
	}
	below, err := c.below(s.From)
	if err != nil || s.To == "" {
		return c.summary.total.minus(below), err
	}
	upTo, err := c.below(s.To)
	return upTo.minus(below), err
}

// tally is what some records add up to: their number, and the sum of their
// ids modulo 2^128. So what lies in a range is what lies below its end less
// what lies below its start.
type tally struct {
	sum   recordID
	count uint64
}

func (t *tally) add(id recordID) { *t = t.plus(tally{id, 1}) }

func (t tally) plus(o tally) tally {
	low, carry := bits.Add64(t.sum.low, o.sum.low, 0)
	high, _ := bits.Add64(t.sum.high, o.sum.high, carry)
	return tally{recordID{high, low}, t.count + o.count}
}

func (t tally) minus(o tally) tally {
	low, borrow := bits.Sub64(t.sum.low, o.sum.low, 0)
	high, _ := bits.Sub64(t.sum.high, o.sum.high, borrow)
	return tally{recordID{high, low}, t.count - o.count}
}

// fingerprint is what is sent of the sum.
func (t tally) fingerprint() uint64 { return t.sum.high }

// recordID names a record in one of its states: the first 16 bytes, in big
// endian, of the SHA-256 over
//
//	key array(2n) *(writer seq)     the dots of all events, in order
//
// in canonical msgpack, the key as a byte string. Its high half is what is
// sent of it.
type recordID struct{ high, low uint64 }

// identifier computes ids; it keeps a buffer for that.
type identifier struct {
	buf      []byte
	contents bool // ids are those of ofContents
}

func (i *identifier) of(e crdt.Entry) recordID {
	if i.contents {
		return i.ofContents(e)
	}
	b := crdt.AppendBytes(i.buf[:0], []byte(e.Key))
	b = crdt.AppendArray(b, 2*len(e.Record))
	for j := range e.Record {
		b = crdt.AppendBytes(b, e.Record[j].Writer[:])
		b = crdt.AppendUint(b, e.Record[j].Seq)
	}
	i.buf = b
	sum := sha256.Sum256(b)
	return recordID{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}

// separator returns the shortest boundary between neighbours: above a, and at
// most b. It shares no memory with them.
func separator(a, b crdt.Key) crdt.Key {
	return crdt.Key(strings.Clone(string(b[:shared(a, b)+1])))
}

// shared returns how many bytes two keys begin with in common.
func shared(a, b crdt.Key) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}
