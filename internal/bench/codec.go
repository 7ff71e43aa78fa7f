package bench

import (
	"encoding/binary"
	"errors"

	"github.com/anabranch-db/anabranch/crdt"
)

// codecRows are of the codec of records, which is in all that is written, sent
// and read.
func codecRows() []Row {
	return []Row{
		{
			Name: "codec/encode", Work: "a small record is encoded", Raw: "code written by hand for records of one event",
			Unit: "ns", Goal: Goal{AtMost: 2}, Prepare: prepareEncode,
		},
		{
			Name: "codec/decode", Work: "a small record is decoded", Raw: "code written by hand for records of one event",
			Unit: "ns", Goal: Goal{AtMost: 2}, Prepare: prepareDecode,
		},
	}
}

// smallRecord is what most records of a fleet are: one event, small numbers.
func smallRecord() crdt.Record {
	return crdt.Record{{
		Dot: crdt.Dot{Writer: crdt.WriterID{1}, Seq: 70_000}, Time: 1_700_000_000_000 << 16,
		Value: []byte{0xcd, 0x12, 0x34},
	}}
}

const codecTurn = 200_000

func prepareEncode(*Lab) (Repetition, error) {
	rec, buf := smallRecord(), make([]byte, 0, 64)
	index := func(crdt.WriterID) uint64 { return 5 }
	if string(appendByHand(nil, &rec[0], 5)) != string(crdt.AppendRecord(nil, rec, index)) {
		return nil, errors.New("what is written by hand is something else")
	}
	t := Turns{Each: codecTurn, Turns: 10}
	t.Ours = func(n int) error {
		for range n {
			buf = crdt.AppendRecord(buf[:0], rec, index)
		}
		return nil
	}
	t.Raw = func(n int) error {
		for range n {
			buf = appendByHand(buf[:0], &rec[0], 5)
		}
		return nil
	}
	return t.Nanos, nil
}

func prepareDecode(*Lab) (Repetition, error) {
	writers := []crdt.WriterID{5: {1}}
	writer := func(i uint64) (w crdt.WriterID, ok bool) {
		if i >= uint64(len(writers)) {
			return w, false
		}
		return writers[i], true
	}
	b := crdt.AppendRecord(nil, smallRecord(), func(crdt.WriterID) uint64 { return 5 })
	var e crdt.Event
	rec := make(crdt.Record, 0, 1)
	t := Turns{Each: codecTurn, Turns: 10}
	t.Ours = func(n int) error {
		r := crdt.NewReader(nil)
		for range n {
			r.Reset(b)
			if rec = crdt.ReadRecordInto(rec, r, writer); r.Done() != nil || len(rec) != 1 {
				return r.Err()
			}
		}
		return nil
	}
	t.Raw = func(n int) error {
		for range n {
			if !parseByHand(&e, b, writers) {
				return errors.New("a record does not parse")
			}
		}
		return nil
	}
	return t.Nanos, nil
}

// appendByHand appends a record of one event that neither expires nor has
// further fields: what a program writes that knows no others.
func appendByHand(dst []byte, e *crdt.Event, writer uint64) []byte {
	dst = append(dst, 0x91, 0x94)
	for _, u := range [...]uint64{writer, e.Seq, uint64(e.Time)} {
		switch {
		case u < 1<<7:
			dst = append(dst, byte(u))
		case u < 1<<8:
			dst = append(dst, 0xcc, byte(u))
		case u < 1<<16:
			dst = append(dst, 0xcd, byte(u>>8), byte(u))
		case u < 1<<32:
			dst = binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(u))
		default:
			dst = binary.BigEndian.AppendUint64(append(dst, 0xcf), u)
		}
	}
	switch n := len(e.Value); {
	case e.Removed:
		return append(dst, 0xc0)
	case n < 1<<8:
		dst = append(dst, 0xc4, byte(n))
	case n < 1<<16:
		dst = append(dst, 0xc5, byte(n>>8), byte(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xc6), uint32(n))
	}
	return append(dst, e.Value...)
}

// parseByHand reads what appendByHand wrote, and refuses all else, as a parser
// of bytes that nobody vouches for has to.
func parseByHand(e *crdt.Event, b []byte, writers []crdt.WriterID) bool {
	if len(b) < 2 || b[0] != 0x91 || b[1] != 0x94 {
		return false
	}
	var numbers [3]uint64
	at := 2
	for i := range numbers {
		if at >= len(b) {
			return false
		}
		c := b[at]
		at++
		if c < 0x80 {
			numbers[i] = uint64(c)
			continue
		}
		width := 1 << (c & 3)
		if c < 0xcc || c > 0xcf || len(b)-at < width {
			return false
		}
		u, least := uint64(0), uint64(1)<<7
		switch width {
		case 1:
			u = uint64(b[at])
		case 2:
			u, least = uint64(binary.BigEndian.Uint16(b[at:])), 1<<8
		case 4:
			u, least = uint64(binary.BigEndian.Uint32(b[at:])), 1<<16
		case 8:
			u, least = binary.BigEndian.Uint64(b[at:]), 1<<32
		}
		if u < least {
			return false
		}
		numbers[i], at = u, at+width
	}
	if numbers[0] >= uint64(len(writers)) || numbers[1] == 0 || at >= len(b) {
		return false
	}
	*e = crdt.Event{Dot: crdt.Dot{Writer: writers[numbers[0]], Seq: numbers[1]}, Time: crdt.Timestamp(numbers[2])}
	return valueByHand(e, b[at:])
}

// valueByHand takes the last field.
func valueByHand(e *crdt.Event, b []byte) bool {
	n, least, rest := -1, 0, b[1:] // least: a shorter value has a shorter form
	switch {
	case b[0] == 0xc0:
		e.Removed = true
		return len(rest) == 0
	case b[0] == 0xc4 && len(rest) >= 1:
		n, rest = int(rest[0]), rest[1:]
	case b[0] == 0xc5 && len(rest) >= 2:
		n, rest, least = int(binary.BigEndian.Uint16(rest)), rest[2:], 1<<8
	case b[0] == 0xc6 && len(rest) >= 4:
		n, rest, least = int(binary.BigEndian.Uint32(rest)), rest[4:], 1<<16
	}
	e.Value = rest
	return n >= least && len(rest) == n
}
