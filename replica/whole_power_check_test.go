package replica

import (
	"context"
	"errors"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// verify opens what the cuts so far left: between steps, when the histories
// hold all that can be on a disk.
func (w *powerWorld) verify() {
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	for i, c := range pending {
		w.goesOn(c)
		w.cuts++
		if *everyCut && i%4 == 0 || i%16 == 0 {
			w.meets(c)
		}
	}
}

// goesOn opens what a cut left, and writes to it.
func (w *powerWorld) goesOn(c lostPower) {
	w.t.Helper()
	o := w.nodes[0].options
	o.FS, o.Identity, o.Peers = c.disk, w.nodes[0].identity, nil
	db, err := Open("db", o)
	if err != nil {
		w.t.Fatalf("after %s: %v", c.what, err)
	}
	defer func() { w.must(db.Close()) }()
	w.recovered(db, c)
	ns, err := db.Namespace("edge")
	w.must(err)
	w.must(ns.Update(context.Background(), func(tx *Tx) error {
		return crdt.NewRegister[string]("after the cut").Set(tx, "written")
	}))
}

// recovered checks what a database holds after a cut.
func (w *powerWorld) recovered(db *DB, c lostPower) {
	w.t.Helper()
	if err := db.store.Check(context.Background()); err != nil {
		w.t.Fatalf("after %s: %v", c.what, err)
	}
	for name, want := range c.promised.vectors {
		if ns, err := db.Lookup(name); errors.Is(err, ErrNoNamespace) && w.told.vectors[name] == nil {
			continue // its end had begun
		} else if err != nil || !ns.Vector().CoversAll(want) {
			w.t.Fatalf("after %s: %s lacks what was acknowledged (%v): want %v", c.what, name, err, want)
		}
	}
	for key, least := range c.promised.settings {
		value, err := db.store.Local(key)
		if err != nil || !w.lateEnough(key, string(value), least) {
			w.t.Fatalf("after %s: the setting %q is %q (%v), want %q or what came later", c.what, key, value, err, w.settings[key][least])
		}
	}
	w.readsAsWritten(db, c.what)
}

// readsAsWritten compares what is read with what the history says of what is
// covered: a part of a transaction reads as no history does.
func (w *powerWorld) readsAsWritten(db *DB, what string) {
	w.t.Helper()
	for _, name := range powerNames {
		ns, err := db.Lookup(name)
		if errors.Is(err, ErrNoNamespace) {
			continue
		}
		w.must(err)
		synctest.Wait()
		covers := ns.Vector()
		w.must(ns.View(context.Background(), func(v *View) error {
			got, err := seedReading(v)
			if want := seedExpected(w.histories[name].CoveredBy(covers), v.Time().UnixMilli()); got != want && err == nil {
				w.t.Fatalf("after %s: %s reads\n  %s\nthe history says\n  %s", what, name, got, want)
			}
			return err
		}))
	}
}

// meets links what a cut left with a copy of the peer, on a network of their
// own, and has them come to the same.
func (w *powerWorld) meets(c lostPower) {
	w.t.Helper()
	f := &wholeFleet{t: w.t, net: simnet.New(simnet.Options{Seed: c.seed}), authority: w.authority}
	for i, disk := range []*vfs.MemFS{c.disk, w.nodes[1].disk.CrashClone(vfs.CrashCloneCfg{})} {
		n := *w.nodes[i]
		n.fleet, n.disk, n.fs, n.db = f, disk, nil, nil
		n.listen = func() (transport.Network, error) {
			return f.net.Listen(n.identity.Credential(), n.address)
		}
		f.nodes = append(f.nodes, &n)
		n.open()
		f.nodes[i] = &n
	}
	defer f.close()
	for _, n := range f.nodes {
		n.namespace("edge")
	}
	f.pass(time.Second)
	f.converge("edge")
	for _, n := range f.nodes {
		w.readsAsWritten(n.db, c.what+", once synced")
	}
	w.met++
}
