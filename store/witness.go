package store

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The WITNESS file says what must be in data/, so that what Pebble does not
// miss by itself (a MANIFEST cut short at a flipped bit, a WAL that is gone)
// is damage, and not an older state under a newer log. It has two slots of
// witnessSlotBytes, written in turn and fsynced: a write that is cut off
// leaves the other one. A slot is lines of ASCII, and zeros to its end:
//
//	anabranch witness 1 <generation>
//	manifest <number> <bytes> <CRC-32C of these bytes, 8 hex digits>
//	wal <number> <bytes>
//	check <CRC-32C of all before it, "check " included, 8 hex digits>
//
// Numbers are decimal, with no leading zero. There is at most one manifest
// line, and up to maxWitnessLogs wal lines in ascending order. The generation
// grows by one with each write, and generation g is in slot g%2.
const (
	witnessFile      = "WITNESS"
	witnessSlotBytes = 4 << 10 // what disks write as a whole; never changed
	witnessSlots     = 2
	// maxWitnessLogs bounds the WALs that are named, the newest ones: Pebble
	// keeps maxMemTables that are needed and pebbleMemTables+1 to reuse, some
	// more while memtables are small. At most 46 bytes a line, they fit.
	maxWitnessLogs = 64
)

// manifestMark says that the current MANIFEST is this one, beginning with
// these bytes, or a later one.
type manifestMark struct {
	number, bytes uint64 // number 0: nothing is said
	crc           uint32
}

// logMark says that a WAL is there, and readable to this length.
type logMark struct{ number, bytes uint64 }

// testimony is what a slot says.
type testimony struct {
	generation uint64
	manifest   manifestMark
	logs       []logMark
}

// same reports whether two say the same, at whatever generation.
func (t testimony) same(as testimony) bool {
	return t.manifest == as.manifest && slices.Equal(t.logs, as.logs)
}

// encode returns the slot.
func (t testimony) encode() []byte {
	b := fmt.Appendf(make([]byte, 0, witnessSlotBytes), "anabranch witness 1 %d\n", t.generation)
	if m := t.manifest; m.number > 0 {
		b = fmt.Appendf(b, "manifest %d %d %08x\n", m.number, m.bytes, m.crc)
	}
	for _, l := range t.logs {
		b = fmt.Appendf(b, "wal %d %d\n", l.number, l.bytes)
	}
	b = append(b, "check "...)
	b = fmt.Appendf(b, "%08x\n", crc32.Checksum(b, castagnoli))
	return b[:witnessSlotBytes] // fresh memory, so zeros
}

var errWitnessSlot = errors.New("it is not what was written")

// decodeTestimony reads what encode wrote, and nothing else.
func decodeTestimony(slot []byte) (t testimony, err error) {
	for i, line := range bytes.Split(bytes.TrimRight(slot, "\x00"), []byte("\n")) {
		s, n := string(line), 0
		switch word, _, _ := bytes.Cut(line, []byte(" ")); string(word) {
		case "anabranch":
			n, err = fmt.Sscanf(s, "anabranch witness 1 %d", &t.generation)
		case "manifest":
			m := &t.manifest
			n, err = fmt.Sscanf(s, "manifest %d %d %x", &m.number, &m.bytes, &m.crc)
		case "wal":
			var l logMark
			n, err = fmt.Sscanf(s, "wal %d %d", &l.number, &l.bytes)
			t.logs = append(t.logs, l)
		}
		if err != nil || (i == 0 && n == 0) || len(t.logs) > maxWitnessLogs {
			return testimony{}, errWitnessSlot
		}
	}
	ascending := slices.IsSortedFunc(t.logs, func(a, b logMark) int {
		if a.number < b.number {
			return -1
		}
		return 1
	})
	if !ascending || !bytes.Equal(t.encode(), slot) { // the checksum too
		return testimony{}, errWitnessSlot
	}
	return t, nil
}

// createWitness makes a file that says nothing, durably. The FORMAT file must
// not promise yet that it is there.
func createWitness(fsys vfs.FS, dir string) error {
	name := fsys.PathJoin(dir, witnessFile)
	if err := writeDurably(fsys, name, newWitness()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(fsys, dir)
}

func newWitness() []byte {
	return append(testimony{}.encode(), testimony{generation: 1}.encode()...)
}

// readWitness returns what the file says last. One slot that cannot be read
// is what a power cut leaves of a write; what the other one says still holds.
func readWitness(fsys vfs.FS, name string) (last testimony, err error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return last, fmt.Errorf("%w: %s is missing", ErrDamaged, name)
	}
	if err != nil {
		return last, fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, witnessSlots*witnessSlotBytes))
	if err != nil {
		return last, fmt.Errorf("read %s: %w", name, err)
	}
	found := false
	for slot := range slices.Chunk(b, witnessSlotBytes) {
		if t, err := decodeTestimony(slot); err == nil && (!found || t.generation > last.generation) {
			last, found = t, true
		}
	}
	if !found {
		return last, fmt.Errorf("%w: %s (%d bytes) cannot be read in either slot", ErrDamaged, name, len(b))
	}
	return last, nil
}
