package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Comparer finds where the snapshot of a source differs from one's own: it
// makes compares, and takes their answers. Ranges that differ are split, each
// into at most Fanout parts, until LeafKeys records are left, which are
// listed. The leftmost are always asked about first: so the position advances,
// and what is kept is one compare's ranges for each time that the number of
// records can be divided. Not safe for concurrent use.
type Comparer struct {
	summary *Summary
	pending []suspect // the ranges still to be resolved, the leftmost last
	err     error     // after which it cannot go on

	// The compare under way.
	asked    []suspect
	verdicts []uint32     // on asked[:known], and so far on asked[known]
	known    int          // asked[:known] have their final verdicts
	at       int          // asked[:at] are dealt with
	again    []suspect    // those of them that differ
	seen     crdt.Key     // all that was asked about below it is dealt with
	own      []ownRecord  // of asked[at], if it is a list
	loaded   bool         // whether own was read already
	next     int          // own[:next] are dealt with
	block    blockDecoder // of the answer
}

// suspect is a range that may differ, or is known to.
type suspect struct {
	piece
	differs bool
}

func (p *suspect) listed() bool { return p.differs && p.own.count <= LeafKeys }

func (p *suspect) verdictBits() int {
	if p.listed() {
		return int(p.own.count)
	}
	return 1
}

// ownRecord is a record here.
type ownRecord struct {
	key crdt.Key
	id  recordID
}

// NewComparer returns a Comparer of the keys from from on. The error is that
// of a scan.
func NewComparer(own *Summary, from crdt.Key) (*Comparer, error) {
	all, err := own.from(from)
	return &Comparer{summary: own, pending: []suspect{{all, true}}}, err
}

// Position returns a key below which everything is resolved: it is the same at
// the source, or its difference was yielded. A run that broke goes on from
// there, with any source whose snapshot covers this one's. What was yielded
// at or above it must be forgotten then, since the other source may have there
// what is here. ok is false if nothing is left to be resolved.
func (c *Comparer) Position() (k crdt.Key, ok bool) {
	switch {
	case len(c.again) > 0:
		return c.again[0].From, true
	case len(c.asked) > 0:
		return c.seen, true
	case len(c.pending) > 0:
		return c.pending[len(c.pending)-1].From, true
	}
	return "", false
}

// Next returns the next compare; more is false if everything is resolved. It
// is due at first, and after the last frame of each answer. The error is that
// of a scan.
func (c *Comparer) Next(number, run uint64) (f Frame, more bool, err error) {
	if c.err == nil && len(c.asked) > 0 {
		c.err = errors.New("a compare before the answer to the last one has ended")
	}
	if c.err != nil || len(c.pending) == 0 {
		return Frame{}, false, c.err
	}
	asks, err := c.ask()
	if err != nil {
		c.err = err
		return Frame{}, false, err
	}
	c.verdicts = make([]uint32, len(c.asked))
	c.known, c.at = 0, 0
	c.own, c.loaded, c.next = nil, false, 0
	return encodeCompare(number, run, asks), true, nil
}

// ask moves what fits a compare from pending to asked, and splits what is
// known to differ.
func (c *Comparer) ask() (asks []ask, err error) {
	for room := TargetFrameBytes; len(c.pending) > 0 && len(asks) < MaxRangesPerFrame; {
		p := c.pending[len(c.pending)-1]
		if p.differs && !p.listed() {
			if err := c.split(); err != nil {
				return nil, err
			}
			continue
		}
		a := ask{Span: p.Span, count: p.own.count, fingerprint: p.own.fingerprint()}
		if p.listed() {
			if a, err = c.list(&p); err != nil {
				return nil, err
			}
		}
		if len(asks) == 0 || asks[len(asks)-1].To != a.From {
			room -= len(a.From)
		}
		if room -= len(a.To) + len(a.ids) + askOverhead; room < 0 && len(asks) > 0 {
			break
		}
		if len(asks) == 0 {
			c.seen = p.From
		}
		c.pending = c.pending[:len(c.pending)-1]
		c.asked = append(c.asked, p)
		asks = append(asks, a)
	}
	return asks, nil
}

// askOverhead is what a range takes at most beside its boundaries and ids, the
// one before it that is not asked about included.
const askOverhead = 40

// split puts the parts of the leftmost pending range in its place.
func (c *Comparer) split() error {
	top := len(c.pending) - 1
	p := c.pending[top]
	parts, err := c.summary.split(p.piece, min(Fanout, (p.own.count+LeafKeys-1)/LeafKeys))
	if err != nil {
		return err
	}
	c.pending = c.pending[:top]
	for _, part := range slices.Backward(parts) {
		c.pending = append(c.pending, suspect{part, false})
	}
	return nil
}

// list returns the ask that lists the records of p.
func (c *Comparer) list(p *suspect) (ask, error) {
	own, err := c.records(p)
	a := ask{Span: p.Span, list: true}
	for i := range own {
		a.ids = binary.BigEndian.AppendUint64(a.ids, own[i].id.high)
	}
	return a, err
}

// records returns the records here in p, which is listed.
func (c *Comparer) records(p *suspect) (own []ownRecord, err error) {
	ids := identifier{contents: c.summary.contents}
	for e, err := range c.summary.snapshot.Scan(p.Span) {
		if err != nil {
			return nil, err
		}
		if len(own) == LeafKeys {
			return nil, errUnstable
		}
		own = append(own, ownRecord{e.Key, ids.of(e)})
	}
	if uint64(len(own)) != p.own.count {
		return nil, errUnstable
	}
	return own, nil
}

// Answer takes what follows the head of an answer's frame, and whether that is
// the last one. It yields what differs: the source's record of a key, whole,
// or the key alone if the source has no record of it; each key once, and in
// order within a frame. Records alias the bodies. After an error, or if the
// caller stops, nothing more can be done than to ask for the Position; errors
// of answers that break the rules wrap ErrMalformed. That the events are
// covered by the source's vector is for the caller to check.
func (c *Comparer) Answer(last bool, body []byte) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		if c.err != nil {
			yield(crdt.Entry{}, c.err)
			return
		}
		c.err = c.answer(last, body, func(e crdt.Entry) bool { return yield(e, nil) })
		if c.err != nil && !errors.Is(c.err, errStopped) {
			yield(crdt.Entry{}, c.err)
		}
	}
}

// errStopped says that a caller left the loop over an answer.
var errStopped = errors.New("an answer was not read to its end")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: Answer: %w", ErrMalformed, fmt.Errorf(format, args...))
}
