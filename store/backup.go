package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// A backup is all that a store holds at one moment, but for what is staged:
// the pairs of Pebble as keys.go lays them out, in order, in checked blocks.
//
//	backup  = "anabranch backup 1\n" *block end
//	block   = length check payload
//	length  = 4 bytes, big-endian, of the payload: 1 to maxBackupBlock
//	check   = 4 bytes, big-endian: the CRC-32C of the payload
//	payload = *(key value), a msgpack bin each
//	end     = a block whose payload is nil and the number of all pairs, a uint
//
// The first line never changes but for the version, so that every release
// can read every later backup far enough to refuse it. The end tells a whole
// backup from one that broke off.
const (
	backupPrefix  = "anabranch backup "
	backupVersion = 1

	// backupBlock is the size at which a block ends: its eight bytes vanish
	// against it, and it is little to hold.
	backupBlock = 256 << 10
	// maxBackupBlock bounds a block of a single pair: a record of the
	// greatest size that a delta brings, with its key, takes a quarter.
	maxBackupBlock = 256 << 20
)

// ErrBackup says that something is no backup, not a whole one, or damaged.
var ErrBackup = errors.New("not a whole backup")

// Backup writes all that the store holds at one moment to w, beside other
// calls: every namespace at the same one. Node-local values go with it if
// keep, asked with their keys, says so; a nil keep keeps all. Nothing is
// written of files beside the store, such as keys. It ends early with the
// error of ctx or of w, or ErrClosed; what was written then is not a whole
// backup, and Restore says so.
func (s *Store) Backup(ctx context.Context, w io.Writer, keep func(localKey string) bool) error {
	snap, err := s.beginBackup()
	if err != nil {
		return err
	}
	defer s.endBackup(snap)
	if keep == nil {
		keep = func(string) bool { return true }
	}
	b := blocks{snap: snap, keep: keep, next: []byte{spaceCatalog}}
	block := fmt.Appendf(nil, "%s%d\n", backupPrefix, backupVersion)
	for err == nil && len(block) > 0 {
		if _, err := w.Write(block); err != nil { // for as long as it likes: Close does not wait
			return fmt.Errorf("write the backup: %w", err)
		}
		if err = ctx.Err(); err == nil {
			block, err = s.nextBlock(&b)
		}
	}
	return err
}

// beginBackup returns a snapshot of all, which ends with endBackup or Close.
func (s *Store) beginBackup() (*pebble.Snapshot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	snap := s.engine.DB.NewSnapshot()
	s.backups[snap] = struct{}{}
	return snap, nil
}

func (s *Store) endBackup(snap *pebble.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, open := s.backups[snap]; open {
		delete(s.backups, snap)
		snap.Close()
	}
}

// endBackups ends all. The store is closed, and nobody uses it any more.
func (s *Store) endBackups() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for snap := range s.backups {
		snap.Close()
	}
	clear(s.backups)
}

// nextBlock returns the next block, which is valid until it is called again;
// after the last it is empty.
func (s *Store) nextBlock(b *blocks) ([]byte, error) {
	if err := s.use(); err != nil {
		return nil, err
	}
	defer s.users.Done()
	return b.block()
}

// blocks makes the blocks of a backup.
type blocks struct {
	snap  *pebble.Snapshot
	keep  func(localKey string) bool
	next  []byte // where the next one begins; nil behind the last pair
	ended bool
	pairs uint64
	buf   []byte
}

// blockHead is what stands before a payload.
const blockHead = 8

func (b *blocks) block() ([]byte, error) {
	b.buf = append(b.buf[:0], make([]byte, blockHead)...)
	if b.next != nil {
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
	if len(b.buf) == blockHead {
		if b.ended {
			return nil, nil
		}
		b.ended = true
		b.buf = crdt.AppendUint(crdt.AppendNil(b.buf), b.pairs)
	}
	payload := b.buf[blockHead:]
	binary.BigEndian.PutUint32(b.buf, uint32(len(payload)))
	binary.BigEndian.PutUint32(b.buf[4:], crc32.Checksum(payload, castagnoli))
	return b.buf, nil
}

// fill adds pairs up to the size of a block.
func (b *blocks) fill() error {
	it, err := b.snap.NewIter(&pebble.IterOptions{LowerBound: b.next, UpperBound: []byte{spacePending + 1}})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		key := it.Key()
		switch {
		case key[0] == spaceStage:
			ok = it.SeekGE([]byte{spaceNamespace})
			continue
		case key[0] == spaceLocal && !b.keep(string(key[1:])):
			ok = it.Next()
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return readError(err)
		}
		n := len(key) + len(value)
		if n > maxBackupBlock/2 {
			return fmt.Errorf("back up the key %x: it has %d bytes, at most %d fit a backup", key, n, maxBackupBlock/2)
		}
		if len(b.buf) > blockHead && len(b.buf)+n > backupBlock {
			b.next = append([]byte{}, key...)
			return nil
		}
		b.buf = crdt.AppendBytes(crdt.AppendBytes(b.buf, key), value)
		b.pairs++
		ok = it.Next()
	}
	b.next = nil
	return readError(it.Error())
}
