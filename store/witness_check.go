package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

const (
	manifestPrefix = "MANIFEST-"
	manifestMarker = "manifest" // as Pebble calls it
	logSuffix      = ".log"

	// logSlack is the least that one more chunk of a WAL takes: its header.
	// A length may end in a trailer or a filled block, which are shorter.
	logSlack = 19
)

// logNumber returns the number of a WAL, 0 for any other file.
func logNumber(base string) uint64 {
	digits, isLog := strings.CutSuffix(base, logSuffix)
	if !isLog {
		return 0
	}
	return fileNumber(digits)
}

// manifestNumber returns the number of a MANIFEST, 0 for any other file.
func manifestNumber(base string) uint64 {
	digits, isManifest := strings.CutPrefix(base, manifestPrefix)
	if !isManifest {
		return 0
	}
	return fileNumber(digits)
}

// markedManifest returns which MANIFEST a marker names, 0 for any other file.
func markedManifest(base string) uint64 {
	if !strings.HasPrefix(base, "marker."+manifestMarker+".") {
		return 0
	}
	return manifestNumber(base[strings.LastIndexByte(base, '.')+1:])
}

func fileNumber(digits string) uint64 {
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// check compares data/ with the testimony. Of a WAL only the name is looked
// for: most of them are not needed any more, and those that are, checkLog
// sees when Pebble replays them.
func (t testimony) check(fsys vfs.FS, data string) error {
	if err := t.manifest.check(fsys, data); err != nil {
		return err
	}
	names, err := fsys.List(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list %s: %w", data, err)
	}
	there := map[uint64]bool{}
	for _, name := range names {
		there[logNumber(name)] = true
	}
	for _, l := range t.logs {
		if !there[l.number] {
			return fmt.Errorf("%w: the WAL %06d%s is missing from %s, %s says that it has %d bytes",
				ErrDamaged, l.number, logSuffix, data, witnessFile, l.bytes)
		}
	}
	return nil
}

func (m manifestMark) check(fsys vfs.FS, data string) error {
	if m.number == 0 {
		return nil
	}
	want := fmt.Sprintf("%s wants %s%06d or a later one", witnessFile, manifestPrefix, m.number)
	value, err := atomicfs.ReadMarker(fsys, data, manifestMarker)
	switch current := manifestNumber(value); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read the marker in %s: %w", data, openError(err))
	case current < m.number:
		return fmt.Errorf("%w: the marker in %s names %q, %s", ErrDamaged, data, value, want)
	case current > m.number:
		return nil // the power was cut between it and our word of it
	}
	name := fsys.PathJoin(data, value)
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing, %s", ErrDamaged, name, want)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	defer f.Close()
	sum := crc32.New(castagnoli)
	n, err := io.Copy(sum, io.LimitReader(f, int64(m.bytes)))
	switch {
	case err != nil:
		return fmt.Errorf("read %s: %w", name, err)
	case uint64(n) < m.bytes:
		return fmt.Errorf("%w: %s has %d bytes, %s says that it had %d", ErrDamaged, name, n, witnessFile, m.bytes)
	case sum.Sum32() != m.crc:
		return fmt.Errorf("%w: the first %d bytes of %s have the checksum %08x, %s says %08x",
			ErrDamaged, n, name, sum.Sum32(), witnessFile, m.crc)
	}
	return nil
}

// check reads a WAL as Pebble will, and finds damage where that ends too
// early: a closed WAL that lost whole records, or whose next one looks like
// its end, Pebble takes for whole.
func (l logMark) check(fsys vfs.FS, name string) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err // as Pebble would get it
	}
	defer f.Close()
	end, err := readableLog(record.NewReader, f, l.number)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if end+logSlack < l.bytes {
		return fmt.Errorf("%w: %s can be read up to byte %d, %s says that it had %d",
			ErrDamaged, name, end, witnessFile, l.bytes)
	}
	return nil
}

// readableLog returns where the last whole chunk ends. The reader is passed
// in for the type of its number, which cannot be named here.
func readableLog[N ~uint64](open func(io.Reader, N) *record.Reader, f io.Reader, number uint64) (end uint64, err error) {
	chunks := open(f, N(number))
	buf := make([]byte, 32<<10) // a chunk has no more
	for {
		chunk, err := chunks.Next()
		if errors.Is(err, io.EOF) {
			return uint64(chunks.Offset()), nil
		}
		for err == nil {
			end = uint64(chunks.Offset())
			_, err = chunk.Read(buf)
		}
		switch {
		case errors.Is(err, io.EOF): // of the record
		case errors.Is(err, record.ErrInvalidChunk), errors.Is(err, record.ErrZeroedChunk), errors.Is(err, record.ErrUnexpectedEOF):
			return end, nil
		default:
			return 0, err
		}
	}
}
