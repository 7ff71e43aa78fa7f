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
	sim.Tamper:  {do: (*seedWorld).lose, down: true},
	seedUnruly:  {do: (*seedWorld).disturb, down: true},
	seedRot:     {do: (*seedWorld).rot},
	sim.Crash:   {do: (*seedWorld).crash},
	sim.Clone:   {do: (*seedWorld).clone},
	sim.Backup:  {do: (*seedWorld).backup},
	sim.Restore: {do: (*seedWorld).restore},
	sim.Drop:    {do: (*seedWorld).drop},
	sim.Clock:   {do: (*seedWorld).setClock},
	sim.Collect: {do: func(w *seedWorld, _, _ *seedNode, _ *rand.Rand) { w.pass(3 * time.Minute) }, down: true},
	sim.Urgent:  {do: (*seedWorld).prioritize},
	sim.Fail:    {do: (*seedWorld).failDisk, down: true},
	seedPower:   {do: (*seedWorld).cutPower, down: true},
	seedFull:    {do: (*seedWorld).fillDisk, down: true},
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
		w.excuse(a, a.db.NetworkChanged())
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

// lose sets the share of a node's packets that get lost.
func (w *seedWorld) lose(a, _ *seedNode, d *rand.Rand) {
	f := a.fate
	f.lost = chosen(d, 0, 0.05, 0.3)
	a.setFate(f)
}

// disturb sets what else happens to them.
func (w *seedWorld) disturb(a, _ *seedNode, d *rand.Rand) {
	a.setFate(fates{
		lost: a.fate.lost, doubled: chosen(d, 0, 0.1, 0.5), late: chosen(d, 0, 0.1, 0.5), replayed: chosen(d, 0, 0.1, 0.5),
	})
}

func (m *seedNode) setFate(f fates) {
	m.fate = f
	m.port.setFate(f)
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
		w.excuse(a, err)
		return
	}
	a.backup = b.Bytes()
}

// restore puts a backup in the place of a disk, which is lost.
func (w *seedWorld) restore(a, _ *seedNode, d *rand.Rand) {
	if a.backup == nil || w.repairing() {
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
	if w.repairing() {
		return
	}
	if _, err := a.db.Lookup(name); errors.Is(err, ErrNoNamespace) {
		_, err = a.db.Namespace(name)
		w.excuse(a, err)
		return
	}
	delete(a.held, name) // an error does not say that it is still there
	w.excuse(a, a.db.Drop(name))
}

// setClock makes a node's clock wrong, or right.
func (w *seedWorld) setClock(a, _ *seedNode, d *rand.Rand) {
	day := time.Duration(d.Int64N(int64(48*time.Hour))) - 24*time.Hour
	a.clock.set(chosen(d, 0, -time.Hour, day, -since1970, tenYears))
}

func (w *seedWorld) prioritize(a, _ *seedNode, d *rand.Rand) {
	err := a.db.SetPriority(chosen(d, w.plan.Namespaces...), chosen(d, PriorityBulk, PriorityNormal, PriorityUrgent))
	w.excuse(a, err)
}
