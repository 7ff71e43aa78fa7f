package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// salvage reads what can be read of a damaged Pebble, file by file: which
// files count only its MANIFEST says, which may be what is damaged. So all
// tables and logs are read, and of each key the newest version counts, by its
// sequence number; where that was zeroed (at the lowest level, and in tables
// that were ingested) by its file's number. What was overwritten may come
// through where the newer version cannot be read: whoever uses it must expect
// old versions. Of range tombstones those count that dropped a namespace: what
// others deleted is not looked at.
//
// All versions go into the scratch space of the new store, so that memory is
// bounded.
type salvage struct {
	ctx   context.Context
	store *Store
	fs    vfs.FS
	data  string // the damaged Pebble's directory
	done  *Repaired

	uncounted bool            // something was not read, and nobody knows how much
	dropped   map[uint32]bool // namespaces, by their numbers

	batch *pebble.Batch
	key   []byte
}

// scratchBatch is the size of the batches that scratch is written by: small
// against a memtable.
const scratchBatch = 512 << 10

// maxSalvagedBatch bounds a batch in a log: ten times what a delta's or a
// transaction's takes. A longer one is damage.
const maxSalvagedBatch = 1 << 30

func (v *salvage) run() error {
	names, err := v.fs.List(v.data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.Sort(names)
	v.batch = v.store.engine.DB.NewBatch()
	for _, name := range names {
		if err := v.file(name); err != nil {
			return errors.Join(err, v.batch.Close())
		}
	}
	if err := errors.Join(v.flush(), v.batch.Close()); err != nil {
		return err
	}
	p := pendingFiller{salvage: v}
	if err := p.run(); err != nil {
		return err
	}
	if err := v.store.engine.deleteRange([]byte{spaceScratch}, []byte{spaceScratch + 1}); err != nil {
		return err
	}
	return v.store.engine.sync()
}

// file reads one file. An error is of the new store; what cannot be read is
// noted.
func (v *salvage) file(name string) error {
	path := v.fs.PathJoin(v.data, name)
	var read func(path string, number uint64) error
	number := logNumber(name)
	if number > 0 {
		read = v.log
	} else if digits, table := strings.CutSuffix(name, ".sst"); table {
		read, number = v.table, fileNumber(digits)
	} else {
		return nil
	}
	err := unlessPanic(func() error { return read(path, number) })
	var failed *scratchError
	if errors.As(err, &failed) || v.ctx.Err() != nil {
		return errors.Join(err, v.ctx.Err())
	}
	if err != nil {
		v.missed(path, number, err)
	}
	return nil
}

// missed notes what of a file was not read.
func (v *salvage) missed(path string, number uint64, err error) {
	what := "what is in it"
	var gap *gapError
	if errors.As(err, &gap) {
		what, err = gap.what, gap.error
	}
	switch {
	case gap == nil || gap.entries == 0:
		v.uncounted = true
	default:
		v.done.Unread += gap.entries
	}
	if v.uncounted {
		v.done.Unread = 0
	}
	why := strings.TrimPrefix(plain(err).Error(), fmt.Sprintf("file %06d: ", number))
	v.done.Unreadable = append(v.done.Unreadable, fmt.Errorf("%s: %s: %s", path, what, why))
}

// gapError says what of a file was not read.
type gapError struct {
	error
	what    string
	entries uint64 // at most; 0: not known
}

func (e *gapError) Unwrap() error { return e.error }

// unlessPanic makes an error of a panic, which a damaged file can bring about.
func unlessPanic(call func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("pebble panicked: %v", p)
		}
	}()
	return call()
}

// scratchError is an error of writing what was read.
type scratchError struct{ error }

func (e *scratchError) Unwrap() error { return e.error }

// table reads a table: from its start up to a block that is bad, and then
// from its end down to one.
func (v *salvage) table(path string, number uint64) error {
	r, err := openTable(v.ctx, v.fs, path)
	if err != nil {
		return err
	}
	defer r.Close()
	unread := v.drops(r)
	last, ahead, err := v.walk(r, number, nil)
	if err == nil && unread != nil {
		return &gapError{error: unread, what: "what it says was dropped"}
	}
	if err == nil || errors.As(err, new(*scratchError)) {
		return err
	}
	_, behind, back := v.walk(r, number, append([]byte{}, last...))
	if errors.As(back, new(*scratchError)) {
		return back
	}
	return tableGap(err, v.entries(r), ahead, behind)
}

// tableGap says what a table has between the entries that were read from its
// start and from its end.
func tableGap(err error, all, ahead, behind uint64) *gapError {
	if all <= ahead+behind {
		return &gapError{error: err, what: fmt.Sprintf("what follows entry %d", ahead)}
	}
	what := fmt.Sprintf("entries %d to %d of %d", ahead+1, all-behind, all)
	return &gapError{error: err, what: what, entries: all - behind - ahead}
}

// entries returns how many a table has, 0 if it does not say.
func (v *salvage) entries(r *sstable.Reader) uint64 {
	p, err := r.ReadPropertiesBlock(v.ctx, nil)
	if err != nil {
		return 0
	}
	return p.NumEntries
}

// walk reads a table forward, or backward down to a key if that is not nil,
// and returns the key of the last pair that it read, and how many it did.
func (v *salvage) walk(r *sstable.Reader, number uint64, downTo []byte) (last []byte, n uint64, err error) {
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return nil, 0, err
	}
	defer it.Close()
	kv, next := it.First, it.Next
	if downTo != nil {
		kv, next = it.Last, it.Prev
	}
	for at := kv(); at != nil; at = next() {
		if downTo != nil && string(at.K.UserKey) <= string(downTo) {
			break
		}
		var value []byte
		kind := at.Kind()
		if kind == pebble.InternalKeyKindSet || kind == pebble.InternalKeyKindSetWithDelete {
			if value, _, err = at.Value(nil); err != nil {
				return last, n, err
			}
		}
		if err := v.put(at.K.UserKey, uint64(at.SeqNum()), number, kind, value); err != nil {
			return last, n, err
		}
		last = append(last[:0], at.K.UserKey...)
		n++
	}
	return last, n, it.Error()
}

// drops reads the range tombstones of a table.
func (v *salvage) drops(r *sstable.Reader) error {
	it, err := r.NewRawRangeDelIter(v.ctx, sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil || it == nil {
		return err
	}
	defer it.Close()
	span, err := it.First()
	for ; span != nil && err == nil; span, err = it.Next() {
		v.drop(span.Start)
	}
	return err
}

// drop takes the start of a range tombstone, which may be a fragment of one:
// only one that drops a namespace starts where that does.
func (v *salvage) drop(start []byte) {
	if len(start) == prefixLen && start[0] == spaceNamespace && start[prefixLen-1] == 0 {
		v.dropped[binary.BigEndian.Uint32(start[1:])] = true
	}
}

// log reads a WAL as far as it goes.
func (v *salvage) log(path string, number uint64) error {
	f, err := v.fs.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.batches(openLog(record.NewReader, f, number), number)
}

// openLog opens a WAL. The reader is passed in for the type of its number,
// which cannot be named here.
func openLog[N ~uint64](open func(io.Reader, N) *record.Reader, f io.Reader, number uint64) *record.Reader {
	return open(f, N(number))
}

func (v *salvage) batches(chunks *record.Reader, number uint64) error {
	for {
		chunk, err := chunks.Next()
		if err == nil {
			var repr []byte
			repr, err = io.ReadAll(io.LimitReader(chunk, maxSalvagedBatch))
			if err == nil {
				err = v.repr(repr, number)
			}
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, record.ErrZeroedChunk):
			return nil
		case record.IsInvalidRecord(err) && chunks.Offset() == 0:
			return nil // what a log that was reused held before
		case errors.As(err, new(*scratchError)):
			return err
		default:
			return &gapError{error: err, what: fmt.Sprintf("what follows byte %d", chunks.Offset())}
		}
	}
}

// repr takes what a batch writes.
func (v *salvage) repr(repr []byte, number uint64) error {
	head, ok := batchrepr.ReadHeader(repr)
	if !ok {
		return pebble.ErrInvalidBatch
	}
	seq, r := uint64(head.SeqNum), batchrepr.Read(repr)
	for {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil {
			return err
		}
		if err := v.put(key, seq, number, kind, value); err != nil {
			return err
		}
		if kind != pebble.InternalKeyKindLogData {
			seq++
		}
	}
}

// put takes one version of a key. The scratch space has them as
//
//	key   = 07 | key, ordered as it is and closed | ^seq (8) | ^file (8)
//	value = 01 value, or 00 if it was deleted
func (v *salvage) put(key []byte, seq, file uint64, kind pebble.InternalKeyKind, value []byte) error {
	there := byte(1)
	switch kind {
	case pebble.InternalKeyKindSet, pebble.InternalKeyKindSetWithDelete:
	case pebble.InternalKeyKindDelete, pebble.InternalKeyKindDeleteSized, pebble.InternalKeyKindSingleDelete:
		there, value = 0, nil
	case pebble.InternalKeyKindRangeDelete:
		v.drop(key)
		return nil
	default:
		return nil
	}
	if len(key) == 0 || key[0] == spaceStage || key[0] > spacePending {
		return nil
	}
	v.key = appendClosed(append(v.key[:0], spaceScratch), key)
	v.key = binary.BigEndian.AppendUint64(v.key, ^seq)
	v.key = binary.BigEndian.AppendUint64(v.key, ^file)
	err := v.batch.Set(v.key, append([]byte{there}, value...), nil)
	if err == nil && v.batch.Len() >= scratchBatch {
		err = v.flush()
	}
	if err == nil {
		err = v.ctx.Err()
	}
	if err != nil {
		return &scratchError{err}
	}
	return nil
}

func (v *salvage) flush() error {
	e := v.store.engine
	if err := e.admit(); err != nil {
		return err
	}
	if err := e.apply(v.batch, false); err != nil {
		return err
	}
	v.batch.Reset()
	return nil
}

// appendClosed appends key so that no other one that is appended so begins
// with it: a zero is followed by ff, and the end is 00 01.
func appendClosed(dst, key []byte) []byte {
	for _, c := range key {
		if dst = append(dst, c); c == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

// appendOpened appends what appendClosed made a key of, and returns what
// follows it.
func appendOpened(dst, b []byte) (key, rest []byte) {
	for i := 0; i+1 < len(b); i++ {
		if b[i] != 0 {
			dst = append(dst, b[i])
			continue
		}
		i++
		if b[i] == 1 {
			return dst, b[i+1:]
		}
		dst = append(dst, 0)
	}
	return dst, nil
}
