package store

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// The values that are neither records nor log entries each begin with a byte
// that names their format:
//
//	catalog, greatest number, own writer   01 number
//	entry of a vector                      01 seq
//	writer record                          01 writer record (crdt)
//	block of the index of writers          see writerindex.go
//	node-local value                       its bytes, as they are
const metaFormat = 1

// appendNumber appends the value of whatever is one number.
func appendNumber(dst []byte, n uint64) []byte {
	return crdt.AppendUint(append(dst, metaFormat), n)
}

// readNumber reads what appendNumber wrote; it may be up to most.
func readNumber(value []byte, most uint64) (uint64, error) {
	r, err := metaReader(value)
	if err != nil {
		return 0, err
	}
	n := r.Uint()
	if n > most {
		r.Fail(fmt.Sprintf("%d where at most %d is allowed", n, most))
	}
	return n, r.Done()
}

// appendWriterRecord appends the value of a writer record.
func appendWriterRecord(dst []byte, rec *crdt.WriterRecord) []byte {
	return crdt.AppendWriterRecord(append(dst, metaFormat), rec)
}

// readWriterRecord reads what appendWriterRecord wrote.
func readWriterRecord(value []byte) (*crdt.WriterRecord, error) {
	r, err := metaReader(value)
	if err != nil {
		return nil, err
	}
	rec := crdt.ReadWriterRecord(r)
	return &rec, r.Done()
}

func metaReader(value []byte) (*crdt.Reader, error) {
	if len(value) == 0 || value[0] != metaFormat {
		return nil, errFormat(value)
	}
	return crdt.NewReader(value[1:]), nil
}
