package crashdisk

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Disk is a filesystem in memory of which it is known what a power cut leaves.
// Safe for concurrent use.
type Disk struct {
	vfs.FS
	mem   *vfs.MemFS
	still *stillFS
	ops   atomic.Int64
	rule  atomic.Pointer[Rule]
}

// Rule is called before the n-th operation that changes the disk, from any
// goroutine. An error takes the operation's place.
type Rule func(n int64, op errorfs.Op) error

// Kind is how strict a disk is about directories.
type Kind int

const (
	// Journaled is what ext4, xfs and f2fs are: an fsync makes all names made
	// before it durable.
	Journaled Kind = iota
	// Careless forgets a file whose directory was not fsynced, even if the
	// file was. What it may leave when it leaves some of it, Pebble does not
	// survive: a marker that names a file which is not there.
	Careless
)

// Leaves are the percentages of what was not fsynced that a power cut may
// leave on a disk of the kind.
func (k Kind) Leaves() []int {
	if k == Careless {
		return []int{0, 100}
	}
	return []int{0, 10, 50, 100}
}

// New takes over mem, which must be crashable.
func New(mem *vfs.MemFS, k Kind) *Disk {
	d := &Disk{mem: mem, still: &stillFS{FS: mem, kind: k}}
	d.FS = Hook(d.still, func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		n := d.ops.Add(1)
		if rule := d.rule.Load(); rule != nil {
			return (*rule)(n, op)
		}
		return nil
	})
	return d
}

// Follow makes a rule hold in the place of the one before; nil is none.
func (d *Disk) Follow(rule Rule) {
	if rule == nil {
		d.rule.Store(nil)
		return
	}
	d.rule.Store(&rule)
}

// Ops returns how many operations have changed the disk, or tried to.
func (d *Disk) Ops() int64 { return d.ops.Load() }

// Lose takes a file for one of which an fsync has failed: as Linux does it,
// fsyncs succeed from then on, and nothing of it reaches the disk.
func (d *Disk) Lose(name string) {
	d.still.mu.Lock()
	defer d.still.mu.Unlock()
	if d.still.lost == nil {
		d.still.lost = map[string]bool{}
	}
	d.still.lost[name] = true
}
