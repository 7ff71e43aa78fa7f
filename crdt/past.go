package crdt

import (
	"maps"
	"slices"
)

// Past is a closed causal context: all that some vector covers, with the
// ancestors that its entries imply. It answers as the expanded vector would,
// and takes memory and time for branches, not for restarts: for each chain of
// the Lineage the furthest writer in it, and up to which seq.
//
// Why that is exact. Let V be an expanded vector. Where V covers anything of a
// writer, it covers the writer's parents up to the seqs that its record names.
// So V covers something of a writer in a chain exactly if that writer is not
// behind the furthest one; of the furthest V[w] is kept; and of one before it
// V[w] is at least what the next in the chain names. If it is more than that
// (the writer went on where the next began on a copy, or on a store that had
// lost its tail), then it is a branch of its own, and kept as an extra entry.
// What links from chain to chain imply is added when a head moves over them
// (raise). So at each writer the value is V's, and whatever is computed from
// the values, as below, is what comes of the expanded vectors.
//
// An entry of a writer that the Lineage does not know is an extra one and
// counts for itself only, until it is joined again when the writer is known.
//
// A Past belongs to its Lineage, and is combined only with others of the same
// one. The zero value covers nothing. Safe for concurrent reads, if the
// Lineage is.
type Past struct {
	lineage *Lineage
	heads   []head // by chain, as far as there are any
	extra   Vector // what heads do not imply, or something that they do
}

// head is the furthest writer of a chain that is covered; pos 0: none is.
type head struct {
	pos uint32
	seq uint64
}

var _ Context = (*Past)(nil)

// begin begins to read. The caller ends that with runlock.
func (p *Past) begin() *Lineage {
	l := p.lineage
	if l == nil {
		l = new(Lineage)
	}
	l.rlock()
	return l
}

// with begins to read two pasts.
func (p *Past) with(q *Past) *Lineage {
	if p.lineage == nil {
		return q.begin()
	}
	if q.lineage != nil && q.lineage != p.lineage {
		panic("crdt: pasts of two lineages were combined")
	}
	return p.begin()
}

// Clone returns a copy that shares nothing with p.
func (p *Past) Clone() *Past {
	return &Past{p.lineage, slices.Clone(p.heads), maps.Clone(p.extra)}
}

// Empty reports whether p covers nothing.
func (p *Past) Empty() bool {
	return len(p.extra) == 0 && !slices.ContainsFunc(p.heads, func(h head) bool { return h.pos > 0 })
}

// Seq returns up to which seq w is covered.
func (p *Past) Seq(w WriterID) uint64 {
	l := p.begin()
	defer l.runlock()
	return p.seq(l, w)
}

// Covers reports whether the transaction d is covered.
func (p *Past) Covers(d Dot) bool {
	l := p.begin()
	defer l.runlock()
	return d.Seq <= p.seq(l, d.Writer)
}

// CoversAll reports whether p covers all entries of v, and with them all that
// they imply.
func (p *Past) CoversAll(v Vector) bool {
	l := p.begin()
	defer l.runlock()
	for w, s := range v {
		if p.seq(l, w) < s {
			return false
		}
	}
	return true
}

// Includes reports whether p covers all that q covers.
func (p *Past) Includes(q *Past) bool {
	l := p.with(q)
	defer l.runlock()
	for c, h := range q.heads {
		if h.pos > 0 && p.seqAt(l, uint32(c), h.pos) < h.seq {
			return false
		}
	}
	for w, s := range q.extra {
		if p.seq(l, w) < s {
			return false
		}
	}
	return true
}

// Equal reports whether both cover the same.
func (p *Past) Equal(q *Past) bool { return p.Includes(q) && q.Includes(p) }

// Disjoint reports whether no writer is covered by both.
func (p *Past) Disjoint(q *Past) bool {
	l := p.with(q)
	defer l.runlock()
	for c := range min(len(p.heads), len(q.heads)) {
		if p.heads[c].pos > 0 && q.heads[c].pos > 0 {
			return false // both cover the first of the chain
		}
	}
	for w := range p.extra {
		if q.seq(l, w) > 0 {
			return false
		}
	}
	for w := range q.extra {
		if p.seq(l, w) > 0 {
			return false
		}
	}
	return true
}

func (p *Past) seq(l *Lineage, w WriterID) uint64 {
	s := p.extra[w]
	if i, ok := l.find(w); ok {
		r := &l.runs[i]
		s = max(s, p.implied(l, r.chain, r.pos))
	}
	return s
}

func (p *Past) seqAt(l *Lineage, chain, pos uint32) uint64 {
	s := p.implied(l, chain, pos)
	if len(p.extra) > 0 {
		s = max(s, p.extra[l.member(chain, pos).id])
	}
	return s
}

// implied returns what the head of a chain says of the writer at pos.
func (p *Past) implied(l *Lineage, chain, pos uint32) uint64 {
	switch h := p.head(chain); {
	case pos > h.pos:
		return 0
	case pos == h.pos:
		return h.seq
	}
	return l.member(chain, pos+1).names
}

func (p *Past) head(chain uint32) head {
	if int(chain) < len(p.heads) {
		return p.heads[chain]
	}
	return head{}
}

func (l *Lineage) member(chain, pos uint32) *run { return &l.runs[l.chains[chain].members[pos-1]] }

// Advance raises the entry of w to s if it is lower, with all that it implies.
func (p *Past) Advance(w WriterID, s uint64) {
	l := p.begin()
	defer l.runlock()
	p.advance(l, w, s)
}

// JoinVector raises p to cover all that v covers and implies.
func (p *Past) JoinVector(v Vector) {
	l := p.begin()
	defer l.runlock()
	for w, s := range v {
		p.advance(l, w, s)
	}
}

// Join raises p to cover all that q covers.
func (p *Past) Join(q *Past) {
	l := p.with(q)
	defer l.runlock()
	if p.lineage == nil {
		p.lineage = q.lineage
	}
	for c, h := range q.heads {
		if h.pos > 0 && p.implied(l, uint32(c), h.pos) < h.seq { // an extra entry implies nothing
			p.raise(l, l.chains[c].members[h.pos-1], h.seq)
		}
	}
	for w, s := range q.extra {
		p.advance(l, w, s)
	}
}

func (p *Past) advance(l *Lineage, w WriterID, s uint64) {
	if i, ok := l.find(w); ok {
		p.raise(l, i, s)
		return
	}
	p.keep(w, s)
}

// keep takes an extra entry.
func (p *Past) keep(w WriterID, s uint64) {
	if p.extra == nil {
		p.extra = Vector{}
	}
	p.extra.Advance(w, s)
}

// due is an entry that is to be raised.
type due struct {
	run uint32
	seq uint64
}

// raise raises the entry of a run, and then those that this implies.
func (p *Past) raise(l *Lineage, i uint32, s uint64) {
	todo := p.lift(l, i, s, nil)
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = p.lift(l, d.run, d.seq, todo[:len(todo)-1])
	}
}

// lift raises one entry. The links of the writers that a head moves over, and
// so covers now, are due: each is followed once, in the life of a Past.
func (p *Past) lift(l *Lineage, i uint32, s uint64, todo []due) []due {
	r := &l.runs[i]
	if n := int(r.chain) + 1 - len(p.heads); n > 0 {
		p.heads = append(p.heads, make([]head, n)...)
	}
	h := &p.heads[r.chain]
	if r.pos < h.pos {
		if s > p.implied(l, r.chain, r.pos) {
			p.keep(r.id, s)
		}
		return todo
	}
	if e, ok := p.extra[r.id]; ok { // from when the writer was not known
		s = max(s, e)
		delete(p.extra, r.id)
	}
	if r.pos == h.pos {
		h.seq = max(h.seq, s)
		return todo
	}
	old := *h
	*h = head{r.pos, s}
	if old.pos > 0 && old.seq > p.implied(l, r.chain, old.pos) {
		p.keep(l.member(r.chain, old.pos).id, old.seq)
	}
	for _, k := range l.chains[r.chain].linksOf(old.pos, r.pos) {
		todo = append(todo, due{k.parent, k.seq})
	}
	return todo
}

// Meet lowers p to what both cover. That is closed: where both cover something
// of a writer, both cover its parents.
func (p *Past) Meet(q *Past) {
	l := p.with(q)
	defer l.runlock()
	met := Past{lineage: p.lineage, heads: make([]head, min(len(p.heads), len(q.heads)))}
	for c := range met.heads {
		if pos := min(p.heads[c].pos, q.heads[c].pos); pos > 0 {
			met.heads[c] = head{pos, min(p.seqAt(l, uint32(c), pos), q.seqAt(l, uint32(c), pos))}
		}
	}
	for w := range p.extra {
		if s := min(p.seq(l, w), q.seq(l, w)); s > met.seq(l, w) {
			met.keep(w, s)
		}
	}
	*p = met
}
