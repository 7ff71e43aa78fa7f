package replica

import (
	"math/rand/v2"
	"path"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// seedDisk is the disk of a node from one start to the next, where things go
// wrong at an operation: what a plan draws is how many operations it takes until
// then. What is read is never wrong.
type seedDisk struct {
	*vfs.MemFS
	// careless says that an fsync makes no names durable, but that of the folder.
	careless bool
	tell     func(what diskFaultKind) // told of each fault that takes place
	chance   *rand.Rand               // what its node does then follows from; of the world's goroutine

	mu       sync.Mutex
	ops      int // mutations so far
	armed    []diskFault
	left     *vfs.MemFS // what a power cut left; nil: there was none
	broken   bool       // all fails from now on
	failed   bool       // something did
	room     diskRoom
	tellFull bool // once for each time that it is full
}

// diskFault is what happens at an operation.
type diskFault struct {
	kind diskFaultKind
	at   int    // operations from when it is armed
	keep int    // percent of what is not synced that a power cut leaves
	seed uint64 // which part of it
}

type diskFaultKind string

const (
	powerCut   diskFaultKind = "power-cut"
	fsyncError diskFaultKind = "fsync-error" // of the first fsync from then on
	diskError  diskFaultKind = "disk-error"  // of all from then on
	diskFull   diskFaultKind = "disk-full"   // see diskRoom
)

// diskRoom is what room there is.
type diskRoom int

const (
	roomy  diskRoom = iota
	full            // until the ballast is given up: that room is enough for what is under way
	spent           // the ballast was given up
	greedy          // somebody else takes what is given up
)

// arm has something happen so many operations from now.
func (d *seedDisk) arm(f diskFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.at += d.ops
	d.armed = append(d.armed, f)
}

// setRoom sets what room there is.
func (d *seedDisk) setRoom(r diskRoom) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room, d.tellFull = r, r != roomy
}

// disarm has nothing more happen, and what did end.
func (d *seedDisk) disarm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed, d.broken, d.room = nil, false, roomy
}

// dead returns what a power cut left, or nil.
func (d *seedDisk) dead() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.left
}

// hurt reports whether an operation failed.
func (d *seedDisk) hurt() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed
}

// crowded reports whether there is no room.
func (d *seedDisk) crowded() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.room != roomy
}

// operation is one that changes something. grows says that it takes room.
type operation struct {
	path        string
	fsync       bool
	grows       bool
	gives       bool // room
	isOfBallast bool
}

// before is called before each, and returns the error that takes its place.
// Once the power is gone, nothing is wrong: what is done then is done to a disk
// that nobody will read.
func (d *seedDisk) before(o operation) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left != nil {
		return nil
	}
	d.ops++
	o.isOfBallast = path.Base(o.path) == "BALLAST"
	rest := d.armed[:0]
	fails := false
	for _, f := range d.armed {
		switch {
		case f.at > d.ops || f.kind == fsyncError && !o.fsync:
			rest = append(rest, f)
			continue
		case f.kind == powerCut:
			d.left = d.MemFS.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: f.keep, RNG: rand.New(rand.NewPCG(f.seed, 0))})
		case f.kind == diskError:
			d.broken = true
		default:
			fails = true
		}
		d.tell(f.kind)
		if d.left != nil {
			return nil
		}
	}
	if d.armed = rest; d.broken || fails {
		d.failed = true
		return syscall.EIO
	}
	return d.withoutRoom(o)
}

// withoutRoom is the error of an operation that takes room, where there is none.
func (d *seedDisk) withoutRoom(o operation) error {
	switch {
	case d.room == full && o.gives && o.isOfBallast:
		d.room = spent
		return nil
	case !o.grows, d.room == roomy, d.room == spent && !o.isOfBallast:
		return nil
	}
	d.failed = true
	if d.tellFull {
		d.tellFull = false
		d.tell(diskFull)
	}
	return syscall.ENOSPC
}

// do performs an operation, unless an error takes its place.
func (d *seedDisk) do(o operation, perform func() error) error {
	if err := d.before(o); err != nil {
		return err
	}
	return perform()
}

func (d *seedDisk) file(o operation, open func() (vfs.File, error)) (f vfs.File, err error) {
	if err = d.do(o, func() error { f, err = open(); return err }); err != nil {
		return nil, err
	}
	return &seedFile{f, d, o.path}, nil
}

// Create implements vfs.FS.
func (d *seedDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(operation{path: name, grows: true}, func() (vfs.File, error) { return d.MemFS.Create(name, c) })
}

// ReuseForWrite implements vfs.FS.
func (d *seedDisk) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.file(operation{path: name}, func() (vfs.File, error) { return d.MemFS.ReuseForWrite(old, name, c) })
}

// OpenReadWrite implements vfs.FS.
func (d *seedDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return d.file(operation{path: name, grows: true}, func() (vfs.File, error) { return d.MemFS.OpenReadWrite(name, c, o...) })
}

// OpenDir implements vfs.FS.
func (d *seedDisk) OpenDir(name string) (vfs.File, error) {
	f, err := d.MemFS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &seedFile{f, d, name}, nil
}

// Remove implements vfs.FS.
func (d *seedDisk) Remove(name string) error {
	return d.do(operation{path: name, gives: true}, func() error { return d.MemFS.Remove(name) })
}

// RemoveAll implements vfs.FS.
func (d *seedDisk) RemoveAll(name string) error {
	return d.do(operation{path: name, gives: true}, func() error { return d.MemFS.RemoveAll(name) })
}

// Rename implements vfs.FS.
func (d *seedDisk) Rename(old, name string) error {
	return d.do(operation{path: name}, func() error { return d.MemFS.Rename(old, name) })
}

// Link implements vfs.FS.
func (d *seedDisk) Link(old, name string) error {
	return d.do(operation{path: name}, func() error { return d.MemFS.Link(old, name) })
}

// GetDiskUsage implements vfs.FS.
func (d *seedDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const size = 1 << 40 // more than anybody asks for
	if d.room == roomy {
		return vfs.DiskUsage{AvailBytes: size, TotalBytes: size}, nil
	}
	return vfs.DiskUsage{TotalBytes: size, UsedBytes: size}, nil
}

// Unwrap implements vfs.FS.
func (d *seedDisk) Unwrap() vfs.FS { return d.MemFS }

// seedFile is a file of it.
type seedFile struct {
	vfs.File
	disk *seedDisk
	path string
}

// Write implements vfs.File.
func (f *seedFile) Write(p []byte) (n int, err error) {
	err = f.disk.do(operation{path: f.path, grows: true}, func() error { n, err = f.File.Write(p); return err })
	return n, err
}

// WriteAt implements vfs.File.
func (f *seedFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.disk.do(operation{path: f.path, grows: true}, func() error { n, err = f.File.WriteAt(p, at); return err })
	return n, err
}

// Preallocate implements vfs.File.
func (f *seedFile) Preallocate(offset, length int64) error {
	return f.disk.do(operation{path: f.path, grows: true}, func() error { return f.File.Preallocate(offset, length) })
}

// Sync implements vfs.File. On ext4, xfs and f2fs it makes all names durable that
// are older than it.
func (f *seedFile) Sync() error {
	return f.disk.do(operation{path: f.path, fsync: true}, func() error {
		if err := f.File.Sync(); err != nil || f.disk.careless {
			return err
		}
		d, err := f.disk.MemFS.OpenDir(path.Dir(f.path))
		if err != nil {
			return err
		}
		defer d.Close()
		return d.Sync()
	})
}

// SyncData implements vfs.File.
func (f *seedFile) SyncData() error { return f.Sync() }

// SyncTo implements vfs.File: no promise is made.
func (f *seedFile) SyncTo(int64) (bool, error) { return false, nil }
