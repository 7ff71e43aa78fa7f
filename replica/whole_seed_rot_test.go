package replica

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/sim"
)

// rot flips a bit of a node's disk while it does not run. The node is started,
// and all of it is read: then either it is right, or it is found to be damaged,
// and repaired from its peers. What nobody else has would be written again, as
// another event, and the history does not know that one: so a node whose peers
// lack something stays as it is.
func (w *seedWorld) rot(a, _ *seedNode, d *rand.Rand) {
	if w.repairing() || a.halted() || a.drive.crowded() {
		return
	}
	w.pass(time.Minute)
	if w.tend(a); a.db == nil || a.halted() {
		return
	}
	synctest.Wait()
	all := map[string]crdt.Vector{}
	for _, name := range w.plan.Namespaces {
		if ns, err := a.db.Lookup(name); err == nil {
			all[name] = ns.Vector()
		}
	}
	w.stop(a)
	// A fault as it stopped left its log as a crash does, of which a flipped bit may
	// take the end in silence (seed 14036).
	if left := a.drive.dead(); left == nil && !a.drive.hurt() && w.coveredElsewhere(a, all) {
		a.rotten = all
		w.wire.fault("flipped-bit", flipBit(a.disk, d))
	}
	a.armed = nil
	w.start(a)
	if a.rotten != nil {
		w.inspect(a)
	}
}

// repairing reports whether a node waits for peers to have all that it had: the
// others must keep that meanwhile.
func (w *seedWorld) repairing() bool {
	for _, m := range w.members {
		if m.rotten != nil && m.db != nil && !m.halted() && m.has(m.rotten) {
			m.rotten = nil
		}
		if m.rotten != nil {
			return true
		}
	}
	return false
}

// has reports whether a node has all of that again.
func (m *seedNode) has(all map[string]crdt.Vector) bool {
	for name, v := range all {
		ns, err := m.db.Lookup(name)
		if err != nil || len(ns.store.Durable().Expand().Behind(v)) > 0 {
			return false
		}
		if waits, err := ns.store.Pending(); waits || err != nil {
			return false
		}
	}
	return true
}

// coveredElsewhere reports whether all is on the disks of others.
func (w *seedWorld) coveredElsewhere(a *seedNode, all map[string]crdt.Vector) bool {
	for name, v := range all {
		elsewhere := crdt.Vector{}
		for _, m := range w.members {
			if m != a {
				elsewhere.Join(m.onDisk(name))
			}
		}
		if len(elsewhere.Behind(v)) > 0 {
			return false
		}
	}
	return true
}

// onDisk returns what is known to be on a node's disk.
func (m *seedNode) onDisk(name string) crdt.Vector {
	if m.db == nil || m.drive.dead() != nil {
		return m.held[name]
	}
	ns, err := m.db.Lookup(name)
	if err != nil {
		return nil
	}
	return ns.store.Durable().Expand()
}

// inspect reads all of a node whose disk has a flipped bit, and repairs it if
// that shows.
func (w *seedWorld) inspect(a *seedNode) {
	if a.db == nil {
		return
	}
	err := a.db.store.Check(context.Background())
	if err == nil {
		return
	}
	if !errors.Is(err, ErrDamaged) {
		w.t.Fatalf("%v reads all of a damaged disk: %v", a, err)
	}
	w.wire.note("   %v finds %v", a, err)
	w.stop(a)
	w.repair(a)
	w.start(a)
}

// repair repairs a damaged node that does not run.
func (w *seedWorld) repair(a *seedNode) {
	done, err := Repair(context.Background(), "db", RepairOptions{FS: a.disk, Identity: a.identity})
	if err != nil {
		w.t.Fatalf("%v is not repaired: %v", a, err)
	}
	w.wire.note("   %v is repaired: %+v", a, done)
	w.wire.fault("damage-found", a)
	clear(a.held)
	a.unnamed = done.Unnamed > 0 && happens(w.plan, sim.Clock)
}

// haveAnew drops the namespaces of a node that was repaired, and opens them
// again, as README says: clocks were wrong, so that by its time, which is all
// that is left of some events, nobody can tell whether they were overwritten.
func (w *seedWorld) haveAnew(m *seedNode) {
	for name := range m.rotten {
		if _, err := m.db.Lookup(name); errors.Is(err, ErrNoNamespace) {
			continue
		}
		err := m.db.Drop(name)
		if err == nil {
			_, err = m.db.Namespace(name)
		}
		if w.excuse(m, err); err != nil {
			return
		}
	}
	m.unnamed = false
	w.anew++
	w.wire.note("   %v has its namespaces anew", m)
}

// flipBit flips a bit of any file of a store that has one, and returns which.
func flipBit(disk *vfs.MemFS, d *rand.Rand) string {
	files := slices.DeleteFunc(diskFiles(disk, "db"), func(name string) bool { return len(contentOf(disk, name)) == 0 })
	name := chosen(d, files...)
	b := contentOf(disk, name)
	b[d.IntN(len(b))] ^= 1 << d.IntN(8)
	f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(b)
		err = errors.Join(err, f.Sync(), f.Close())
	}
	var dir vfs.File
	if err == nil {
		dir, err = disk.OpenDir(path.Dir(name))
	}
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil {
		panic(err) // of a disk in memory
	}
	return name
}

// diskFiles returns the names of all files in a folder and below it, ordered.
func diskFiles(disk *vfs.MemFS, dir string) (all []string) {
	names, err := disk.List(dir)
	if err != nil {
		panic(err)
	}
	slices.Sort(names)
	for _, name := range names {
		name = path.Join(dir, name)
		if info, err := disk.Stat(name); err == nil && info.IsDir() {
			all = append(all, diskFiles(disk, name)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

func contentOf(disk *vfs.MemFS, name string) []byte {
	f, err := disk.Open(name)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		panic(err)
	}
	return b
}
