package crdt

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"slices"
)

// The head of a delta in version 2 names each writer, node and namespace once:
//
//	head    = records further *id *(column, counted) nodes namespaces signatures
//	records = how many writers have their record in the delta, as uvarint
//	further = how many others it names, as uvarint
//	id      = 16 bytes: those with records in their order, those that the vectors
//	          and parents name in the order of ids, those that only events name
//	          as they do
//	nodes, namespaces, signatures = counted, behind each other
//
// The columns (column.go) are, for each id
//
//	from     its seq in From; 0 if it is not there
//	to       the distance of that in To from it, by zigzag
//
// for each record, where the first one follows one of no namespace at 0
//
//	node     the place of its node in nodes
//	name     the length of its namespace and 1; 0 if that is the one before
//	parents  how many there are
//	millis   the distance of when it started from the one before, by zigzag
//	logical  the same, as in Columns
//	signed   1 if there is a signature, else 0
//
// and for each parent
//
//	parent   the place of its id before that of its child, by zigzag
//	seq      its seq
type deltaHead struct {
	ids     WriterTable
	numbers [headCount]column
}

// The columns of numbers, in their order. Frozen.
const (
	headFrom = iota
	headTo
	headNode
	headName
	headParents
	headMillis
	headLogical
	headSigned
	headParent
	headSeq
	headCount
)

// name gives the writers of d their places, but for those that only events name;
// ok is false if one is introduced twice.
func (h *deltaHead) name(d *Delta) (ok bool) {
	for i, rec := range d.Writers {
		if h.ids.Place(rec.Writer) < uint64(i) {
			return false
		}
	}
	var others []WriterID
	for _, v := range []Vector{d.From, d.To} {
		for w := range v {
			others = append(others, w)
		}
	}
	for _, rec := range d.Writers {
		for _, p := range rec.Parents {
			others = append(others, p.Writer)
		}
	}
	slices.SortFunc(others, WriterID.Compare)
	for _, w := range others {
		h.ids.Place(w)
	}
	return true
}

// appendTo appends the head of d, all of whose writers have their places.
func (h *deltaHead) appendTo(dst []byte, d *Delta) []byte {
	ids := h.ids.Writers()
	dst = binary.AppendUvarint(dst, uint64(len(d.Writers)))
	dst = binary.AppendUvarint(dst, uint64(len(ids)-len(d.Writers)))
	for _, w := range ids {
		dst = append(dst, w[:]...)
		h.numbers[headFrom].add(d.From[w])
		h.numbers[headTo].add(zigzag(int64(d.To[w] - d.From[w])))
	}
	var nodes, namespaces, signatures []byte
	places := map[NodeID]uint64{}
	before := &WriterRecord{}
	for i, rec := range d.Writers {
		place, ok := places[rec.Node]
		if !ok {
			place = uint64(len(places))
			places[rec.Node] = place
			nodes = append(nodes, rec.Node[:]...)
		}
		name := uint64(0)
		if rec.Namespace != before.Namespace {
			name = uint64(len(rec.Namespace)) + 1
			namespaces = append(namespaces, rec.Namespace...)
		}
		signed := uint64(0)
		if rec.Signature != [ed25519.SignatureSize]byte{} {
			signed = 1
			signatures = append(signatures, rec.Signature[:]...)
		}
		millis, logical := rec.Started.stepsFrom(before.Started)
		for at, u := range [...]uint64{place, name, uint64(len(rec.Parents)), millis, logical, signed} {
			h.numbers[headNode+at].add(u)
		}
		for _, p := range rec.Parents {
			h.numbers[headParent].add(zigzag(int64(i) - int64(h.ids.Place(p.Writer))))
			h.numbers[headSeq].add(p.Seq)
		}
		before = rec
	}
	for i := range h.numbers {
		dst = h.numbers[i].appendTo(dst)
	}
	dst = appendCounted(dst, nodes)
	dst = appendCounted(dst, namespaces)
	return appendCounted(dst, signatures)
}

// headReader reads what deltaHead wrote.
type headReader struct {
	r                             *Reader
	ids                           []WriterID
	numbers                       [headCount]columnReader
	nodes, namespaces, signatures text
}

// readDeltaHead reads the head of d, and returns the ids in it.
func readDeltaHead(r *Reader, d *Delta) []WriterID {
	records, further := r.uvarint(), r.uvarint()
	if left := uint64(len(r.Rest()) / len(WriterID{})); r.Err() == nil && (records > MaxVectorEntries || further > left || records+further > left) {
		r.Fail(fmt.Sprintf("%d writers, and %d that are introduced", further, records))
	}
	if r.Err() != nil {
		return nil
	}
	h := headReader{r: r, ids: make([]WriterID, records+further)}
	for i := range h.ids {
		copy(h.ids[i][:], r.take(len(WriterID{})))
	}
	for i := range h.numbers {
		h.numbers[i] = newColumnReader(r.counted())
	}
	h.nodes.buf, h.namespaces.buf, h.signatures.buf = r.counted(), r.counted(), r.counted()
	if h.measure(records); r.Err() != nil {
		return nil
	}
	h.readVectors(d)
	before := &WriterRecord{}
	for i := range int(records) {
		rec := &WriterRecord{Writer: h.ids[i]}
		if h.readRecord(rec, before, i); r.Err() != nil {
			return nil
		}
		d.Writers = append(d.Writers, rec)
		before = rec
	}
	return h.ids
}

// measure refuses columns that are not as long as they are to be, or have more
// parents than bytes.
func (h *headReader) measure(records uint64) {
	parents := uint64(0)
	for i := range h.numbers {
		want := records
		switch i {
		case headFrom, headTo:
			want = uint64(len(h.ids))
		case headParent, headSeq:
			want = parents
		}
		m, ok := h.numbers[i].measure(want)
		if !ok || m.count != want || i == headParents && m.sum > uint64(len(h.r.buf)) {
			h.r.Fail(fmt.Sprintf("column %d of a delta's head is malformed, or not as long as it is to be", i))
			return
		}
		if i == headParents {
			parents = m.sum
		}
	}
}

func (h *headReader) readVectors(d *Delta) {
	d.From, d.To = Vector{}, Vector{}
	for _, w := range h.ids {
		from := h.numbers[headFrom].next()
		if from != 0 {
			d.From[w] = from
		}
		if to := from + uint64(unzigzag(h.numbers[headTo].next())); to != 0 {
			d.To[w] = to
		}
	}
	if max(len(d.From), len(d.To)) > MaxVectorEntries {
		h.r.Fail(fmt.Sprintf("vectors of %d and %d entries", len(d.From), len(d.To)))
	}
}

// readRecord reads the record at a place.
func (h *headReader) readRecord(rec, before *WriterRecord, place int) {
	node, name, parents := h.numbers[headNode].next(), h.numbers[headName].next(), h.numbers[headParents].next()
	if node >= uint64(len(h.nodes.buf)/len(rec.Node)) || parents > MaxParents {
		h.r.Fail(fmt.Sprintf("writer of node %d with %d parents", node, parents))
		return
	}
	copy(rec.Node[:], h.nodes.buf[int(node)*len(rec.Node):])
	if rec.Namespace = before.Namespace; name > 0 {
		if name-1 > min(MaxNamespaceBytes, h.namespaces.left()) {
			h.r.Fail(fmt.Sprintf("a namespace of %d bytes", name-1))
			return
		}
		rec.Namespace = string(h.namespaces.take(name - 1))
	}
	var ok bool
	if rec.Started, ok = before.Started.step(h.numbers[headMillis].next(), h.numbers[headLogical].next()); !ok {
		h.r.Fail("a time out of bounds")
		return
	}
	if h.numbers[headSigned].next() != 0 {
		if h.signatures.left() < uint64(len(rec.Signature)) {
			h.r.Fail("signatures that end early")
			return
		}
		copy(rec.Signature[:], h.signatures.take(uint64(len(rec.Signature))))
	}
	for range parents {
		at := int64(place) - unzigzag(h.numbers[headParent].next())
		p := Dot{Seq: h.numbers[headSeq].next()}
		if at < 0 || at >= int64(len(h.ids)) || p.Seq == 0 {
			h.r.Fail(fmt.Sprintf("parent %d of %d, up to %d", at, len(h.ids), p.Seq))
			return
		}
		if p.Writer = h.ids[at]; len(rec.Parents) > 0 && p.Writer.Compare(rec.Parents[len(rec.Parents)-1].Writer) <= 0 {
			h.r.Fail("parents out of order")
			return
		}
		rec.Parents = append(rec.Parents, p)
	}
}
