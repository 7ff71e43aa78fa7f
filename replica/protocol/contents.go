package protocol

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"

	"github.com/anabranch-db/anabranch/crdt"
)

// lasting returns the events of a record that nodes which cover the same all
// hold: removals and values that expire are collected at different times.
func lasting(rec crdt.Record) crdt.Record {
	out := rec[:0:0]
	for i := range rec {
		if e := &rec[i]; !e.Removed && e.Expires == 0 {
			out = append(out, *e)
		}
	}
	return out
}

// Lasting is a snapshot without removals and without what expires.
type Lasting struct{ Scanner }

// Scan implements Scanner.
func (l Lasting) Scan(span crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for e, err := range l.Scanner.Scan(span) {
			if err == nil {
				if e.Record = lasting(e.Record); len(e.Record) == 0 {
					continue
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// ContentDigest returns the SHA-256 over the keys of all records of a snapshot
// that have an event which is no removal and does not expire, each with the
// canonical encoding of these events. Nodes with equal vectors have equal
// ones, or one of them lost or made up something. It calls rest after each so
// many records, whose error ends it.
func ContentDigest(snapshot Scanner, every int, rest func() error) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	var buf []byte
	n := 0
	for e, err := range (Lasting{snapshot}).Scan(crdt.AllKeys) {
		if err != nil {
			return sum, err
		}
		buf = crdt.AppendCanonical(crdt.AppendBytes(buf[:0], []byte(e.Key)), e.Record)
		h.Write(buf)
		if n++; n%every == 0 {
			if err := rest(); err != nil {
				return sum, err
			}
		}
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// NewContentSummary is NewSummary of what ContentDigest reads. Two records are
// the same in it if their contents are as well: also of one dot there may be
// two.
func NewContentSummary(snapshot Scanner) (*Summary, error) {
	s := &Summary{
		snapshot: Lasting{snapshot}, stride: LeafKeys, maxMarks: maxSummaryMarks, maxBytes: maxSummaryBytes, contents: true,
	}
	return s, s.read()
}

// ofContents is identifier.of where the contents count:
//
//	key record        the record in its canonical encoding
func (i *identifier) ofContents(e crdt.Entry) recordID {
	i.buf = crdt.AppendCanonical(crdt.AppendBytes(i.buf[:0], []byte(e.Key)), e.Record)
	sum := sha256.Sum256(i.buf)
	return recordID{binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint64(sum[8:])}
}
