package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/quic-go/quic-go"
)

// bulkFrame is how much is written to the stream at a time, as ours are.
const bulkFrame = 256 << 10

// bulk carries records over a bare QUIC stream into a Pebble.
type bulk struct {
	near *quic.Stream
	far  *bufio.Reader
	at   int // the key carried last
}

func openBulk(l *Lab) (*bulk, error) {
	near, far, err := barePipe(l)
	if err != nil {
		return nil, err
	}
	return &bulk{near: near, far: bufio.NewReaderSize(far, bulkFrame)}, nil
}

// carry sends n of so many records into a Pebble, in an order that is not the
// keys', and returns how long it takes until they are on disk.
func (p *bulk) carry(db *pebble.DB, n, of int) (time.Duration, error) {
	start := time.Now()
	stored := make(chan error, 1)
	go func() { stored <- p.store(db, n) }()
	buf, stride := make([]byte, 0, bulkFrame+payloadBytes), strideOf(of)
	var record [payloadBytes]byte
	for i := range n {
		p.at = (p.at + stride) % of
		binary.BigEndian.PutUint64(record[:], uint64(p.at))
		if buf = append(buf, record[:]...); len(buf) < bulkFrame && i < n-1 {
			continue
		}
		if _, err := p.near.Write(buf); err != nil {
			return 0, err
		}
		buf = buf[:0]
	}
	err := <-stored
	return time.Since(start), err
}

// store puts the next n records into a Pebble, and has them fsynced.
func (p *bulk) store(db *pebble.DB, n int) error {
	var record [payloadBytes]byte
	var log [keyBytes + 2]byte
	var value [valueBytes + 20]byte
	log[0] = 1
	b := db.NewBatch()
	defer func() { b.Close() }()
	for i := range n {
		if _, err := io.ReadFull(p.far, record[:]); err != nil {
			return err
		}
		binary.BigEndian.PutUint64(log[10:], uint64(i))
		copy(value[:], record[keyBytes:])
		if err := errors.Join(b.Set(record[:keyBytes], value[:], nil), b.Set(log[:], value[:24], nil)); err != nil {
			return err
		}
		if (i+1)%deltaRecords != 0 && i < n-1 {
			continue
		}
		if err := errors.Join(b.Commit(pebble.NoSync), b.Close()); err != nil {
			return err
		}
		b = db.NewBatch()
	}
	return db.LogData(nil, pebble.Sync)
}
