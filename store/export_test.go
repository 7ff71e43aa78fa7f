package store

import (
	"context"
	"errors"
	"io"
	"iter"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// FinishOvertaken is Finish with something that happens between what is
// prepared on a snapshot and its publication.
func (in *Incoming) FinishOvertaken(to, floor crdt.Vector, overtake func()) (Applied, error) {
	in.overtake = overtake
	return in.Finish(to, floor)
}

// FinishOvertaken is Finish, as that of an Incoming.
func (r *Reconciliation) FinishOvertaken(overtake func()) (Applied, error) {
	r.overtake = overtake
	return r.Finish()
}

// Flush writes the memtable out, as a full one is.
func (s *Store) Flush() error { return s.engine.DB.Flush() }

// Compact compacts everything. On a disk that is frozen nothing is compacted, and
// Pebble would wait for it: then it returns why the disk is.
func (s *Store) Compact() error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	f := s.engine.faults
	go func() {
		for changed := f.change(); !f.frozen.Load(); changed = f.change() {
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
		cancel(f.fatal())
	}()
	err := s.engine.DB.Compact(ctx, []byte{0}, []byte{0xff}, false)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// SetFull has the store take its disk for full, or for one with room again.
func (s *Store) SetFull(full bool) { s.engine.faults.setFull(full) }

// OpenRaw opens the Pebble that a store of these options would have, for
// measuring against it.
func OpenRaw(dir string, o Options) (db *pebble.DB, closeDB func() error, err error) {
	e, err := openEngine(dir, engineOptions{FS: o.FS, CacheBytes: o.CacheBytes, MemTableBytes: o.MemTableBytes})
	if err != nil {
		return nil, nil, err
	}
	return e.DB, e.Close, nil
}

// RecentKeys is how many keys a transaction may be overtaken by.
const RecentKeys = recentKeys

// Build returns how many keys and bytes the batch of w has; it is not
// committed.
func (ns *Namespace) Build(t testing.TB, w *Write) (puts, bytes int) {
	ns.commits.Lock()
	defer ns.commits.Unlock()
	b := ns.store.engine.DB.NewBatch()
	defer b.Close()
	if _, err := ns.buildOwn(b, []*Write{w}); err != nil {
		t.Fatal(err)
	}
	return int(b.Count()), b.Len()
}

// Reads returns how many records were read one by one so far.
func (ns *Namespace) Reads() int64 { return ns.reads.Load() }

// FinishReading is Finish by reading every record, as if both sides had
// written it, and in memory.
func (in *Incoming) FinishReading(to crdt.Vector) (Applied, error) {
	ns := in.ns
	ns.applying.Lock()
	defer ns.applying.Unlock()
	a, err := ns.newApply(to, nil)
	if err != nil || a == nil {
		return Applied{}, err
	}
	defer a.close()
	a.touched.all = true
	if err := sortUnique(in.entries); err != nil {
		return Applied{}, err
	}
	m := newBatchMerge(a, in.entries)
	defer m.discard()
	if err := m.prepare(); err != nil {
		return Applied{}, err
	}
	defer ns.store.users.Done()
	return a.done, m.publish()
}

// Staged returns how many keys are staged.
func (s *Store) Staged(t tb) (n int) {
	it, err := s.engine.DB.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceStage}, UpperBound: []byte{spaceStage + 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer it.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n
}

// Pairs yields all keys and values in Pebble.
func (s *Store) Pairs(t testing.TB) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		it, err := s.engine.DB.NewIter(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer it.Close()
		for ok := it.First(); ok && yield(it.Key(), it.Value()); {
			ok = it.Next()
		}
	}
}

// ReadBackup reads a backup to its end and returns how many pairs it has.
func ReadBackup(in io.Reader) (pairs uint64, err error) {
	b := &backupReader{in: in}
	err = b.readAll(context.Background())
	return b.pairs, err
}

// DropExpiryIndex removes the expiry index of a namespace.
func (s *Store) DropExpiryIndex(t testing.TB, ns *Namespace) {
	t.Helper()
	if err := s.engine.deleteRange(ns.expiries[:], ns.expiries.end()); err != nil {
		t.Fatal(err)
	}
}

// MemoBytes returns what the memos of a namespace's store take.
func MemoBytes(ns *Namespace) int64 { return ns.store.memos.used.Load() }

// Entries returns how many entries of the vector are on disk.
func (ns *Namespace) Entries(t testing.TB) int {
	v, err := ns.loadEntries(ns.store.engine.DB, ns.vectors)
	if err != nil {
		t.Fatal(err)
	}
	return len(v)
}

// CheckSnapshot is Check of what a snapshot shows.
func CheckSnapshot(s *Snapshot) error { return s.ns.check(context.Background(), s) }

// NewestLog returns the keys that the memory of the log's last entries has of
// those of this run that lie above after, up to and including last, whether it
// remembers them all, and what the disk has of them. Both are in the log's order.
func (ns *Namespace) NewestLog(t testing.TB, after, last uint64) (remembered, logged []crdt.Key, known bool) {
	s := stretch{ns.own, after, last}
	keys, known := ns.newest.appendKeys(nil, s)
	for i := len(keys) - 1; i >= 0; i-- {
		remembered = append(remembered, keys[i].key)
	}
	err := scanLog(ns.store.engine.DB, ns.log, []stretch{s}, func(_ uint32, _ uint64, key []byte) bool {
		logged = append(logged, crdt.Key(key))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return remembered, logged, known
}

// ForgetNewestLog has the log be read from the disk.
func (ns *Namespace) ForgetNewestLog() { ns.newest.wrote(0, 0, &writes{any: true}) }

// StageLog is a stageLog with room for so many bytes in memory.
type StageLog struct{ log stageLog }

func NewStageLog(s *Store, room int) *StageLog {
	l := &StageLog{s.newStageLog(1)}
	l.log.room = room
	return l
}

func (l *StageLog) Add(writer uint32, seq uint64, k crdt.Key) error { return l.log.add(writer, seq, k) }

// Scan yields what there is of a writer above a sequence number.
func (l *StageLog) Scan(writer uint32, after uint64, yield func(seq uint64, k crdt.Key) error) error {
	r, err := l.log.open()
	if err != nil || r == nil {
		return err
	}
	return errors.Join(r.scan(writer, after, yield), r.close())
}

func (l *StageLog) Runs() int     { return len(l.log.runs) }
func (l *StageLog) Remove() error { return l.log.remove() }

// Queued returns how many transactions wait for another commit.
func (ns *Namespace) Queued() int {
	ns.queue.mu.Lock()
	defer ns.queue.mu.Unlock()
	return len(ns.queue.waiting)
}

// CompareEntries orders entries by their keys.
func CompareEntries(a, b crdt.Entry) int { return compareKey(a, b.Key) }
