package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/store"
)

// seedHappenings are what can happen, by kind.
var seedHappenings = map[sim.Kind]struct {
	do   func(w *seedWorld, a, b *seedNode, d *rand.Rand)
	down bool // also to a node that does not run
}{
	sim.Act:     {do: (*seedWorld).transact},
	sim.Cut:     {do: (*seedWorld).cut, down: true},
	sim.Mend:    {do: (*seedWorld).mend, down: true},
	sim.Break:   {do: (*seedWorld).rebind},
	sim.Tamper:  {do: func(_ *seedWorld, a, _ *seedNode, d *rand.Rand) { a.setLoss(chosen(d, 0, 0.05, 0.3)) }, down: true},
	sim.Crash:   {do: (*seedWorld).crash},
	sim.Clone:   {do: (*seedWorld).clone},
	sim.Backup:  {do: (*seedWorld).backup},
	sim.Restore: {do: (*seedWorld).restore},
	sim.Drop:    {do: (*seedWorld).drop},
	sim.Clock:   {do: (*seedWorld).setClock},
	sim.Collect: {do: func(w *seedWorld, _, _ *seedNode, _ *rand.Rand) { w.pass(3 * time.Minute) }, down: true},
	sim.Urgent:  {do: (*seedWorld).prioritize},
}

// happen has one thing happen, and checks what a node reads then. What cannot
// be is left out: a plan that was made smaller may speak of a node that is not
// there.
func (w *seedWorld) happen(h sim.Happening) {
	if h.A >= len(w.members) || h.B >= len(w.members) {
		return
	}
	a, b := w.members[h.A], w.members[h.B]
	one := seedHappenings[h.Kind]
	if a.db == nil && !one.down {
		return
	}
	w.wire.note("-- %s %v, %v", h.Kind, a, b)
	w.happened[h.Kind]++
	one.do(w, a, b, w.draw(h.N))
	if b.db != nil {
		w.check(b)
	}
}

func (w *seedWorld) cut(a, b *seedNode, _ *rand.Rand) {
	w.cuts[[2]*seedNode{a, b}] = true
	w.part()
}

func (w *seedWorld) mend(a, b *seedNode, _ *rand.Rand) {
	delete(w.cuts, [2]*seedNode{a, b})
	delete(w.cuts, [2]*seedNode{b, a})
	w.part()
}

// part cuts the addresses that cut nodes have now.
func (w *seedWorld) part() {
	w.net.HealAll()
	for pair := range w.cuts {
		if pair[0] != pair[1] {
			w.net.Cut(pair[0].address, pair[1].address)
		}
	}
}

// rebind gives a node another address, of which it learns, or does not.
func (w *seedWorld) rebind(a, _ *seedNode, d *rand.Rand) {
	w.moves++
	w.move(a, fmt.Sprintf("10.9.0.%d:1", w.moves))
	if d.IntN(2) == 0 {
		if err := a.db.NetworkChanged(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *seedWorld) move(m *seedNode, to string) {
	if m.address != to {
		if err := w.net.Rebind(m.address, to); err != nil {
			w.t.Fatal(err)
		}
		m.address = to
	}
	w.part()
}

// setLoss sets the share of the node's packets that get lost.
func (m *seedNode) setLoss(share float64) {
	m.loss = share
	m.port.setLoss(share)
}

// crash ends a process in one of three ways, and it starts again later.
func (w *seedWorld) crash(a, _ *seedNode, d *rand.Rand) {
	switch d.IntN(3) {
	case 0:
		w.stop(a)
	case 1:
		w.kill(a, 0)
	case 2: // the process was killed, and the power stayed
		w.kill(a, 100)
	}
	w.startLater(a, d)
}

// kill ends a node with that share, 0 or 100, of what it has not synced kept.
// No word of it gets out.
func (w *seedWorld) kill(m *seedNode, percent int) {
	m.port.setLoss(1)
	left := m.image(percent)
	w.stop(m)
	m.disk = left
}

// image returns what would be on the disk if the power went now.
func (m *seedNode) image(percent int) *vfs.MemFS {
	return m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(0, 0))})
}

func (w *seedWorld) stop(m *seedNode) {
	db := m.db
	m.db = nil
	if err := db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *seedWorld) startLater(m *seedNode, d *rand.Rand) {
	m.back = time.Now().Add(chosen(d, 0, 0, 10*time.Second, 3*time.Minute))
	w.until(time.Now())
}

// maxSeedNodes bounds how many copies there are.
const maxSeedNodes = 6

// clone adds a copy of a device, made while that runs.
func (w *seedWorld) clone(a, _ *seedNode, d *rand.Rand) {
	if len(w.members) >= maxSeedNodes {
		return
	}
	o := a.options
	o.Peers = slices.Concat(a.options.Peers, []string{a.home})
	c := w.add(&wholeNode{identity: a.identity, disk: a.image(chosen(d, 0, 100)), options: o})
	c.clock.off.Store(a.clock.off.Load())
	for name, v := range a.held {
		c.held[name] = maps.Clone(v)
	}
	w.start(c)
}

func (w *seedWorld) backup(a, _ *seedNode, _ *rand.Rand) {
	var b bytes.Buffer
	if err := a.db.Backup(context.Background(), &b); err != nil {
		w.t.Fatal(err)
	}
	a.backup = b.Bytes()
}

// restore puts a backup in the place of a disk, which is lost.
func (w *seedWorld) restore(a, _ *seedNode, d *rand.Rand) {
	if a.backup == nil {
		return
	}
	w.kill(a, 0)
	a.disk = vfs.NewCrashableMem()
	err := store.Restore(context.Background(), "db", bytes.NewReader(a.backup), store.Options{FS: a.disk})
	if err != nil {
		w.t.Fatalf("restore %v: %v", a, err)
	}
	a.disk = a.image(0) // it is there when Restore returns
	clear(a.held)
	w.startLater(a, d)
}

// drop drops a namespace, or opens one that was dropped.
func (w *seedWorld) drop(a, _ *seedNode, d *rand.Rand) {
	name := chosen(d, w.plan.Namespaces...)
	if _, err := a.db.Lookup(name); errors.Is(err, ErrNoNamespace) {
		a.namespace(name)
		return
	}
	a.dropped(name)
	delete(a.held, name)
}

// setClock makes a node's clock wrong, or right.
func (w *seedWorld) setClock(a, _ *seedNode, d *rand.Rand) {
	day := time.Duration(d.Int64N(int64(48*time.Hour))) - 24*time.Hour
	a.clock.set(chosen(d, 0, -time.Hour, day, -since1970, tenYears))
}

func (w *seedWorld) prioritize(a, _ *seedNode, d *rand.Rand) {
	err := a.db.SetPriority(chosen(d, w.plan.Namespaces...), chosen(d, PriorityBulk, PriorityNormal, PriorityUrgent))
	if err != nil {
		w.t.Fatal(err)
	}
}
