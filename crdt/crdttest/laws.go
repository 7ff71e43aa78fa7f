package crdttest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"pgregory.net/rapid"
)

// Law is a law of replicated types, as failures quote it.
type Law string

// The laws, in the order in which they are tried.
const (
	CallsSucceed   Law = "calls succeed: every operation and every read succeeds on every state"
	Idempotent     Law = "idempotent: merging what is covered already changes nothing"
	Commutative    Law = "commutative: a merged with b is b merged with a"
	Associative    Law = "associative: (a merged with b) merged with c is a merged with (b merged with c)"
	DeltaIsState   Law = "delta equals state: a delta since what a replica covered, then or now, does what the whole state does"
	RoundTrip      Law = "round trip: a delta encoded and decoded is the same delta, byte for byte"
	Canonical      Law = "canonical bytes: one history gives the same bytes whenever it is played, and one state is read alike every time"
	Convergent     Law = "convergence: replicas that cover the same transactions hold and read the same"
	ReadsNoRemoval Law = "no fold reads a removal: what is read does not change when removals are collected"
	EqualsItsModel Law = "model equivalence: every state reads as the model computes it from the operations that it covers"
)

// laws returns the attempt at each law, in their order. Each fails on a line
// of its own, so that a case made smaller still breaks the law that it broke
// first.
func (w *world[Op]) laws() []attempt {
	return []attempt{
		{CallsSucceed, w.callsSucceed},
		{Idempotent, w.idempotent},
		{Commutative, w.commutative},
		{Associative, w.associative},
		{DeltaIsState, w.deltaIsState},
		{RoundTrip, w.roundTrip},
		{Canonical, w.canonical},
		{Convergent, w.convergent},
		{ReadsNoRemoval, w.readsNoRemoval},
		{EqualsItsModel, w.equalsItsModel},
	}
}

type attempt struct {
	law Law
	try func(t *rapid.T)
}

func (w *world[Op]) broken(t *rapid.T, law Law, how string) {
	t.Fatalf("lens %s breaks a law.\n\nThe law:\n  %s\n\nHow it is broken:\n  %s\n", w.lens.Name, law, how)
}

// merged returns a copy of the replica into which the others were merged, as
// whole states, one by one.
func (w *world[Op]) merged(t *rapid.T, into *crdt.Replica, others ...*crdt.Replica) *crdt.Replica {
	c := into.Clone()
	for _, o := range others {
		if err := w.merge(c, o.Delta(nil)); err != nil {
			w.broken(t, CallsSucceed, err.Error())
		}
	}
	return c
}

// differ says how two replicas differ, or nothing.
func (w *world[Op]) differ(t *rapid.T, a, b *crdt.Replica) string {
	x, y := w.mustObserve(t, a), w.mustObserve(t, b)
	switch {
	case x.read != y.read:
		return fmt.Sprintf("one reads %q, the other %q", x.read, y.read)
	case x.held != y.held:
		return fmt.Sprintf("one holds\n  %x\nthe other\n  %x", x.held, y.held)
	}
	return ""
}

func (w *world[Op]) mustObserve(t *rapid.T, r *crdt.Replica) observation {
	o, err := w.observe(r)
	if err != nil {
		w.broken(t, CallsSucceed, err.Error())
	}
	return o
}

func (w *world[Op]) callsSucceed(t *rapid.T) {
	if err := w.play(); err != nil {
		w.broken(t, CallsSucceed, err.Error())
	}
}

func (w *world[Op]) idempotent(t *rapid.T) {
	for i, a := range w.replicas {
		b := w.next(i)
		once := w.merged(t, a, b)
		if how := w.differ(t, once, w.merged(t, once, b, a, once)); how != "" {
			w.broken(t, Idempotent, how)
		}
	}
}

// next returns the replica after the i-th.
func (w *world[Op]) next(i int) *crdt.Replica { return w.replicas[(i+1)%len(w.replicas)] }

func (w *world[Op]) commutative(t *rapid.T) {
	for i, a := range w.replicas {
		b := w.next(i)
		if how := w.differ(t, w.merged(t, a, b), w.merged(t, b, a)); how != "" {
			w.broken(t, Commutative, how)
		}
	}
}

func (w *world[Op]) associative(t *rapid.T) {
	for i, a := range w.replicas {
		b, c := w.next(i), w.next(i+1)
		if how := w.differ(t, w.merged(t, a, b, c), w.merged(t, a, w.merged(t, b, c))); how != "" {
			w.broken(t, Associative, how)
		}
	}
}

func (w *world[Op]) deltaIsState(t *rapid.T) {
	a, b := w.replicas[0], w.replicas[1]
	whole := w.merged(t, a, b)
	sinces := []crdt.Vector{a.Vector()}
	for _, s := range w.states {
		if s.of == a {
			sinces = append(sinces, s.replica.Vector())
		}
	}
	for _, since := range sinces {
		c := a.Clone()
		if err := w.merge(c, b.Delta(since)); err != nil {
			w.broken(t, CallsSucceed, err.Error())
		}
		if how := w.differ(t, whole, c); how != "" {
			w.broken(t, DeltaIsState, how)
		}
	}
}

func (w *world[Op]) roundTrip(t *rapid.T) {
	a, b := w.replicas[0], w.replicas[1]
	encoded := crdt.AppendDelta(nil, b.Delta(a.Vector()))
	d, err := crdt.ReadDelta(encoded)
	if err != nil || !bytes.Equal(crdt.AppendDelta(nil, d), encoded) {
		w.broken(t, RoundTrip, fmt.Sprintf("%x comes back as %x, error %v", encoded, crdt.AppendDelta(nil, d), err))
	}
}

func (w *world[Op]) canonical(t *rapid.T) {
	again := &world[Op]{lens: w.lens, merge: w.merge, script: w.script}
	if err := again.play(); err != nil {
		w.broken(t, CallsSucceed, err.Error())
	}
	for i, r := range w.replicas {
		if how := w.differ(t, r, again.replicas[i]); how != "" {
			w.broken(t, Canonical, fmt.Sprintf("replica %d, played again: %s", i, how))
		}
		if how := w.differ(t, r, r); how != "" {
			w.broken(t, Canonical, fmt.Sprintf("replica %d, read again: %s", i, how))
		}
	}
}

func (w *world[Op]) convergent(t *rapid.T) {
	reached := map[crdt.VectorHash]*crdt.Replica{}
	for _, s := range w.states {
		h := s.replica.Vector().Hash()
		if reached[h] == nil {
			reached[h] = s.replica
		} else if how := w.differ(t, reached[h], s.replica); how != "" {
			w.broken(t, Convergent, fmt.Sprintf("after action %d: %s", s.action, how))
		}
	}
	backwards := slices.Clone(w.replicas)
	slices.Reverse(backwards)
	all := w.merged(t, w.replicas[0], w.replicas...)
	for _, r := range w.replicas {
		if how := w.differ(t, all, w.merged(t, r, backwards...)); how != "" {
			w.broken(t, Convergent, "after everybody got everything: "+how)
		}
	}
}

func (w *world[Op]) readsNoRemoval(t *rapid.T) {
	for _, s := range w.states {
		full := w.mustObserve(t, s.replica).read
		for _, drops := range collections() {
			read, err := w.lens.Observe(collected{s.replica.View(), drops})
			if err != nil {
				w.broken(t, CallsSucceed, err.Error())
			}
			if read != full {
				w.broken(t, ReadsNoRemoval, fmt.Sprintf("after action %d it reads %q, and %q once removals are collected", s.action, full, read))
			}
		}
	}
}

func (w *world[Op]) equalsItsModel(t *rapid.T) {
	if w.lens.Model == nil {
		return
	}
	for _, s := range w.states {
		want := w.lens.Model(append(w.history.CoveredBy(s.replica.Vector()), s.idle...))
		if got := w.mustObserve(t, s.replica).read; got != want {
			w.broken(t, EqualsItsModel, fmt.Sprintf("after action %d it reads %q, the model says %q", s.action, got, want))
		}
	}
}
