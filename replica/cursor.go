package replica

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// A cursor is what a watch had told when it was made:
//
//	cursor = array(3) version incarnation vector
//
// The version vector is in normal form. The incarnation is that of the
// namespace in the store that made the cursor: after the namespace was
// dropped and made again, transactions that the vector covers may be missing
// here for good, and nothing would tell of them.
type cursor struct {
	incarnation uint32
	vector      crdt.Vector
}

const (
	cursorVersion = 1
	cursorFields  = 3
)

// appendCursor appends the cursor of a namespace of which p was told.
func appendCursor(dst []byte, s *store.Namespace, p *crdt.Past) []byte {
	dst = crdt.AppendArray(dst, cursorFields)
	dst = crdt.AppendUint(dst, cursorVersion)
	dst = crdt.AppendUint(dst, uint64(s.Incarnation()))
	return crdt.AppendVector(dst, p.Normal())
}

// readCursor reads what appendCursor wrote. A cursor of a later version reads
// as one that cannot be resumed; errors wrap ErrCursor.
func readCursor(b []byte) (*cursor, error) {
	if len(b) > maxCursorBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrCursor, len(b))
	}
	r := crdt.NewReader(b)
	fields := r.Array(len(b))
	version := r.Uint()
	if r.Err() == nil && version > cursorVersion {
		return &cursor{}, nil
	}
	if r.Err() == nil && (version != cursorVersion || fields != cursorFields) {
		r.Fail(fmt.Sprintf("version %d with %d fields", version, fields))
	}
	incarnation := r.Uint()
	c := &cursor{incarnation: uint32(incarnation), vector: crdt.ReadVector(r)}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCursor, err)
	}
	if incarnation != uint64(c.incarnation) {
		return nil, fmt.Errorf("%w: incarnation %d", ErrCursor, incarnation)
	}
	return c, nil
}

// resume returns what to go on from in a namespace at now, or nil if the cursor is of no use: it is of another incarnation, or ahead of
// what is here.
func (c *cursor) resume(s *store.Namespace, now *crdt.Past) *crdt.Past {
	if c.vector == nil || c.incarnation != s.Incarnation() {
		return nil
	}
	if !now.CoversAll(c.vector) {
		return nil
	}
	return s.Past(c.vector)
}
