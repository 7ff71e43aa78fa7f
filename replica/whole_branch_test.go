package replica

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// Random histories of devices that are copied: directories as they are while
// the device runs, what a power cut leaves of them, and backups, each of which
// is kept for a while, and then started beside the device, or in its place. All
// write under one identity, and meet in any order, by way of each other and of
// others. The oracle knows what each transaction had seen, and nothing of
// devices; so a counter that is not exact, or a write that is not everywhere,
// differs from it.

var wholeBranches = flag.Int("whole.branches", 50, "how many histories of copied devices whole nodes play")

const (
	branchNamespaces = 5
	branchSteps      = 40
	mostBranchNodes  = 6
	mostShots        = 4
)

func TestCopiedAndRestoredDevicesLoseNothing(t *testing.T) {
	fleets := (*wholeBranches + branchNamespaces - 1) / branchNamespaces
	if testing.Short() {
		fleets = min(fleets, 5)
	}
	for i := range uint64(fleets) {
		seed := *wholeFirst + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			playBranches(t, seed)
		})
	}
}

// branchTrial is a fleet of which devices are copied.
type branchTrial struct {
	*wholeTrial
	shots []shot
	runs  []map[crdt.WriterID]run // by namespace
}

// shot is a state of a device that was put aside.
type shot struct {
	of     *wholeNode
	disk   *vfs.MemFS // nil: it is a backup
	backup []byte
}

// run is one run of a device, as the one that started it knows it.
type run struct {
	device crdt.NodeID
	saw    crdt.Vector // before it wrote first
}

func playBranches(t *testing.T, seed uint64) {
	o := simnet.Options{Seed: seed, Latency: 5 * time.Millisecond, Jitter: 10 * time.Millisecond, BreakRate: 0.01}
	inBubble(t, 3, o, func(f *wholeFleet) {
		w := &branchTrial{wholeTrial: &wholeTrial{
			wholeFleet: f, rnd: rand.New(rand.NewPCG(seed, 1)),
			histories: make([]crdttest.History[wholeOp], branchNamespaces), acked: map[ackedIn]crdt.Vector{},
		}}
		w.noted = w.note
		for range branchNamespaces {
			w.runs = append(w.runs, map[crdt.WriterID]run{})
		}
		if w.collects = seed%2 == 0; w.collects {
			for _, n := range f.nodes {
				n.collects(time.Minute)
			}
		}
		for range branchSteps {
			w.branch()
			w.step()
			for ns := range w.histories {
				w.check(w.pick(), ns)
			}
		}
		f.net.HealAll()
		for ns := range w.histories {
			f.converge(wholeName(ns))
			for _, n := range f.nodes {
				w.check(n, ns)
			}
			w.checkEntries(ns)
		}
	})
}

// branch puts a state of a device aside, or starts one that was.
func (w *branchTrial) branch() {
	switch n := w.rnd.IntN(12); {
	case n < 3 && len(w.shots) < mostShots:
		w.shots = append(w.shots, w.shoot(w.pick()))
	case n < 5 && len(w.shots) > 0 && len(w.nodes) < mostBranchNodes:
		w.start(w.takeShot())
	case n < 7 && len(w.shots) > 0:
		w.setBack(w.takeShot())
	}
}

func (w *branchTrial) takeShot() shot {
	i := w.rnd.IntN(len(w.shots))
	s := w.shots[i]
	w.shots = append(w.shots[:i], w.shots[i+1:]...)
	return s
}

// shoot takes a state of a device that goes on: its files as they are, or as a
// power cut would leave them, or a backup.
func (w *branchTrial) shoot(n *wholeNode) shot {
	w.t.Helper()
	if w.rnd.IntN(3) == 0 {
		var b bytes.Buffer
		if err := n.db.Backup(context.Background(), &b); err != nil {
			w.t.Fatal(err)
		}
		return shot{of: n, backup: b.Bytes()}
	}
	synctest.Wait()
	percent := 100 * w.rnd.IntN(2)
	return shot{of: n, disk: n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: w.rnd})}
}

// open returns the files of a shot.
func (w *branchTrial) open(s shot) *vfs.MemFS {
	w.t.Helper()
	if s.disk != nil {
		return s.disk
	}
	disk := vfs.NewCrashableMem()
	if err := store.Restore(context.Background(), "db", bytes.NewReader(s.backup), store.Options{FS: disk}); err != nil {
		w.t.Fatal(err)
	}
	return disk
}

// start starts a shot beside its device. It dials all others, or some.
func (w *branchTrial) start(s shot) {
	w.t.Helper()
	var peers []string
	for _, n := range w.nodes {
		if w.rnd.IntN(3) > 0 || len(peers) == 0 {
			peers = append(peers, n.address)
		}
	}
	n := w.startCopy(s.of, w.open(s), peers...)
	for _, o := range w.nodes[:len(w.nodes)-1] {
		if w.rnd.IntN(2) == 0 {
			w.net.Cut(n.address, o.address)
		}
	}
}

// setBack starts a shot in the place of its device. What that had acknowledged
// since is lost if nobody else has it.
func (w *branchTrial) setBack(s shot) {
	w.t.Helper()
	if err := s.of.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	s.of.disk = w.open(s)
	s.of.open()
	for ns := range w.histories {
		delete(w.acked, ackedIn{s.of, ns})
	}
}

// note notes which run of which device wrote.
func (w *branchTrial) note(n *wholeNode, ns int, writer crdt.WriterID, saw crdt.Vector) {
	if _, known := w.runs[ns][writer]; !known {
		w.runs[ns][writer] = run{n.identity.Node(), saw}
	}
}

// checkEntries compares the entries of the vector in normal form with the runs
// that no later run of the same device had seen the end of.
func (w *branchTrial) checkEntries(ns int) {
	w.t.Helper()
	v := w.nodes[0].namespace(wholeName(ns)).Vector()
	want := 0
	for writer, seq := range v {
		implied := false
		for other, r := range w.runs[ns] {
			same := r.device == w.runs[ns][writer].device
			implied = implied || v[other] > 0 && same && r.saw[writer] >= seq
		}
		if !implied {
			want++
		}
	}
	s := w.nodes[0].namespace(wholeName(ns)).status()
	if s.Branches != want || s.Writers != len(v) {
		w.t.Fatalf("%s: %d entries for %d runs, want %d", wholeName(ns), s.Branches, s.Writers, want)
	}
}
