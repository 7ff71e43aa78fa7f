package replica

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
	"github.com/anabranch-db/anabranch/internal/crashdisk"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

var (
	crashSeed  = flag.Uint64("crash-seed", 1, "in the test of power cuts, the seed of the first trace")
	crashSteps = flag.Int("crash-steps", 80, "in the test of power cuts, the steps of a trace")
	crashRuns  = flag.Uint64("crash-runs", 2, "in the test of power cuts, the traces")
	everyCut   = flag.Bool("every-cut", false, "in the test of power cuts, cut before every write, leaving each share in turn")
)

// powerSample is before one of how many writes the power is cut by default:
// a prime, so that all kinds of writes come up.
const powerSample = 3

// powerWorld is a device that loses its power, with a peer that does not. The
// cuts are of copies of its disk: the device itself goes on.
type powerWorld struct {
	*wholeFleet
	rnd       *rand.Rand
	kind      crashdisk.Kind
	disk      *crashdisk.Disk
	histories map[string]*crdttest.History[wholeOp]
	settings  map[string][]string // node-local values that the device ever set, by key
	cuts, met int

	mu      sync.Mutex
	pending []lostPower
	told    promised
}

// promised is what a power cut must leave.
type promised struct {
	vectors  map[string]crdt.Vector // by namespace
	settings map[string]int         // which of the values at least, by key
}

func (p promised) clone() promised {
	q := promised{map[string]crdt.Vector{}, map[string]int{}}
	for k, v := range p.vectors {
		q.vectors[k] = v.Clone()
	}
	for k, v := range p.settings {
		q.settings[k] = v
	}
	return q
}

// lostPower is what a power cut left.
type lostPower struct {
	what     string
	disk     *vfs.MemFS
	promised promised
	seed     uint64
}

// TestAPowerCutAtAnyWriteTakesNothingThatWasAcknowledged cuts the power at the
// writes of a whole node that runs transactions of every type, durable and
// buffered, syncs, collects, is backed up, exports and imports, drops
// namespaces, restarts, and is administered: peers, meters, priorities, invites,
// revocations. What is left opens, agrees with itself, holds every acknowledged
// transaction, whole, and every setting, reads as the history of what it covers
// says, goes on writing, and comes to the same digest with its peer.
func TestAPowerCutAtAnyWriteTakesNothingThatWasAcknowledged(t *testing.T) {
	cuts, met := 0, 0
	for seed := *crashSeed; seed < *crashSeed+*crashRuns; seed++ {
		t.Run(fmt.Sprint("seed-", seed), func(t *testing.T) {
			cryptotest.SetGlobalRandom(t, seed)
			w := newPowerWorld(seed)
			inBubbleWith(t, 2, simnet.Options{Seed: seed, Latency: time.Millisecond}, w.prepare, func(f *wholeFleet) {
				w.wholeFleet = f
				w.play()
			})
			t.Logf("%d cuts, after %d of which it synced", w.cuts, w.met)
			cuts, met = cuts+w.cuts, met+w.met
		})
	}
	if met == 0 {
		t.Error("no cut was followed by a sync")
	}
	t.Attr("crash-points", fmt.Sprint(cuts))
	t.Attr("fault.power-cut", fmt.Sprint(cuts))
}

func newPowerWorld(seed uint64) *powerWorld {
	return &powerWorld{
		rnd: rand.New(rand.NewPCG(seed, 7)), kind: crashdisk.Kind(seed % 2),
		histories: map[string]*crdttest.History[wholeOp]{"edge": {}, "more": {}},
		settings:  map[string][]string{},
		told:      promised{map[string]crdt.Vector{}, map[string]int{}},
	}
}

// prepare gives the first node the disk.
func (w *powerWorld) prepare(i int, n *wholeNode) {
	n.options.Retention = time.Minute
	n.options.MemTableBytes = 1 // the least
	if i == 0 {
		w.disk = crashdisk.New(n.disk, w.kind)
		n.fs = w.disk
		w.disk.Follow(w.cut)
	}
}

// cut takes what a power cut would leave before a write.
func (w *powerWorld) cut(n int64, op errorfs.Op) error {
	if !*everyCut && n%powerSample != 0 {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.kind.Leaves()
	if !*everyCut {
		at := int(n/powerSample) % len(all)
		all = all[at : at+1]
	}
	for _, percent := range all {
		p := w.told.clone() // before the copy is made
		what := fmt.Sprintf("a cut before write %d, %v of %s, that left %d%%", n, op.Kind, op.Path, percent)
		w.pending = append(w.pending, lostPower{what, w.disk.Cut(percent, uint64(n)), p, uint64(n)})
	}
	return nil
}

func (w *powerWorld) play() {
	for _, n := range w.nodes {
		n.namespace("edge")
		n.namespace("more")
	}
	device := w.nodes[0]
	w.authorize(device)
	for range *crashSteps {
		w.step(device)
		w.verify()
	}
	w.converge("edge")
	w.disk.Follow(nil)
	w.verify()
}

// authorize has the device keep the cluster's authority.
func (w *powerWorld) authorize(n *wholeNode) {
	n.db.authority = w.authority
	var err error
	n.db.invites, err = transport.NewInvites(w.authority, transport.InvitesOptions{Store: n.db.store, Now: n.db.options.Now})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *powerWorld) step(device *wholeNode) {
	peer := w.nodes[1]
	switch n := w.rnd.IntN(40); {
	case n < 14:
		w.transact(device)
	case n < 20:
		w.transact(peer)
	case n < 25:
		w.pass(100 * time.Millisecond)
	case n < 27:
		w.pass(3 * time.Minute) // and what was removed is collected
	case n < 30:
		device.restart()
		w.authorize(device)
	case n < 31:
		w.must(device.db.Backup(context.Background(), io.Discard))
	case n < 32:
		w.exportAndImport(device)
	case n < 34:
		w.dropOrFill(device)
	default:
		w.administer(device)
	}
}

func (w *powerWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// powerNames are those of the histories.
var powerNames = []string{"edge", "more"}

// transact runs a random transaction, and takes note of it.
func (w *powerWorld) transact(n *wholeNode) {
	name := chosen(w.rnd, powerNames...)
	ops := make([]wholeOp, 1+w.rnd.IntN(4))
	for i := range ops {
		ops[i] = wholeOp{verb: w.rnd.IntN(seedVerbs), place: w.rnd.IntN(2), n: 1 + w.rnd.Int64N(9)}
		ops[i].expires = n.db.now() + chosen(w.rnd, time.Millisecond, 6*time.Second, 3*time.Minute).Milliseconds()
	}
	synctest.Wait()
	ns := n.namespace(name)
	seen, buffered := ns.Vector(), w.rnd.IntN(3) == 0
	var writer crdt.WriterID
	w.must(ns.UpdateWith(context.Background(), UpdateOptions{Buffered: buffered}, func(tx *Tx) error {
		writer = tx.Writer()
		for _, op := range ops {
			if err := op.applySeed(tx); err != nil {
				return err
			}
		}
		return nil
	}))
	after := ns.Vector()
	if after[writer] == seen[writer] {
		return // it had nothing to write
	}
	dot := crdt.Dot{Writer: writer, Seq: after[writer]}
	w.histories[name].Record(dot, n.timeOf(name, dot), seen, ops...)
	if n == w.nodes[0] && !buffered {
		w.promise(func(p *promised) {
			v := p.vectors[name].Clone()
			if v == nil {
				v = crdt.Vector{}
			}
			v.Advance(dot.Writer, dot.Seq)
			p.vectors[name] = v
		})
	}
}

func (w *powerWorld) promise(change func(*promised)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.told)
}

// exportAndImport takes in, as another namespace, what one holds.
func (w *powerWorld) exportAndImport(n *wholeNode) {
	var b bytes.Buffer
	w.must(n.db.Export(context.Background(), &b, "edge"))
	_, err := n.db.Import(context.Background(), &b, ImportOptions{Namespace: "imported"})
	w.must(err)
	ns := n.namespace("imported")
	w.promise(func(p *promised) {
		v := crdt.Vector{}
		v.Join(ns.Vector()) // all of it is this node's
		p.vectors["imported"] = v
	})
}

// dropOrFill drops a namespace, and subscribes to it again later.
func (w *powerWorld) dropOrFill(n *wholeNode) {
	if _, err := n.db.Lookup("more"); err != nil {
		n.namespace("more")
		return
	}
	w.promise(func(p *promised) { delete(p.vectors, "more") })
	n.dropped("more")
}

// administer does one of what an operator does.
func (w *powerWorld) administer(n *wholeNode) {
	address := fmt.Sprintf("10.0.0.%d:1", w.rnd.IntN(3))
	switch w.rnd.IntN(6) {
	case 0:
		w.set(n, func() error { return n.db.AddPeer(address) }, peersKey)
	case 1:
		w.set(n, func() error {
			if err := n.db.RemovePeer(address); !errors.Is(err, crdt.ErrMissing) {
				return err
			}
			return nil
		}, peersKey, meterKey+address)
	case 2:
		w.set(n, func() error {
			return n.db.AddPeerWith(address, PeerOptions{Meter: &Meter{BytesPerDay: 1e6 + w.rnd.Uint64N(100)}})
		}, peersKey, meterKey+address)
	case 3:
		p := chosen(w.rnd, PriorityBulk, PriorityNormal, PriorityUrgent)
		w.set(n, func() error { return n.db.SetPriority("edge", p) }, priorityKey+"edge")
	case 4:
		w.set(n, func() error {
			_, _, err := n.db.Invite(InviteOptions{Addresses: []string{address}, Valid: time.Hour})
			return err
		}, transport.InvitesKey)
	case 5:
		gone, err := w.authority.Enroll(nil, transport.AllNamespaces())
		w.must(err)
		w.set(n, func() error { return n.db.Revoke(gone.Node()) }, revocationPrefix+gone.Node().String())
	}
}

// set calls what sets node-local values, and takes note of them.
func (w *powerWorld) set(n *wholeNode, call func() error, keys ...string) {
	w.must(call())
	for _, key := range keys {
		if w.settings[key] == nil {
			w.settings[key] = []string{""}
		}
		value, err := n.db.store.Local(key)
		w.must(err)
		if all := w.settings[key]; all[len(all)-1] == string(value) {
			continue
		}
		w.settings[key] = append(w.settings[key], string(value))
		at := len(w.settings[key]) - 1
		w.promise(func(p *promised) { p.settings[key] = at })
	}
}

// lateEnough reports whether a value is the one at least, or a later one.
func (w *powerWorld) lateEnough(key, value string, least int) bool {
	return slices.Contains(w.settings[key][least:], value)
}
