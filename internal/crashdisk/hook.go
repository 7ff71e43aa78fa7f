package crashdisk

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Hook returns fs with something that is called before each operation. An
// error of it takes the operation's place.
func Hook(fs vfs.FS, before errorfs.InjectorFunc) vfs.FS {
	return &hookedFS{FS: errorfs.Wrap(fs, before), inner: fs, before: before}
}

// IsSync reports whether an operation is an fsync.
func IsSync(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

// hookedFS is an errorfs that also hooks the files which ReuseForWrite
// returns: every WAL but the first ones.
type hookedFS struct {
	vfs.FS
	inner  vfs.FS
	before errorfs.InjectorFunc
}

// ReuseForWrite implements vfs.FS.
func (h *hookedFS) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := h.before(errorfs.Op{Kind: errorfs.OpReuseForWrite, Path: old}); err != nil {
		return nil, err
	}
	f, err := h.inner.ReuseForWrite(old, name, c)
	if err != nil {
		return nil, err
	}
	return errorfs.WrapFile(f, errorfs.InjectorFunc(func(op errorfs.Op) error {
		op.Path = name
		return h.before(op)
	})), nil
}
