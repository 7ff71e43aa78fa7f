package replica

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/sim"
)

// transact runs a random transaction, durable or buffered, and takes note of
// what it did and had seen.
func (w *seedWorld) transact(a, _ *seedNode, d *rand.Rand) {
	name := chosen(d, w.plan.Namespaces...)
	ops := make([]wholeOp, 1+d.IntN(4))
	for i := range ops {
		ops[i] = wholeOp{verb: d.IntN(seedVerbs), place: d.IntN(2), n: 1 + d.Int64N(9)}
		ttl := chosen(d, time.Millisecond, 50*time.Millisecond, 6*time.Second, 3*time.Minute)
		ops[i].expires = a.db.now() + ttl.Milliseconds()
		if ops[i].verb == setRegisterFor && happens(w.plan, sim.Clock) {
			ops[i].verb = setBrief // until clocks agree on an expiry, reads may differ
		}
	}
	synctest.Wait()
	ns, err := a.db.Namespace(name)
	if err != nil {
		w.excuse(a, err)
		return
	}
	seen := ns.Vector()
	var writer crdt.WriterID
	o := UpdateOptions{Buffered: d.IntN(3) == 0}
	err = ns.UpdateWith(context.Background(), o, func(tx *Tx) error {
		writer = tx.Writer()
		for _, op := range ops {
			if err := op.applySeed(tx); err != nil {
				return err
			}
		}
		return nil
	})
	w.excuse(a, err)
	after := ns.Vector()
	if after[writer] == seen[writer] {
		return // it had nothing to write, or was refused
	}
	dot := crdt.Dot{Writer: writer, Seq: after[writer]}
	if err == nil && !o.Buffered && a.drive.dead() == nil && !ns.store.Durable().Expand().Covers(dot) {
		w.t.Fatalf("%v acknowledged %v of %s, which is not on its disk", a, dot, name)
	}
	w.histories[name].Record(dot, a.timeOf(name, dot), seen, ops...)
	w.wire.note("   %s %v: %+v", name, dot, ops)
	w.check(a)
}

// checkAll checks every node, and that all hold the same.
func (w *seedWorld) checkAll() {
	for _, m := range w.members {
		w.check(m)
	}
	for _, name := range w.plan.Namespaces {
		var first [32]byte
		for i, m := range w.members {
			sum, err := m.namespace(name).Digest(context.Background())
			if err != nil {
				w.t.Fatalf("digest at %v: %v", m, err)
			}
			if i == 0 {
				first = sum
				w.wire.note("   %s has digest %x, %v", name, sum, m.namespace(name).Vector())
			}
			if sum != first {
				w.t.Fatalf("%v and %v cover the same of %s, and do not hold the same: %x and %x", m, w.members[0], name, sum, first)
			}
			for _, other := range w.members {
				if lost := m.namespace(name).Vector().Behind(other.held[name]); len(lost) > 0 {
					w.t.Fatalf("%v lacks %v of %s, which was on the disk of %v", m, lost, name, other)
				}
			}
		}
	}
}

// check compares what a node reads of what it holds with what the history
// says, and looks for what was on its disk.
func (w *seedWorld) check(m *seedNode) {
	if m.drive.dead() != nil {
		return // what it says is heard by nobody
	}
	for _, name := range w.plan.Namespaces {
		ns, err := m.db.Lookup(name)
		if errors.Is(err, ErrNoNamespace) {
			continue
		}
		if err != nil {
			w.t.Fatal(err)
		}
		synctest.Wait()
		var got string
		var now int64
		covers := ns.Vector()
		err = ns.View(context.Background(), func(v *View) (err error) {
			now = v.Time().UnixMilli()
			got, err = seedReading(v)
			return err
		})
		if err != nil {
			w.t.Fatalf("read %s at %v: %v", name, m, err)
		}
		if want := seedExpected(w.histories[name].CoveredBy(covers), now); got != want {
			w.t.Fatalf("%v, %s reads\n  %s\nthe history says\n  %s\nof %v", m, name, got, want, covers)
		}
		if lost := covers.Behind(m.held[name]); len(lost) > 0 {
			w.t.Fatalf("%v lost %v of %s, which was on its disk", m, lost, name)
		}
		if durable := ns.store.Durable().Expand(); m.drive.dead() == nil {
			m.held[name] = durable
		}
	}
}
