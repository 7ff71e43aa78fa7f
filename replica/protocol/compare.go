package protocol

import (
	"encoding/binary"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// A compare asks about ranges of keys: it says what the asker has there. What
// it asks for is an answer.
//
//	compare = [12 number run [*range]]
//	number  = the sender's number of the namespace
//	run     = which run of comparisons this belongs to
//	range   = [shared suffix count fingerprint]   which add up to this
//	        | [shared suffix ids]                 or are these records
//	        | [shared suffix]                     or are not asked about
//
// A range begins where the one before it ends, the first one at the first key
// of all. It ends below the boundary that the first shared bytes of the one
// before and suffix make up; both empty stand for the end of all keys. No
// more is shared than can be, and no two ranges in a row, nor the last one,
// are not asked about: so there is one encoding.
//
//	count       = uint, the number of records
//	fingerprint = uint, the high 8 bytes of the sum of their ids (summary.go)
//	ids         = bytes, the high 8 of the id of each, in key order
//
// An empty list of ids says that the asker has nothing there.
type ask struct {
	crdt.Span
	list               bool
	ids                []byte // if list
	count, fingerprint uint64 // if not
}

const (
	compareFields = 3
	idBytes       = 8

	gapFields  = 2
	listFields = 3
	sumFields  = 4
)

type compareHead struct{ number, run uint64 }

// readCompareHead reads up to the ranges, which are AnswerCompare's.
func readCompareHead(r *crdt.Reader, fields int) compareHead {
	wantFields(r, fields, compareFields)
	return compareHead{readNumber(r), r.Uint()}
}

// encodeCompare returns a compare of asks in order, which keep the bounds.
func encodeCompare(number, run uint64, asks []ask) Frame {
	var ranges []byte
	var at crdt.Key
	n := 0
	begin := func(fields int, to crdt.Key) {
		same := shared(at, to)
		ranges = crdt.AppendArray(ranges, fields)
		ranges = crdt.AppendUint(ranges, uint64(same))
		ranges = crdt.AppendString(ranges, string(to[same:]))
		at = to
		n++
	}
	for i := range asks {
		a := &asks[i]
		if a.From != at {
			begin(gapFields, a.From)
		}
		if a.list {
			begin(listFields, a.To)
			ranges = crdt.AppendBytes(ranges, a.ids)
		} else {
			begin(sumFields, a.To)
			ranges = crdt.AppendUint(ranges, a.count)
			ranges = crdt.AppendUint(ranges, a.fingerprint)
		}
	}
	b := newMessage(32+len(ranges), compareFields, codeCompare)
	b = crdt.AppendUint(b, number)
	b = crdt.AppendUint(b, run)
	b = crdt.AppendArray(b, n)
	return Frame{append(b, ranges...)}
}

// readAsks reads what follows the head. It aliases body. Boundaries add up to
// TargetFrameBytes at most, so that short suffixes do not become much memory.
func readAsks(body []byte) ([]ask, error) {
	r := crdt.NewReader(body)
	var asks []ask
	var at crdt.Key
	n := r.Array(2 * MaxRangesPerFrame)
	left, gap := TargetFrameBytes, false
	for i := range n {
		fields := r.Array(sumFields)
		a := ask{Span: crdt.Span{From: at, To: readBoundary(r, at)}}
		if left -= len(a.To); left < 0 {
			r.Fail("boundaries over their bound")
		}
		switch fields {
		case gapFields:
			if gap || i == n-1 || a.To == "" {
				r.Fail("a range that is not asked about at the end, or behind another")
			}
		case listFields:
			a.list, a.ids = true, r.Bytes(LeafKeys*idBytes)
			if len(a.ids)%idBytes != 0 {
				r.Fail("part of an id")
			}
		case sumFields:
			a.count, a.fingerprint = r.Uint(), r.Uint()
		default:
			r.Fail(fmt.Sprintf("range of %d fields", fields))
		}
		if a.To == "" && i != n-1 {
			r.Fail("a range behind the end")
		}
		if r.Err() != nil {
			break
		}
		if gap = fields == gapFields; !gap {
			asks = append(asks, a)
		}
		at = a.To
	}
	if r.Err() == nil && (len(asks) == 0 || len(asks) > MaxRangesPerFrame) {
		r.Fail(fmt.Sprintf("%d ranges are asked about", len(asks)))
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: Compare: %w", ErrMalformed, err)
	}
	return asks, nil
}

// maxBoundaryBytes bounds a boundary: a separator is no longer than a key, and
// a position may be the least that follows a key.
const maxBoundaryBytes = crdt.MaxKeyBytes + 1

// readBoundary reads the end of a range that begins at at.
func readBoundary(r *crdt.Reader, at crdt.Key) crdt.Key {
	same, suffix := r.Uint(), r.String(maxBoundaryBytes)
	switch {
	case r.Err() != nil, same == 0 && suffix == "":
		return ""
	case same > uint64(len(at)), int(same)+len(suffix) > maxBoundaryBytes:
		r.Fail("boundary out of bounds")
		return ""
	}
	if rest := at[same:]; suffix == "" || rest != "" && suffix[0] <= rest[0] {
		r.Fail("boundary out of order, or not in its shortest form")
		return ""
	}
	return at[:same] + crdt.Key(suffix)
}

// place returns where id is in the list, or -1.
func (a *ask) place(id recordID) int {
	for i := 0; i < len(a.ids); i += idBytes {
		if binary.BigEndian.Uint64(a.ids[i:]) == id.high {
			return i / idBytes
		}
	}
	return -1
}

// verdictBits returns how many bits the verdict on a takes.
func (a *ask) verdictBits() int {
	if a.list {
		return len(a.ids) / idBytes
	}
	return 1
}
