package store_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/store"
)

var (
	crashSeed  = flag.Uint64("crash-seed", 1, "in the power-cut tests, the seed of the first trace")
	crashSteps = flag.Int("crash-steps", 120, "in the power-cut tests, the steps of a trace")
	crashRuns  = flag.Uint64("crash-runs", 2, "in the power-cut tests, the traces")
	everyCut   = flag.Bool("every-cut", false, "in the power-cut tests, cut before every write, leaving each share in turn, not only before every fsync and a sample of the others")
)

// TestPowerCutAtAnyFsyncLosesNothingPromised runs a random trace of commits,
// deltas, reconciliations, collections, backups, flushes, compactions,
// reopenings and namespaces that come and go, and cuts the power before each
// fsync, leaving nothing, all or parts of what was not fsynced. What is left
// opens, agrees with itself (Store.Check), is exactly a state that the namespace
// had after one of its commits, covers all that was acknowledged or durable,
// holds what its peers hold once they have filled it, and goes on with a writer
// of its own.
func TestPowerCutAtAnyFsyncLosesNothingPromised(t *testing.T) {
	saw := map[string]int{}
	cuts := 0
	for seed := *crashSeed; seed < *crashSeed+*crashRuns; seed++ {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			w := newCrashWorld(t, seed)
			w.seen = saw
			w.watch()
			for range *crashSteps {
				w.step()
				w.verify()
			}
			w.ok(w.store.Close())
			w.verify()
			if w.cuts < *crashSteps/3 {
				t.Fatalf("only %d cuts", w.cuts)
			}
			t.Logf("%d cuts verified", w.cuts)
			cuts += w.cuts
		})
	}
	for _, what := range []string{"delta in memory", "delta staged", "delta joined", "delta fast-forwarded", "reconciliation", "collection", "drop"} {
		if saw[what] == 0 && int(*crashRuns)**crashSteps >= 240 {
			t.Errorf("the traces have no %s", what)
		}
	}
	t.Log(saw)
	t.Attr("crash-points", fmt.Sprint(cuts))
	t.Attr("fault.power-cut", fmt.Sprint(cuts))
}

// TestStoreThatKeepsLosingPowerConverges goes on with what each cut left. Its
// peers may know what it lost, and bring it back.
func TestStoreThatKeepsLosingPowerConverges(t *testing.T) {
	for seed := *crashSeed; seed < *crashSeed+*crashRuns; seed++ {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			w := newCrashWorld(t, seed)
			for range *crashSteps {
				w.step()
				if w.rng.IntN(8) == 0 {
					all := w.kind.Leaves()
					w.losePower(all[w.rng.IntN(len(all))])
				}
			}
			w.converge()
			w.ok(w.store.Close())
		})
	}
}

// losePower goes on with what a cut leaves.
func (w *crashWorld) losePower(percent int) {
	w.mu.Lock()
	c := powerCut{percent: percent, seed: w.rng.Uint64(), promise: w.acked.clone()}
	w.mu.Unlock()
	c.disk = w.disk.Cut(percent, c.seed)
	w.ok(w.store.Close()) // on the old disk, which nobody looks at again
	w.disk = crashdisk.New(c.disk, w.kind)
	w.acked = c.promise // what became durable in Close is not on the new disk
	w.open()
	for incarnation, at := range w.recovered(w.store, c) {
		l := w.lines[incarnation]
		l.states = l.states[:at+1]
		w.acked.durable[incarnation] = l.head().vector.Clone()
	}
	local, err := w.store.Local("key")
	w.ok(err)
	for i, v := range w.locals {
		if v == string(local) {
			w.acked.local = i
		}
	}
}

// step takes one step of the trace.
func (w *crashWorld) step() {
	name := crashNames[0]
	if w.acked.catalog[crashNames[1]] > 0 && w.rng.IntN(3) == 0 {
		name = crashNames[1]
	}
	ns, err := w.store.Namespace(name)
	w.ok(err)
	p := w.peers[w.rng.IntN(2)]
	switch n := w.rng.IntN(110); {
	case n >= 103:
		w.tidy(ns, p, n)
	case n < 25:
		w.commit(ns, false)
	case n < 45:
		w.commit(ns, true)
	case n < 50:
		w.ok(ns.Sync(context.Background()))
	case n < 62:
		w.peerCommits(p, name)
	case n < 70:
		w.pull(ns, p)
	case n < 78: // by then the peer has seen all of ours
		w.peerPulls(p, ns)
		w.peerCommits(p, name)
		w.pull(ns, p)
	case n < 86:
		w.peerPulls(p, ns)
	case n < 90:
		w.peersMeet(name)
	case n < 93:
		w.ok(w.store.Flush())
	case n < 95:
		w.setLocal()
	case w.sick.Load(): // what follows would leave the world unsure
	case n < 97:
		w.reopen()
	default:
		w.comeOrGo()
	}
}

// randomOps returns ops of 1 to most of 12 keys.
func (w *crashWorld) randomOps(most, bytes int) (ops []store.Op) {
	for _, k := range w.rng.Perm(12)[:1+w.rng.IntN(most)] {
		op := store.Op{Key: numbered(k), Removed: w.rng.IntN(4) == 0}
		if !op.Removed {
			op.Value = []byte(strings.Repeat(fmt.Sprint(w.clock, " "), 1+bytes/8))
		}
		ops = append(ops, op)
	}
	return ops
}

func (w *crashWorld) commit(ns *store.Namespace, buffered bool) {
	ops := w.randomOps(4, w.rng.IntN(3000))
	if w.rng.IntN(3) == 0 { // at a key that is far from those that peers write
		ops = []store.Op{set(numbered(1000), fmt.Sprint(w.clock))}
	}
	d, err := ns.Commit(&store.Write{Ops: ops, Buffered: buffered})
	if d.Seq > 0 { // also where its fsync failed: then it may be on disk
		w.committed(ns, d, ops)
	}
	w.ok(err)
	if !buffered {
		w.promised(func(p *promise) {
			v := p.durable[ns.Incarnation()].Clone()
			v.Advance(d.Writer, d.Seq)
			p.durable[ns.Incarnation()] = v
		})
	}
}

// committed takes note of a commit of the store's.
func (w *crashWorld) committed(ns *store.Namespace, d crdt.Dot, ops []store.Op) {
	if w.issued[d] {
		w.t.Fatalf("dot %s:%d is used again", d.Writer, d.Seq)
	}
	w.issued[d] = true
	time := timeAt(w.t, ns, ops[0].Key)
	w.lines[ns.Incarnation()].advance(func(m *model) { m.commit(d, time, ops) })
}

// timeAt reads the timestamp of the commit that just wrote k.
func timeAt(t tb, ns *store.Namespace, k crdt.Key) crdt.Timestamp {
	t.Helper()
	s, err := ns.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rec, err := s.Get(k)
	if err != nil || len(rec) != 1 {
		t.Fatalf("a blind put left %v (%v)", rec, err)
	}
	return rec[0].Time
}

func (w *crashWorld) peerNamespace(p *peer, name string) *store.Namespace {
	ns, err := p.store.Namespace(name)
	w.ok(err)
	return ns
}

func (w *crashWorld) peerCommits(p *peer, name string) {
	ns := w.peerNamespace(p, name)
	for range 1 + w.rng.IntN(4) {
		ops := w.randomOps(12, w.rng.IntN(500))
		d := commit(w.t, ns, ops...)
		p.models[name].commit(d, timeAt(w.t, ns, ops[0].Key), ops)
	}
}

// overtake commits in the middle of an apply. On a sick disk that fails, and
// the apply is to find out by itself.
func (w *crashWorld) overtake(ns *store.Namespace) {
	defer func() {
		if p := recover(); p != nil && p != errSick {
			panic(p)
		}
	}()
	w.commit(ns, true)
}

// peerPulls brings a peer what the store has; mostly only what is durable, as
// the protocol does, so that the peer learns of nothing that a cut takes.
func (w *crashWorld) peerPulls(p *peer, ns *store.Namespace) {
	if w.rng.IntN(4) > 0 {
		w.ok(ns.Sync(context.Background()))
	}
	_, err := w.exchange(w.peerNamespace(p, ns.Name()), ns, func() {})
	w.ok(err)
	p.models[ns.Name()].merge(w.lines[ns.Incarnation()].head())
}

func (w *crashWorld) peersMeet(name string) {
	a, b := w.peers[0], w.peers[1]
	for _, pair := range [][2]*peer{{a, b}, {b, a}} {
		_, err := w.exchange(w.peerNamespace(pair[0], name), w.peerNamespace(pair[1], name), func() {})
		w.ok(err)
		pair[0].models[name].merge(pair[1].models[name])
	}
}

func (w *crashWorld) reopen() {
	w.ok(w.store.Close())
	w.promised(func(p *promise) { // Close makes all durable
		for _, incarnation := range p.catalog {
			p.durable[incarnation] = w.lines[incarnation].head().vector.Clone()
		}
	})
	w.open()
}

func (w *crashWorld) setLocal() {
	value := fmt.Sprint("value ", len(w.locals))
	w.locals = append(w.locals, value)
	w.ok(w.store.SetLocal("key", []byte(value)))
	w.promised(func(p *promise) { p.local = len(w.locals) - 1 })
}

// comeOrGo makes the second namespace, or drops it.
func (w *crashWorld) comeOrGo() {
	name := crashNames[1]
	if w.acked.catalog[name] == 0 {
		w.create(name)
		return
	}
	w.ok(w.store.Drop(name))
	w.saw("drop", true)
	w.promised(func(p *promise) {
		delete(p.durable, p.catalog[name])
		delete(p.catalog, name)
	})
}

func (w *crashWorld) create(name string) {
	ns, err := w.store.Create(name)
	w.ok(err)
	w.lines[ns.Incarnation()] = &line{name, []*model{newModel()}}
	w.promised(func(p *promise) { p.catalog[name] = ns.Incarnation() })
}

// converge brings everything to everyone, and compares.
func (w *crashWorld) converge() {
	for name, incarnation := range w.acked.catalog {
		ns, err := w.store.Namespace(name)
		w.ok(err)
		for range 2 {
			for _, p := range w.peers {
				w.pull(ns, p)
				w.peerPulls(p, ns)
			}
		}
		want := w.lines[incarnation].head()
		w.ok(want.differs(ns))
		w.ok(w.store.Check(context.Background()))
		if n := w.store.Staged(w.t); n > 0 {
			w.t.Fatalf("with everything merged %d keys are staged", n)
		}
		for _, p := range w.peers {
			other := w.peerNamespace(p, name)
			if !other.Vector().Equal(ns.Vector()) {
				w.t.Fatalf("%q: vectors %v and %v", name, other.Vector(), ns.Vector())
			}
			w.ok(want.differs(other))
		}
	}
}
