package protocol

import "github.com/anabranch-db/anabranch/crdt"

// An answer is one or more frames, one behind the other, which go through the
// ranges of a compare in order.
//
//	answer   = [13 number run last ended verdicts table records]
//	number   = the sender's number of the namespace
//	run      = that of the compare
//	last     = bool, whether this is the last frame; all ranges ended then
//	ended    = uint, how many ranges end in this frame
//	verdicts = bytes, a bit sequence, the lowest bit of a byte first, filled up
//	           with 0: the verdict on each range that ends in this frame, and,
//	           if it is not the last, on the list that goes on in the next
//	verdict  = a bit, 1 if the range adds up to the same here, or
//	           a bit for each id of a list, 1 if that record was met
//	table records = a block (recordblock.go): the records in the ranges with
//	           lists that are not listed there, in key order
//
// A verdict on a list that goes on covers what lies below the end of the
// frame's records, so that the asker knows at once which of its keys are gone.
type answerHead struct {
	number, run uint64
	last        bool
}

const answerFields = 7

// maxVerdictBytes bounds the verdicts of a frame.
const maxVerdictBytes = MaxRangesPerFrame * LeafKeys / 8

// appendAnswerHead returns a message up to the table, with room for size bytes
// more.
func appendAnswerHead(size int, h answerHead, ended int, verdicts []byte) []byte {
	b := newMessage(64+len(verdicts)+size, answerFields, codeAnswer)
	b = crdt.AppendUint(b, h.number)
	b = crdt.AppendUint(b, h.run)
	b = crdt.AppendBool(b, h.last)
	b = crdt.AppendUint(b, uint64(ended))
	return crdt.AppendBytes(b, verdicts)
}

// readAnswerHead reads up to ended; Comparer reads the rest.
func readAnswerHead(r *crdt.Reader, fields int) answerHead {
	wantFields(r, fields, answerFields)
	return answerHead{readNumber(r), r.Uint(), r.Bool()}
}

// answersInColumns reports whether the records of an answer, of which body is what
// readAnswerHead leaves, are in columns.
func answersInColumns(body []byte) bool {
	r := crdt.NewReader(body)
	r.Uint()
	r.Bytes(maxVerdictBytes)
	return r.Err() == nil && isColumns(r.Rest())
}

// bitWriter appends verdicts to a sequence of bits.
type bitWriter struct {
	bytes []byte
	n     int
}

// add appends the n lowest bits of set, the lowest first.
func (w *bitWriter) add(set uint32, n int) {
	for i := range n {
		if w.n%8 == 0 {
			w.bytes = append(w.bytes, 0)
		}
		w.bytes[w.n/8] |= byte(set>>i&1) << (w.n % 8)
		w.n++
	}
}

// bitReader reads what bitWriter wrote.
type bitReader struct {
	bytes []byte
	n     int
}

// take reads n bits; ok is false if there are fewer.
func (r *bitReader) take(n int) (set uint32, ok bool) {
	if r.n+n > 8*len(r.bytes) {
		return 0, false
	}
	for i := range n {
		set |= uint32(r.bytes[r.n/8]>>(r.n%8)&1) << i
		r.n++
	}
	return set, true
}

// done reports whether nothing is left but what fills up the last byte.
func (r *bitReader) done() bool {
	return len(r.bytes) == (r.n+7)/8 && (r.n%8 == 0 || r.bytes[r.n/8]>>(r.n%8) == 0)
}
