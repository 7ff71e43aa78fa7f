package bench

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// deltaRecords is how many records the deltas of the rows of applying have.
const deltaRecords = 500

// applyRows are of what a node does with what a peer sent.
func applyRows() []Row {
	return []Row{{
		Name: "apply/fast-forward", Work: "a delta of 500 records where nothing was written here",
		Raw: "a Pebble batch of 500 times 2 puts", Unit: "records/s", Goal: Goal{AtLeast: 0.8},
		Prepare: func(l *Lab) (Repetition, error) { return prepareApply(l, false) },
	}, {
		Name: "apply/both-wrote", Work: "a delta of 500 records that were written here as well",
		Raw: "a Pebble batch of 500 times a Get and 2 puts", Unit: "records/s", Goal: Goal{AtLeast: 0.9},
		Prepare: func(l *Lab) (Repetition, error) { return prepareApply(l, true) },
	}}
}

// applier has two namespaces of which one gets the deltas of the other.
type applier struct {
	from, to *store.Namespace
	keys     []crdt.Key
	both     bool // both write the same before each delta

	at, rawAt atomic.Uint64
	since     *crdt.Past // the sender's, before next
	next      []crdt.Entry
	vector    crdt.Vector // of next
}

func prepareApply(l *Lab, both bool) (Repetition, error) {
	a := &applier{both: both}
	var err error
	if a.from, err = openStore(l); err != nil {
		return nil, err
	}
	if a.to, err = openStore(l); err != nil {
		return nil, err
	}
	raw, err := openRaw(l)
	if err != nil {
		return nil, err
	}
	for i := range hotKeys {
		k, err := crdt.MakeKey(crdt.Path{fmt.Sprintf("%013d", i)}, crdt.TypeRegister, "")
		if err != nil {
			return nil, err
		}
		a.keys = append(a.keys, k)
	}
	if err := a.begin(); err != nil {
		return nil, err
	}
	for range hotKeys / deltaRecords {
		if err := rawPuts(raw, deltaRecords, &a.rawAt, false); err != nil {
			return nil, err
		}
	}
	return Turns{
		Each: deltaRecords, Turns: 40, Between: a.prepare, Ours: a.apply,
		Raw: func(n int) error { return rawPuts(raw, n, &a.rawAt, both) },
	}.Rate, nil
}

// openStore opens a store of its own, as a node of its own, and a namespace in
// it.
func openStore(l *Lab) (*store.Namespace, error) {
	dir, err := l.Dir()
	if err != nil {
		return nil, err
	}
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	s, err := store.Open(dir, store.Options{
		Node: crdt.NodeID(public),
		Sign: func(msg []byte) ([]byte, error) { return ed25519.Sign(key, msg), nil },
	})
	if err != nil {
		return nil, err
	}
	l.Cleanup(s.Close)
	return s.Create("bench")
}

// begin writes every key, and has the receiver get them.
func (a *applier) begin() error {
	value := make([]byte, valueBytes)
	for at := 0; at < len(a.keys); at += deltaRecords {
		w := store.Write{Buffered: true}
		for _, k := range a.keys[at : at+deltaRecords] {
			w.Ops = append(w.Ops, store.Op{Key: k, Value: value})
		}
		if _, err := a.from.Commit(&w); err != nil {
			return err
		}
	}
	a.since = a.from.Past(nil)
	return errors.Join(a.read(), a.apply(0))
}

// prepare has both write what they write, and reads the next delta.
func (a *applier) prepare() error {
	value := make([]byte, valueBytes)
	w := store.Write{Ops: make([]store.Op, 1), Buffered: true}
	for range deltaRecords {
		w.Ops[0] = store.Op{Key: a.keys[shuffled(&a.at)], Value: value}
		if _, err := a.from.Commit(&w); err != nil {
			return err
		}
		if !a.both {
			continue
		}
		if _, err := a.to.Commit(&w); err != nil {
			return err
		}
	}
	return a.read()
}

// read reads what the sender wrote since it was read last.
func (a *applier) read() error {
	snap, err := a.from.Snapshot()
	if err != nil {
		return err
	}
	defer snap.Close()
	a.next = nil
	for e, err := range snap.Changes(a.since) {
		if err != nil {
			return err
		}
		a.next = append(a.next, e)
	}
	records, err := a.from.WriterRecords(snap.Past().Since(a.since))
	if err != nil {
		return err
	}
	a.since, a.vector = snap.Past(), snap.Past().Normal()
	return a.to.Learn(records)
}

// apply applies the delta that was read last.
func (a *applier) apply(int) error {
	in := a.to.Begin()
	if err := in.Add(a.next...); err != nil {
		return err
	}
	done, err := in.Finish(a.vector, nil)
	if err == nil && a.both != (done.Read > 0) && !done.Staged {
		err = fmt.Errorf("%d of %d records were read", done.Read, done.Records)
	}
	return err
}

// rawPuts commits a batch of n records and log entries of the sizes that ours
// have; each record is read before, if so asked.
func rawPuts(db *pebble.DB, n int, at *atomic.Uint64, read bool) error {
	b := db.NewBatch()
	defer b.Close()
	var k, log [keyBytes + 2]byte
	var value [valueBytes + 20]byte
	log[0] = 1
	for range n {
		binary.BigEndian.PutUint64(k[:], shuffled(at))
		binary.BigEndian.PutUint64(log[10:], at.Load())
		if read {
			if _, closer, err := db.Get(k[:]); err == nil {
				closer.Close()
			}
		}
		if err := errors.Join(b.Set(k[:], value[:], nil), b.Set(log[:], value[:24], nil)); err != nil {
			return err
		}
	}
	return b.Commit(pebble.NoSync)
}
