package store

import "errors"

// Errors of the disk and of its directory; callers branch on them. Each is
// wrapped with what happened and where.
var (
	// ErrInUse says that another process, or another Open of this one, holds
	// the directory.
	ErrInUse = errors.New("the directory is in use")
	// ErrNewerFormat says that a later release wrote the directory. Nothing
	// was written to it.
	ErrNewerFormat = errors.New("the store has a newer format")
	// ErrDamaged says that what is on disk is not what was written: a
	// checksum does not match, or a file is missing.
	ErrDamaged = errors.New("the store is damaged")
	// ErrDiskFull says that the disk has no room. Reads go on. Writes work
	// again once there is room.
	ErrDiskFull = errors.New("the disk is full")
	// ErrHalted says that a disk fault ended writing for this run: what was
	// not acknowledged may or may not be on disk. Reads go on. Only opening
	// the store again lifts it.
	ErrHalted = errors.New("a disk fault stopped writing")
	// ErrBelowFloor says that what was removed in between may have been
	// collected: the records that changed since do not tell all.
	ErrBelowFloor = errors.New("older than what was collected")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("the store is closed")
)
