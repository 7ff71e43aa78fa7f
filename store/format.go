package store

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The FORMAT file says which release of the layout a directory has. It is
// read before Pebble is opened, since Pebble would already write. It is one
// line of ASCII, and this grammar never changes, so that every release can
// read every later release's file far enough to refuse it:
//
//	anabranch store <version> <state> <check>\n
//	                |         |       |
//	                |         |       CRC-32C, 8 hex digits, of all before it,
//	                |         |       the space included
//	                |         "creating" until the first Pebble of the
//	                |         directory was made and closed, then "ready";
//	                |         "restoring" while a backup is put into it;
//	                |         "checkpoint" until a checkpoint is opened
//	                decimal, no leading zero
//
// The file is replaced as a whole: written beside, fsynced, renamed, and the
// directory fsynced.
const (
	formatFile   = "FORMAT"
	formatPrefix = "anabranch store "

	stateCreating  = "creating"
	stateReady     = "ready"
	stateRestoring = "restoring"
	stateSavepoint = "checkpoint"

	// maxFormatBytes bounds what is read of the file; a line of today's
	// takes 40 bytes, and 256 leave room for longer states.
	maxFormatBytes = 256
)

// The ladder: a constant for each layout that a release wrote. A rung is
// never changed; what changes the meaning of bytes on disk is a new one, with
// its migration from the rung below, which must be safe to repeat.
const (
	// formatFirst: Pebble in data/ at its format 24 (value separation
	// allowed, WAL with sync chunks), keys as in keys.go.
	formatFirst = 1

	// formatWitness adds to a namespace its floor, its checkpoints, how far it
	// was collected and an index of its writers, which may be missing, and to
	// the directory the WITNESS file, which nothing may be opened without from
	// then on. Entries of a vector that others imply may be missing.
	formatWitness = 2

	// formatCurrent is what this release writes.
	formatCurrent = formatWitness
)

// castagnoli is the table of CRC-32C, which arm64 and x86-64 have in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encodeFormat returns the contents of a FORMAT file.
func encodeFormat(version int, state string) []byte {
	b := fmt.Appendf(nil, "%s%d %s ", formatPrefix, version, state)
	return fmt.Appendf(b, "%08x\n", crc32.Checksum(b, castagnoli))
}

// decodeFormat reads what encodeFormat wrote, of this or any later release.
func decodeFormat(b []byte) (version int, state string, err error) {
	at := bytes.LastIndexByte(b, ' ') + 1
	if !bytes.Equal(b[at:], fmt.Appendf(nil, "%08x\n", crc32.Checksum(b[:at], castagnoli))) {
		return 0, "", errors.New("its checksum does not match")
	}
	rest, ok := bytes.CutPrefix(b[:at], []byte(formatPrefix))
	words := bytes.Split(rest, []byte(" "))
	if !ok || len(words) != 3 {
		return 0, "", errors.New("it is not a FORMAT line")
	}
	version, err = strconv.Atoi(string(words[0]))
	if err != nil || version < formatFirst || strconv.Itoa(version) != string(words[0]) {
		return 0, "", fmt.Errorf("it names the version %q", words[0])
	}
	return version, string(words[1]), nil
}

// readFormat returns the state of the directory, as readLayout.
func readFormat(fsys vfs.FS, dir string) (state string, err error) {
	_, state, err = readLayout(fsys, dir)
	return state, err
}

// readLayout returns the version and state of the directory, "" if it has no
// FORMAT file. It refuses what is newer, and writes nothing.
func readLayout(fsys vfs.FS, dir string) (version int, state string, err error) {
	name := fsys.PathJoin(dir, formatFile)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFormatBytes))
	if err != nil {
		return 0, "", fmt.Errorf("read %s: %w", name, err)
	}
	version, state, err = decodeFormat(b)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %s cannot be read: %w", ErrDamaged, name, err)
	}
	if version > formatCurrent {
		return 0, "", fmt.Errorf("%w: %s has format %d, this release reads up to %d",
			ErrNewerFormat, dir, version, formatCurrent)
	}
	switch state {
	case stateCreating, stateReady, stateRestoring, stateSavepoint:
		return version, state, nil
	}
	return 0, "", fmt.Errorf("%w: %s names the state %q", ErrDamaged, name, state)
}

// migrateToWitness takes a directory from formatFirst to formatWitness. What
// is there is not witnessed: it may not be fsynced. What changes is.
func migrateToWitness(fsys vfs.FS, dir, state string) error {
	if err := createWitness(fsys, dir); err != nil {
		return err
	}
	return writeFormat(fsys, dir, state)
}

// writeFormat replaces the FORMAT file, durably.
func writeFormat(fsys vfs.FS, dir, state string) error {
	name := fsys.PathJoin(dir, formatFile)
	if err := writeDurably(fsys, name+".new", encodeFormat(formatCurrent, state)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := fsys.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(fsys, dir)
}

func writeDurably(fsys vfs.FS, name string, b []byte) error {
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
