package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// Check reads all that the store holds and compares its parts:
//
//   - Pebble's levels are in order, and every block has its checksum;
//   - all that is there belongs to a namespace that is there;
//   - a vector is of writers with signed records, with those of all their
//     ancestors, and is what the next Open will find; it covers the floor;
//   - the index of writers says what their records say;
//   - every event of a record is covered by the vector and found by the log,
//     and no log entry is beyond the vector;
//   - every event that expires is found by the expiry index.
//
// It returns nil, errors that wrap ErrDamaged, joined, at most maxProblems for
// each namespace, or the error that kept it from reading on. It reads on
// snapshots, beside other calls, in memory that does not grow with the store.
// A store that it finds damaged takes no more writes, and is not opened again.
func (s *Store) Check(ctx context.Context) error {
	if err := s.use(); err != nil {
		return err
	}
	defer s.users.Done()
	err := s.check(ctx)
	s.engine.damaged(err)
	return err
}

func (s *Store) check(ctx context.Context) error {
	if err := s.engine.DB.CheckLevels(nil); err != nil {
		return levelError(err)
	}
	if err := s.checkTables(ctx); err != nil {
		return err
	}
	err := s.checkOwners()
	for _, name := range s.Namespaces() {
		if e := s.checkNamespace(ctx, name); e != nil && !errors.Is(e, ErrNoNamespace) {
			err = errors.Join(err, fmt.Errorf("check namespace %q: %w", name, e))
		}
	}
	return err
}

// levelError tells damage from a system that did not let us read. A file that is
// gone, or cannot be read where it is, is damage.
func levelError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != syscall.ENOENT && errno != syscall.EIO {
		return plain(err)
	}
	return fmt.Errorf("%w: %w", ErrDamaged, plain(err))
}

// maxProblems bounds what Check says of a namespace: one that is damaged at
// all is damaged in many places, and ten tell where.
const maxProblems = 10

// checkOwners looks for what no namespace owns.
func (s *Store) checkOwners() error {
	s.mu.RLock()
	snap := s.engine.DB.NewSnapshot()
	numbers := map[uint32]bool{}
	for _, n := range s.catalog {
		numbers[n] = true
	}
	s.mu.RUnlock()
	defer snap.Close()
	it, err := snap.NewIter(&pebble.IterOptions{
		LowerBound: []byte{spaceNamespace}, UpperBound: []byte{spaceNamespace + 1},
	})
	if err != nil {
		return readError(err)
	}
	defer it.Close()
	for ok := it.First(); ok; {
		if len(it.Key()) < prefixLen {
			return fmt.Errorf("%w: key %x", ErrDamaged, it.Key())
		}
		n := binary.BigEndian.Uint32(it.Key()[1:])
		if !numbers[n] {
			return fmt.Errorf("%w: key %x belongs to a namespace that is not there", ErrDamaged, it.Key())
		}
		_, upper := namespaceRange(n)
		ok = it.SeekGE(upper)
	}
	return readError(it.Error())
}

// checker checks one namespace.
type checker struct {
	ctx      context.Context
	ns       *Namespace
	snap     *Snapshot
	past     *crdt.Past
	hash     maphash.Hash // with a seed of its own
	swept    bool         // something was collected, so the expiry index is whole
	problems []error
}

func (s *Store) checkNamespace(ctx context.Context, name string) error {
	ns, err := s.Namespace(name)
	if err != nil {
		return err
	}
	snap, err := ns.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	return ns.check(ctx, snap)
}

// check checks what a snapshot shows, whatever is written meanwhile.
func (ns *Namespace) check(ctx context.Context, snap *Snapshot) (err error) {
	c := &checker{ctx: ctx, ns: ns, snap: snap, past: snap.Past()}
	if _, c.swept, err = ns.loadSweep(snap.view.snap); err != nil {
		return err
	}
	return errors.Join(c.run(), errors.Join(c.problems...))
}

// run returns what kept it from going on.
func (c *checker) run() error {
	if err := errors.Join(c.lineage(), c.reopening()); err != nil {
		return err
	}
	logged, err := c.log()
	if err != nil {
		return err
	}
	held, err := c.records()
	if err != nil || logged == held {
		return err
	}
	c.problem("the log finds %d events, the records have %d", logged.count, held.count)
	return c.unlogged()
}

func (c *checker) problem(format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, args...)...))
	}
}

// lineage checks that the vector is closed, its writers' records, and that what
// Open took from their index is what they say.
func (c *checker) lineage() error {
	for _, w := range c.ns.Unknown(c.past.Normal()) {
		c.problem("the vector covers writer %s, which has no record", w)
	}
	if floor := c.snap.Floor(); !c.past.CoversAll(floor) {
		c.problem("the floor is beyond the vector: %v", c.past.Behind(c.ns.Past(floor)))
	}
	for _, w := range c.past.Since(&crdt.Past{}) {
		rec, err := c.ns.writerRecord(w)
		if err != nil && !errors.Is(err, ErrDamaged) {
			return err
		}
		if err == nil && rec == nil {
			err = errors.New("it is not there")
		}
		if err == nil {
			err = rec.Verify()
		}
		if err == nil {
			err = c.ns.lineage.agrees(w, rec)
		}
		if err != nil {
			c.problem("the record of writer %s: %w", w, err)
		}
	}
	return scanIndex(c.snap.view.snap, c.ns.index, func(k, _ int, block []byte) error {
		if l := &c.ns.lineage; k >= l.indexed || !bytes.Equal(block, l.appendIndexBlock(nil, k)) {
			c.problem("block %d of the index of writers is not what the next open would write", k)
		}
		return nil
	})
}

// agrees checks a record against what is held of its writer.
func (l *lineage) agrees(w crdt.WriterID, rec *crdt.WriterRecord) error {
	node, _ := l.known.Node(w)
	if rec.Writer != w || rec.Node != node || !slices.Equal(rec.Parents, l.known.Parents(w)) {
		return errors.New("the index of writers says something else")
	}
	return nil
}

// reopening checks that the next Open will find this vector and floor.
func (c *checker) reopening() error {
	ns, snap := c.ns, c.snap.view.snap
	found, err := ns.loadEntries(snap, ns.vectors)
	if err != nil {
		return err
	}
	if n, ok, err := getNumber(snap, ns.ownKey()); err != nil {
		return err
	} else if ok {
		seq, err := logTail(snap, ns.log, n)
		if err != nil {
			return err
		}
		if w, known := ns.lineage.writer(uint64(n)); known && seq > 0 {
			found.Advance(w, seq)
		}
	}
	if floor, err := ns.loadFloor(snap); err != nil {
		return err
	} else if !floor.Equal(c.snap.Floor()) {
		c.problem("the next open would find the floor %v, not %v", floor.Entries(), c.snap.Floor().Entries())
	}
	if past := ns.Past(found); !past.Equal(c.past) {
		c.problem("the next open would find the vector %v, not %v", past.Normal().Entries(), c.past.Normal().Entries())
	}
	return nil
}

// tally is a multiset of (transaction, key), as its size and a sum of hashes:
// two are equal if these are, but for a chance of 2^-64.
type tally struct{ count, sum uint64 }

func (c *checker) add(t *tally, d crdt.Dot, key []byte) {
	c.hash.Reset()
	c.hash.Write(d.Writer[:])
	c.hash.Write(binary.BigEndian.AppendUint64(nil, d.Seq))
	c.hash.Write(key)
	t.count++
	t.sum += c.hash.Sum64()
}

// log checks the log, and tallies those of its keys that are live.
func (c *checker) log() (live tally, err error) {
	ns := c.ns
	it, err := c.snap.view.snap.NewIter(&pebble.IterOptions{LowerBound: ns.log[:], UpperBound: ns.log.end()})
	if err != nil {
		return live, readError(err)
	}
	defer it.Close()
	records, err := c.snap.seeker()
	if err != nil {
		return live, err
	}
	defer records.Close()
	for ok := it.First(); ok; ok = it.Next() {
		n, seq, ok := splitLogged(it.Key())
		w, known := ns.lineage.writer(uint64(n))
		if !ok || !known || !c.past.Covers(crdt.Dot{Writer: w, Seq: seq}) {
			c.problem("log key %x is beyond the vector", it.Key())
			continue
		}
		var failed error
		err := readLogKeys(it.Value(), func(key []byte) bool {
			var rec crdt.Record
			if rec, failed = records.get(crdt.Key(key)); failed == nil && holds(rec, crdt.Dot{Writer: w, Seq: seq}) {
				c.add(&live, crdt.Dot{Writer: w, Seq: seq}, key)
			}
			return failed == nil
		})
		if err != nil {
			c.problem("log key %x: %w", it.Key(), err)
		}
		if failed = errors.Join(failed, c.ctx.Err()); failed != nil {
			return live, failed
		}
	}
	return live, readError(it.Error())
}

func holds(rec crdt.Record, d crdt.Dot) bool {
	return slices.ContainsFunc(rec, func(e crdt.Event) bool { return e.Dot == d })
}

// records checks the records, and tallies their events.
func (c *checker) records() (held tally, err error) {
	for e, err := range c.snap.Scan(crdt.AllKeys) {
		if err = errors.Join(err, c.ctx.Err()); err != nil {
			return held, err
		}
		if len(e.Record) == 0 {
			c.problem("record %q has no events", string(e.Key))
		}
		for i := range e.Record {
			d := e.Record[i].Dot
			if !c.past.Covers(d) {
				c.problem("record %q has the event %s:%d, which the vector does not cover", string(e.Key), d.Writer, d.Seq)
			}
			c.add(&held, d, []byte(e.Key))
			if err := c.expiry(&e, i); err != nil {
				return held, err
			}
		}
	}
	return held, nil
}

// expiry checks that the i-th event of a record is found when it expires. What
// a first release carried is found by the first collection.
func (c *checker) expiry(e *crdt.Entry, i int) error {
	expires := e.Record[i].Expires
	if expires == 0 || !c.swept {
		return nil
	}
	found, err := c.ns.indexed(c.snap.view.snap, e.Key, expires)
	if err == nil && !found {
		d := e.Record[i].Dot
		c.problem("record %q has the event %s:%d, which is not in the expiry index", string(e.Key), d.Writer, d.Seq)
	}
	return err
}

// unlogged names events that the log does not find.
func (c *checker) unlogged() error {
	for e, err := range c.snap.Scan(crdt.AllKeys) {
		if err = errors.Join(err, c.ctx.Err()); err != nil || len(c.problems) == maxProblems {
			return err
		}
		for i := range e.Record {
			d, found := e.Record[i].Dot, false
			n, _ := c.ns.lineage.number(d.Writer)
			at := []stretch{{n, d.Seq - 1, d.Seq}}
			err := scanLog(c.snap.view.snap, c.ns.log, at, func(_ uint32, _ uint64, key []byte) bool {
				found = string(key) == string(e.Key)
				return !found
			})
			if err != nil {
				return err
			}
			if !found {
				c.problem("record %q has the event %s:%d, which is not in the log", string(e.Key), d.Writer, d.Seq)
			}
		}
	}
	return nil
}
