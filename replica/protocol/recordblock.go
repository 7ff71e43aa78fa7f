package protocol

import (
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// A block is the part of a frame that carries records; Delta and Answer frames
// end with one. To a peer that takes it (FeatureColumns) it is in columns, if it
// has two records or more: where one in rows begins with an array, that begins
// with a number.
//
//	block   = table records | count table columns
//	table   = [*writer]; events name a writer by its place in it. For columns
//	          they are in the order in which events name them first
//	records = [*(key record)]; equal keys in a row are parts of one record,
//	          also where a frame ends between them
//	count   = how many entries there are, two at least
//	columns = as in crdt.Columns; equal keys in a row as in records
type blockEncoder struct {
	target  int // bytes at which a block ends
	table   crdt.WriterTable
	count   int           // entries
	records []byte        // in rows
	columns *crdt.Columns // nil: in rows
	first   crdt.Entry    // in columns too; alone, it is to be in a row
}

// isColumns reports whether a block is in columns.
func isColumns(block []byte) bool {
	return len(block) > 0 && (block[0] < 0x80 || block[0]&^3 == 0xcc) // as a uint begins
}

// newBlockEncoder returns an encoder of blocks in columns, or in rows.
func newBlockEncoder(inColumns bool) blockEncoder {
	b := blockEncoder{target: TargetFrameBytes}
	if inColumns {
		b.columns = &crdt.Columns{}
	}
	return b
}

// add adds a record, and calls flush, which must take what is there with
// appendTo, whenever the block is full. It keeps e until then.
func (b *blockEncoder) add(e crdt.Entry, flush func() error) error {
	for rest := e.Record; len(rest) > 0; {
		n, size := b.fitting(e.Key, rest)
		if b.count > 0 && b.full(e.Key, n, size) {
			if err := flush(); err != nil {
				return err
			}
		}
		b.put(e.Key, rest[:n])
		rest = rest[n:]
	}
	return nil
}

// full reports whether an entry more, of n events and size bytes at most, is too
// much for the block.
func (b *blockEncoder) full(k crdt.Key, n, size int) bool {
	return b.filled()+size > b.target || len(b.table.Writers())+n > MaxWritersPerFrame ||
		b.columns != nil && b.columns.Unfold(k, n)
}

// put adds an entry.
func (b *blockEncoder) put(k crdt.Key, rec crdt.Record) {
	b.count++
	if b.columns == nil {
		b.putRow(k, rec)
		return
	}
	b.columns.Add(k, rec, b.table.Place)
	if b.count == 1 {
		b.first = crdt.Entry{Key: k, Record: rec}
	}
}

func (b *blockEncoder) putRow(k crdt.Key, rec crdt.Record) {
	b.records = crdt.AppendString(b.records, string(k))
	b.records = crdt.AppendRecord(b.records, rec, b.table.Place)
}

// filled returns about how many bytes the records take.
func (b *blockEncoder) filled() int {
	if b.columns == nil {
		return len(b.records)
	}
	return b.columns.Size()
}

// eventOverhead is what an event takes at most beside its value and fields.
const eventOverhead = 40

// fitting returns how many of the events fit one entry, at least one, and at
// most how many bytes the entry takes.
func (b *blockEncoder) fitting(k crdt.Key, rec crdt.Record) (n, size int) {
	size = len(k) + eventOverhead
	for n < len(rec) && n < MaxWritersPerFrame {
		more := len(rec[n].Value) + len(rec[n].Ext) + eventOverhead
		if n > 0 && size+more > b.target {
			break
		}
		size += more
		n++
	}
	return n, size
}

// size returns about how many bytes appendTo appends.
func (b *blockEncoder) size() int { return 18*len(b.table.Writers()) + b.filled() }

// appendTo appends the block to a frame, and begins the next one.
func (b *blockEncoder) appendTo(dst []byte) []byte {
	if b.columns != nil && b.count > 1 {
		dst = b.appendTable(crdt.AppendUint(dst, uint64(b.count)))
		dst = b.columns.AppendTo(dst)
	} else {
		if b.columns != nil && b.count == 1 {
			b.columns.Reset()
			b.putRow(b.first.Key, b.first.Record)
		}
		dst = crdt.AppendArray(b.appendTable(dst), 2*b.count)
		dst = append(dst, b.records...)
	}
	b.table.Reset()
	b.count, b.records, b.first = 0, b.records[:0], crdt.Entry{}
	return dst
}

func (b *blockEncoder) appendTable(dst []byte) []byte {
	ws := b.table.Writers()
	dst = crdt.AppendArray(dst, len(ws))
	for i := range ws {
		dst = crdt.AppendBytes(dst, ws[i][:])
	}
	return dst
}

// blockDecoder reads blocks that follow each other, and puts records together
// that were split. The zero value is ready.
type blockDecoder struct {
	held  crdt.Entry // may go on in the next entry
	bytes int        // of held's values
	parts int        // keys and their events in the last block
	table []crdt.WriterID
}

// writersOf returns the writers of the events in a block, or nil if they are
// too many for a delta that was pushed.
func writersOf(block []byte) (ws []crdt.WriterID) {
	r := crdt.NewReader(block)
	if isColumns(block) {
		r.Uint()
	}
	for range r.Array(MaxSpared) {
		ws = append(ws, r.Writer())
	}
	if r.Err() != nil {
		return nil
	}
	return ws
}

// entries reads a block and yields the records that are complete after it. An
// error is left in r. What it yields aliases what r reads.
func (d *blockDecoder) entries(r *crdt.Reader) iter.Seq[crdt.Entry] {
	return func(yield func(crdt.Entry) bool) {
		if isColumns(r.Rest()) {
			d.columns(r, yield)
			return
		}
		d.readTable(r)
		n := r.Array(maxRecordsPerFrame)
		if n%2 != 0 {
			r.Fail("a key without its record")
		}
		d.parts = n / 2
		for i := 0; i < n/2 && r.Err() == nil; i++ {
			e := d.readEntry(r)
			if r.Err() != nil {
				return
			}
			if done, ok := d.take(r, e); ok && !yield(done) {
				return
			}
		}
	}
}

// columns is entries of a block in columns.
func (d *blockDecoder) columns(r *crdt.Reader, yield func(crdt.Entry) bool) {
	c := d.readColumns(r)
	if r.Err() != nil {
		return
	}
	d.parts = c.Left()
	for e, ok := c.Next(); ok; e, ok = c.Next() {
		if done, ok := d.take(r, e); ok && !yield(done) {
			return
		}
	}
}

// readColumns reads a block in columns up to the first entry.
func (d *blockDecoder) readColumns(r *crdt.Reader) *crdt.ColumnsReader {
	count := r.Uint()
	if count < 2 {
		r.Fail("fewer than two records in columns")
	}
	if d.readTable(r); r.Err() == nil && repeats(d.table) {
		r.Fail("a writer twice in a table")
	}
	return crdt.NewColumnsReader(r, count, d.table)
}

// rest returns the record that was held back since the next block could have
// had more of it; ok is false if there is none.
func (d *blockDecoder) rest() (e crdt.Entry, ok bool) {
	e = d.held
	*d = blockDecoder{}
	return e, len(e.Record) > 0
}

// maxRecordsPerFrame bounds keys and records in one frame, two elements each;
// an entry takes 8 bytes at least.
const maxRecordsPerFrame = MaxFrameBytes / 4

func (d *blockDecoder) readTable(r *crdt.Reader) {
	n := r.Array(MaxWritersPerFrame)
	d.table = d.table[:0]
	for range n {
		d.table = append(d.table, r.Writer())
	}
}

// repeats reports whether a writer is in a table twice.
func repeats(table []crdt.WriterID) bool {
	if len(table) < 2 {
		return false
	}
	sorted := slices.Clone(table)
	slices.SortFunc(sorted, crdt.WriterID.Compare)
	return len(slices.Compact(sorted)) < len(table)
}

func (d *blockDecoder) readEntry(r *crdt.Reader) (e crdt.Entry) {
	e.Key = crdt.Key(r.String(crdt.MaxKeyBytes))
	if r.Err() == nil {
		if err := e.Key.Validate(); err != nil {
			r.Fail(err.Error())
		}
	}
	e.Record = crdt.ReadRecord(r, func(i uint64) (w crdt.WriterID, ok bool) {
		if i >= uint64(len(d.table)) {
			return w, false
		}
		return d.table[i], true
	})
	if r.Err() == nil && len(e.Record) == 0 {
		r.Fail("a record without events")
	}
	return e
}

// take holds e back, and returns what was held before if that is complete.
func (d *blockDecoder) take(r *crdt.Reader, e crdt.Entry) (done crdt.Entry, ok bool) {
	size := 0
	for i := range e.Record {
		size += len(e.Record[i].Value) + len(e.Record[i].Ext)
	}
	if e.Key != d.held.Key || len(d.held.Record) == 0 {
		done, d.held, d.bytes = d.held, e, size
		return done, len(done.Record) > 0
	}
	if last := d.held.Record[len(d.held.Record)-1]; e.Record[0].Dot.Compare(last.Dot) <= 0 {
		// To sort what came in any order would take the square of it.
		r.Fail(fmt.Sprintf("more of a record, from event %s:%d on, behind event %s:%d",
			e.Record[0].Writer, e.Record[0].Seq, last.Writer, last.Seq))
		return done, false
	}
	d.bytes += size
	rec := append(d.held.Record, e.Record...)
	if len(rec) > crdt.MaxSiblings || d.bytes > MaxRecordBytes {
		r.Fail(fmt.Sprintf("record of %d events and %d bytes", len(rec), d.bytes))
		return done, false
	}
	d.held.Record = rec
	return done, false
}
