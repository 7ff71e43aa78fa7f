package replica

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/anabranch-db/anabranch/crdt"
)

// ImportOptions say where an import goes. The zero value puts each line into
// the namespace that it names.
type ImportOptions struct {
	// Namespace takes all lines, whatever namespace they name.
	Namespace string
}

// ImportResult counts what an import committed.
type ImportResult struct {
	// Lines is how many lines, from the first on, are committed.
	Lines int
	// Transactions is how many they were committed in.
	Transactions int
	// Conflicts is how many multi-value registers had several values, of
	// which only the latest came in: concurrency cannot be imported.
	Conflicts int
}

// ImportError says which line of an import failed, and why.
type ImportError struct {
	Line int // the first is 1
	Err  error
}

// Error implements error.
func (e *ImportError) Error() string { return fmt.Sprintf("import: line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *ImportError) Unwrap() error { return e.Err }

// Import reads what Export writes, and makes what each line names read as the
// line says, whatever was there; anything else stays. Namespaces that are not
// here are made. So an import may be repeated.
//
// It commits a transaction every few thousand values. Where it fails, the
// transactions before stand, nothing of the present one does, and an
// *ImportError names the line: of the cause are ErrImport for what is no line
// of an export, ErrTooLarge, and the errors of the values' types.
func (d *DB) Import(ctx context.Context, r io.Reader, o ImportOptions) (ImportResult, error) {
	im := importer{db: d, options: o}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, MaxImportLineBytes)
	for scanner.Scan() {
		im.line++
		if err := im.read(ctx, scanner.Bytes()); err != nil {
			return im.result, err
		}
	}
	switch err := scanner.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return im.result, &ImportError{im.line + 1, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxImportLineBytes)}
	case err != nil:
		return im.result, &ImportError{im.line + 1, err}
	}
	switch {
	case im.version > exportOpenEnded && im.ended == 0:
		return im.result, &ImportError{im.line + 1, fmt.Errorf("%w: the last line of the export is missing: it was cut", ErrImport)}
	case im.version == 0 && len(im.batch) == 0 && im.result.Transactions == 0:
		return im.result, &ImportError{im.line + 1, fmt.Errorf("%w: there is nothing in it, not even the first line of an export", ErrImport)}
	}
	err := im.commit(ctx)
	if err == nil && im.ended > 0 {
		im.result.Lines = im.ended
	}
	return im.result, err
}

// importer collects lines until they make a transaction.
type importer struct {
	db      *DB
	options ImportOptions
	line    int // the number of the last line read
	version int // 0 without a first line that says so
	ended   int // the line that says so, or 0
	result  ImportResult

	namespace string // that of the lines in batch
	batch     []importLine
	bytes     int
	elements  int
	last      importLine // which a line with a part continues
}

// read takes one line, and commits if that makes enough.
func (im *importer) read(ctx context.Context, text []byte) error {
	switch h := readHeader(text); {
	case len(bytes.TrimSpace(text)) == 0:
		return nil
	case im.line == 1 && h.Anabranch != "":
		im.version = h.Version
		return im.header(h)
	case im.ended > 0:
		return &ImportError{im.line, fmt.Errorf("%w: it is behind the end", ErrImport)}
	case h.Anabranch == exportEnds:
		im.ended = im.line
		return nil
	}
	l, err := parseLine(text)
	if err == nil && l.part > 1 && !l.continues(&im.last) {
		err = fmt.Errorf("%w: part %d does not follow part %d", ErrImport, l.part, l.part-1)
	}
	if err != nil {
		return &ImportError{im.line, err}
	}
	im.last = l
	if im.options.Namespace != "" {
		l.namespace = im.options.Namespace
	}
	l.number = im.line
	if len(im.batch) > 0 && (l.namespace != im.namespace || im.bytes >= importBytes || im.elements >= importElements) {
		if err := im.commit(ctx); err != nil {
			return err
		}
	}
	im.namespace = l.namespace
	im.batch = append(im.batch, l)
	im.bytes += len(text)
	im.elements += l.elements()
	return nil
}

// maxHeaderBytes is far more than a first or last line takes.
const maxHeaderBytes = 256

// readHeader reads a first or last line; any other has no word in it.
func readHeader(text []byte) (h exportHeader) {
	if len(text) > maxHeaderBytes || !bytes.Contains(text, []byte("anabranch")) {
		return h // most are, and need not be read twice
	}
	if err := json.Unmarshal(text, &h); err != nil {
		return exportHeader{}
	}
	return h
}

// header checks the line that names the format, which may be missing.
func (im *importer) header(h exportHeader) error {
	if h.Anabranch != exportBegins || h.Version < exportOpenEnded || h.Version > exportVersion {
		return &ImportError{im.line, fmt.Errorf("%w: format %q of version %d, this release reads %q up to version %d",
			ErrImport, h.Anabranch, h.Version, exportBegins, exportVersion)}
	}
	return nil
}

// commit makes one transaction of the batch.
func (im *importer) commit(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	first := im.batch[0].number
	n, err := im.db.Namespace(im.namespace)
	if err != nil {
		return &ImportError{first, err}
	}
	at := first // the line that the transaction is at
	err = n.Update(ctx, func(tx *Tx) error {
		for i := range im.batch {
			at = im.batch[i].number
			if err := im.batch[i].write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return &ImportError{at, err}
	}
	for i := range im.batch {
		if im.batch[i].typ == crdt.TypeMultiValue && len(im.batch[i].list) > 1 {
			im.result.Conflicts++
		}
	}
	im.result.Transactions++
	im.result.Lines = im.batch[len(im.batch)-1].number
	im.batch, im.bytes, im.elements = im.batch[:0], 0, 0
	return nil
}
