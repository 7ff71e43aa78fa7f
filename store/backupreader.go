package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// backupReader reads what Backup wrote. Errors wrap ErrBackup or
// ErrNewerFormat and say where, or are those of the input.
type backupReader struct {
	in    io.Reader
	at    int64 // where the next block begins
	buf   bytes.Buffer
	last  []byte
	pairs uint64
	again bool // payload returns the block in buf once more
}

// maxBackupLine bounds the first line: a version of any later release fits.
const maxBackupLine = 64

// rehearse reads the header, and looks ahead as far as it can: at all of an
// input that can be read twice, else at the first block.
func (b *backupReader) rehearse(ctx context.Context) error {
	file, seeks := b.in.(io.Seeker)
	if seeks {
		at, err := file.Seek(0, io.SeekCurrent)
		if err == nil { // else a pipe
			whole := &backupReader{in: b.in}
			if err := whole.readAll(ctx); err != nil {
				return err
			}
			if _, err := file.Seek(at, io.SeekStart); err != nil {
				return fmt.Errorf("read the backup again: %w", err)
			}
		}
	}
	if err := b.header(); err != nil {
		return err
	}
	_, err := b.payload()
	b.again = err == nil
	return err
}

// readAll reads a backup to its end.
func (b *backupReader) readAll(ctx context.Context) error {
	err := b.header()
	for end := false; err == nil && !end; {
		end, err = b.next(func(_, _ []byte) error { return ctx.Err() })
	}
	if err != nil {
		return err
	}
	return b.end()
}

// header reads the first line.
func (b *backupReader) header() error {
	var line []byte
	for one := make([]byte, 1); len(line) < maxBackupLine; {
		if _, err := io.ReadFull(b.in, one); err != nil {
			return b.broken(err)
		}
		if b.at++; one[0] == '\n' {
			break
		}
		line = append(line, one[0])
	}
	text, ok := strings.CutPrefix(string(line), backupPrefix)
	version, err := strconv.Atoi(text)
	switch {
	case !ok || err != nil || version < 1 || strconv.Itoa(version) != text:
		return fmt.Errorf("%w: it begins with %q", ErrBackup, line)
	case version > backupVersion:
		return fmt.Errorf("%w: the backup has version %d, this release reads up to %d", ErrNewerFormat, version, backupVersion)
	}
	return nil
}

// next reads a block and yields its pairs, which are valid during the call.
// It reports whether it was the end.
func (b *backupReader) next(yield func(key, value []byte) error) (end bool, err error) {
	payload, err := b.payload()
	if err != nil {
		return false, err
	}
	r := crdt.NewReader(payload)
	if r.Nil() {
		if n := r.Uint(); r.Err() == nil && n != b.pairs {
			r.Fail(fmt.Sprintf("it had %d pairs, and %d came", n, b.pairs))
		}
		return true, b.invalid(r.Done())
	}
	for r.More() {
		key, value := r.Bytes(maxBackupBlock), r.Bytes(maxBackupBlock)
		if r.Err() != nil {
			break
		}
		if err := b.check(key); err != nil {
			return false, err
		}
		if err := yield(key, value); err != nil {
			return false, err
		}
		b.last = append(b.last[:0], key...)
		b.pairs++
	}
	return false, b.invalid(r.Done())
}

// payload reads a block. Memory follows what the input has, not what a length
// claims.
func (b *backupReader) payload() ([]byte, error) {
	if b.again {
		b.again = false
		return b.buf.Bytes(), nil
	}
	var head [blockHead]byte
	if _, err := io.ReadFull(b.in, head[:]); err != nil {
		return nil, b.broken(err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxBackupBlock {
		return nil, b.invalid(fmt.Errorf("a block of %d bytes", n))
	}
	b.buf.Reset()
	if _, err := io.CopyN(&b.buf, b.in, int64(n)); err != nil {
		return nil, b.broken(err)
	}
	if crc32.Checksum(b.buf.Bytes(), castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, b.invalid(errors.New("the checksum does not match"))
	}
	b.at += int64(blockHead + n)
	return b.buf.Bytes(), nil
}

// check refuses a key that no backup has at this place.
func (b *backupReader) check(key []byte) error {
	if len(key) == 0 || bytes.Compare(key, b.last) <= 0 {
		return b.invalid(fmt.Errorf("key %x is out of order", key))
	}
	switch key[0] {
	case spaceCatalog, spaceNumber, spaceLocal, spaceNamespace, spacePending:
		return nil
	}
	return b.invalid(fmt.Errorf("key %x is of no space", key))
}

// end makes sure that nothing follows.
func (b *backupReader) end() error {
	switch n, err := io.ReadFull(b.in, make([]byte, 1)); {
	case n > 0:
		return b.invalid(errors.New("something follows its end"))
	case !errors.Is(err, io.EOF):
		return fmt.Errorf("read the backup: %w", err)
	}
	return nil
}

// broken is invalid for an error of the input.
func (b *backupReader) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b.invalid(errors.New("it breaks off"))
	}
	return fmt.Errorf("read the backup: %w", err)
}

// invalid says where, unless err is nil.
func (b *backupReader) invalid(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: at byte %d: %w", ErrBackup, b.at, err)
}
