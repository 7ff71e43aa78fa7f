package protocol

import (
	"iter"
	"math/bits"

	"github.com/anabranch-db/anabranch/crdt"
)

// AnswerCompare answers the compare of e from the snapshot of s. It hands each
// frame to send, whose error ends the answer; errors of a compare that breaks the
// rules wrap ErrMalformed, and then nothing was sent.
//
// It keeps nothing from one compare to the next. However many ranges there
// are, their sums cost one scan of the snapshot at most, and less than two
// strides for each; a list costs a scan of its range, all of which but the
// records listed is sent. Where contents are compared, and some of a list are not
// here, removals and what expires are sent as well: they may have superseded it.
func AnswerCompare(s *Summary, e Serve, send func(Frame) error) error {
	return answerCompare(s, e, TargetFrameBytes, send)
}

// answerCompare ends frames at target bytes.
func answerCompare(s *Summary, e Serve, target int, send func(Frame) error) error {
	asks, err := readAsks(e.Body)
	if err != nil {
		return err
	}
	a := answerer{
		number: e.Number, run: e.Run, send: send,
		cursor: newCursor(s), ids: identifier{contents: s.contents}, blockEncoder: newBlockEncoder(e.Columns),
	}
	a.target = target
	for i := range asks {
		if err := a.answer(&asks[i]); err != nil {
			return err
		}
	}
	return a.flush(true)
}

// answerer writes one answer.
type answerer struct {
	number, run uint64
	send        func(Frame) error
	cursor      cursor
	ids         identifier

	// The frame being filled.
	blockEncoder
	ended    int
	verdicts bitWriter // on what ended
	open     *ask      // the list under way
	met      uint32    // the places in open that were met
}

func (a *answerer) answer(q *ask) error {
	if q.list {
		if err := a.list(q); err != nil {
			return err
		}
		a.verdicts.add(a.met, q.verdictBits())
	} else {
		own, err := a.cursor.within(q.Span)
		if err != nil {
			return err
		}
		same := uint32(0)
		if own.count == q.count && own.fingerprint() == q.fingerprint {
			same = 1
		}
		a.verdicts.add(same, q.verdictBits())
	}
	a.ended++
	return nil
}

// list adds the records in q's range that are not in its list.
func (a *answerer) list(q *ask) error {
	unmet, err := a.unmet(q)
	if err != nil {
		return err
	}
	a.open, a.met = q, 0
	for e, err := range a.records(q.Span, unmet) {
		if err != nil {
			return err
		}
		if i := a.place(q, e); i >= 0 {
			a.met |= 1 << i
			continue
		}
		if err := a.add(e, func() error { return a.flush(false) }); err != nil {
			return err
		}
	}
	return nil
}

// place returns the place of a record in a list, or -1.
func (a *answerer) place(q *ask, e crdt.Entry) int {
	if a.ids.contents {
		e.Record = lasting(e.Record)
	}
	if len(q.ids) == 0 || len(e.Record) == 0 {
		return -1
	}
	return q.place(a.ids.of(e))
}

// unmet reports whether contents are listed that are not here.
func (a *answerer) unmet(q *ask) (bool, error) {
	if !a.ids.contents || len(q.ids) == 0 {
		return false, nil
	}
	met := uint32(0)
	for e, err := range a.cursor.summary.snapshot.Scan(q.Span) {
		if err != nil {
			return false, err
		}
		if i := a.place(q, e); i >= 0 {
			met |= 1 << i
		}
	}
	return bits.OnesCount32(met) < q.verdictBits(), nil
}

// records returns the records of a range; with what fades, which no contents
// are told apart by, if it may be that which has superseded what the asker has.
func (a *answerer) records(span crdt.Span, fading bool) iter.Seq2[crdt.Entry, error] {
	snapshot := a.cursor.summary.snapshot
	if whole, ok := snapshot.(Lasting); ok && fading {
		snapshot = whole.Scanner
	}
	return snapshot.Scan(span)
}

// flush sends the frame being filled. One that is not the last ends within a
// list, since only a record makes it full.
func (a *answerer) flush(last bool) error {
	if !last {
		a.verdicts.add(a.met, a.open.verdictBits())
	}
	b := appendAnswerHead(a.size(), answerHead{a.number, a.run, last}, a.ended, a.verdicts.bytes)
	a.ended, a.verdicts = 0, bitWriter{}
	return a.send(Frame{a.appendTo(b)})
}
