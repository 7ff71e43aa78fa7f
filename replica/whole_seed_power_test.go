package replica

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// How nodes of a seed end, and start again.

// kill ends a node with that share, 0 or 100, of what it has not synced kept.
// No word of it gets out.
func (w *seedWorld) kill(m *seedNode, percent int) {
	m.port.setFate(fates{lost: 1})
	left := m.drive.dead()
	if left == nil {
		left = m.image(percent)
	}
	w.stop(m)
	m.disk = left
}

// image returns what would be on the disk if the power went now.
func (m *seedNode) image(percent int) *vfs.MemFS {
	return m.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(0, 0))})
}

// stop closes a node. The power may go while it does.
func (w *seedWorld) stop(m *seedNode) {
	db := m.db
	m.db = nil
	w.excuse(m, db.Close())
	if left := m.drive.dead(); left != nil {
		m.disk = left
	}
}

func (w *seedWorld) startLater(m *seedNode, d *rand.Rand) {
	m.back = time.Now().Add(chosen(d, 0, 0, 10*time.Second, 3*time.Minute))
	w.until(time.Now())
}

// bury ends a node that lost power.
func (w *seedWorld) bury(m *seedNode) {
	if m.db == nil || m.drive.dead() == nil {
		return
	}
	w.wire.note("-- %v lost power", m)
	w.kill(m, 0)
	m.back = time.Now().Add(chosen(m.drive.chance, 0, 0, 10*time.Second, 3*time.Minute))
}

// tend does for a node what a supervisor does.
func (w *seedWorld) tend(m *seedNode) {
	w.bury(m)
	if m.room != roomy && !time.Now().Before(m.roomy) {
		w.setRoom(m, roomy)
	}
	if m.halted() && m.drive.chance.IntN(2) == 0 {
		w.wire.note("-- %v is started again", m)
		w.kill(m, chosen(m.drive.chance, 0, 100)) // what an fsync failed to write may be gone
	}
	if m.db == nil && !time.Now().Before(m.back) {
		w.start(m)
	}
}

func (m *seedNode) halted() bool { return m.db != nil && errors.Is(m.db.store.Health(), ErrHalted) }

// mount makes the disk of a node's next run.
func (w *seedWorld) mount(m *seedNode) {
	m.drive = &seedDisk{
		MemFS: m.disk, careless: m.careless, room: m.room, tellFull: m.room != roomy,
		chance: rand.New(rand.NewPCG(w.plan.Seed, uint64(time.Since(w.wire.began)))),
	}
	m.drive.tell = func(what diskFaultKind) {
		w.wire.fault(string(what), m)
		if what == powerCut {
			m.port.setFate(fates{lost: 1})
			select {
			case w.outage <- struct{}{}:
			default:
			}
		}
	}
	for _, f := range m.armed {
		m.drive.arm(f)
	}
	m.armed, m.fs = nil, m.drive
}

// failedToStart has a node that does not start try it later.
func (w *seedWorld) failedToStart(m *seedNode, err error) {
	m.db = nil
	if m.rotten != nil && errors.Is(err, ErrDamaged) {
		w.wire.note("   %v: %v", m, err)
		if m.mending {
			w.t.Fatalf("%v was repaired, and is damaged: %v", m, err)
		}
		m.mending = true
		w.repair(m)
		w.start(m)
		m.mending = false
		return
	}
	if !m.drive.hurt() || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
		w.excuse(m, err)
	}
	switch left := m.drive.dead(); {
	case left != nil:
		m.disk = left
	case m.drive.hurt():
		m.disk = m.image(chosen(m.drive.chance, 0, 100))
	}
	m.back = time.Now().Add(10 * time.Second)
}

// excuse fails the run because of an error that a node's disk does not explain.
func (w *seedWorld) excuse(m *seedNode, err error) {
	switch {
	case err == nil, m.drive.dead() != nil:
	case m.drive.hurt() && errors.Is(err, ErrHalted):
	case m.rotten != nil && errors.Is(err, ErrDamaged):
	case m.drive.crowded() && errors.Is(err, ErrDiskFull):
	case m.drive.hurt() && errors.Is(err, ErrDiskFull) && errors.Is(err, syscall.EIO): // it was full before it broke
	default:
		w.t.Fatalf("%v: %v", m, err)
	}
	if err != nil {
		w.wire.note("   %v: %v", m, err)
	}
}

// plan has something happen at an operation of a node's disk.
func (m *seedNode) plan(f diskFault) {
	if m.db != nil {
		m.drive.arm(f)
	} else {
		m.armed = append(m.armed, f)
	}
}

// soon draws at which operation: there are about a dozen in a transaction and
// after it, and a hundred in a start.
func soon(d *rand.Rand) int { return 1 + d.IntN(chosen(d, 3, 12, 100)) }

func (w *seedWorld) cutPower(a, b *seedNode, d *rand.Rand) {
	f := diskFault{kind: powerCut, at: soon(d), keep: chosen(d, 0, 10, 50, 100), seed: d.Uint64()}
	if a.careless && f.keep != 100 { // in part, it would leave a name of a file that is not there
		f.keep = 0
	}
	w.meet(a, b, f, d)
}

func (w *seedWorld) failDisk(a, b *seedNode, d *rand.Rand) {
	w.meet(a, b, diskFault{kind: chosen(d, fsyncError, fsyncError, diskError), at: soon(d)}, d)
}

// meet plans a fault, which a node meets in a transaction, or in what it does
// later.
func (w *seedWorld) meet(a, b *seedNode, f diskFault, d *rand.Rand) {
	if a.plan(f); a.db != nil && d.IntN(2) == 0 {
		w.transact(a, b, d)
	}
}

func (w *seedWorld) fillDisk(a, _ *seedNode, d *rand.Rand) {
	a.roomy = time.Now().Add(chosen(d, time.Second, 20*time.Second, 2*time.Minute))
	w.setRoom(a, chosen(d, full, full, greedy))
}

func (w *seedWorld) setRoom(m *seedNode, r diskRoom) {
	if m.room = r; m.drive != nil {
		m.drive.setRoom(r)
	}
}

// healDisk ends what is wrong with a node's disk, and has it run. Where its disk
// was full only, that takes no new start.
func (w *seedWorld) healDisk(m *seedNode) {
	m.drive.disarm()
	m.armed, m.room = nil, roomy
	if w.bury(m); m.halted() {
		w.kill(m, 0)
	}
	if m.db == nil {
		w.start(m)
	}
}
