package replica

import (
	"errors"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// Errors that callers branch on with errors.Is. Those of reading and writing
// values (crdt.ErrMissing, ErrWrongType, ErrOverflow, ErrValue, ErrPath) come
// through as they are.
var (
	// ErrClosed says that the database is closed.
	ErrClosed = store.ErrClosed
	// ErrTxEnded says that a Tx or View was used after its closure returned.
	ErrTxEnded = crdt.ErrTxEnded
	// ErrTooLarge says that a transaction exceeds MaxTxOps or MaxTxBytes, or
	// a line of an import MaxImportLineBytes.
	ErrTooLarge = errors.New("too large")
	// ErrCursor says that the bytes handed in are no cursor.
	ErrCursor = errors.New("invalid cursor")
	// ErrOptions says that options make no sense.
	ErrOptions = errors.New("invalid options")
	// ErrImport marks a line that no export writes.
	ErrImport = errors.New("invalid import")

	// ErrInUse says that another process has the directory open.
	ErrInUse = store.ErrInUse
	// ErrNewerFormat says that a later release wrote the directory.
	ErrNewerFormat = store.ErrNewerFormat
	// ErrDamaged says that what is on disk is not what was written.
	ErrDamaged = store.ErrDamaged
	// ErrDiskFull says that the disk has no room. Reads go on. Writes work
	// again once there is room.
	ErrDiskFull = store.ErrDiskFull
	// ErrHalted says that a disk fault ended writing: what was not
	// acknowledged may or may not be on disk. Reads go on. Only opening the
	// database again lifts it.
	ErrHalted = store.ErrHalted
	// ErrBackup says that what is to be restored is no backup, not a whole
	// one, or damaged.
	ErrBackup = store.ErrBackup
	// ErrNotEmpty says that a directory holds namespaces, so that nothing is
	// restored to it.
	ErrNotEmpty = store.ErrNotEmpty
	// ErrRestoring says that a restore of the directory broke off. It can be
	// begun again, and nothing else.
	ErrRestoring = store.ErrRestoring
	// ErrNoNamespace says that no namespace of the name is here, or that it
	// was dropped.
	ErrNoNamespace = store.ErrNoNamespace
	// ErrName says that a namespace cannot have this name.
	ErrName = store.ErrName
)

// failed says in which namespace something could not be done.
func (n *Namespace) failed(what string, err error) error {
	return fmt.Errorf("%s of namespace %q: %w", what, n.Name(), err)
}
