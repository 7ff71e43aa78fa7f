package crdt

import (
	"cmp"
	"slices"
)

// Normal returns the normal form: the entries that no others imply. It is
// unique, so equal pasts have equal normal forms.
func (p *Past) Normal() Vector {
	l := p.begin()
	defer l.runlock()
	v := make(Vector, len(p.heads)+len(p.extra))
	p.entries(l, &Past{}, func(_ uint32, d Dot) { v[d.Writer] = d.Seq })
	return v
}

// entries calls fn with those entries of the normal form that q does not
// cover, in no special order.
//
// Only the head of a chain and the extra entries can be among them, since the
// next writer in its chain implies any other; the other children of a writer
// are its forks.
func (p *Past) entries(l *Lineage, q *Past, fn func(run uint32, d Dot)) {
	for c, h := range p.heads {
		if h.pos == 0 {
			continue
		}
		s := p.seqAt(l, uint32(c), h.pos)
		if q.seqAt(l, uint32(c), h.pos) >= s {
			continue
		}
		if i := l.chains[c].members[h.pos-1]; !p.forked(l, i, s) {
			fn(i, Dot{l.runs[i].id, s})
		}
	}
	for w, s := range p.extra {
		if q.seq(l, w) >= s {
			continue
		}
		if i, ok := l.find(w); !ok {
			fn(unknownRun, Dot{w, s})
		} else if p.branches(l, i, s) && !p.forked(l, i, s) {
			fn(i, Dot{w, s})
		}
	}
}

// branches reports whether an extra entry says more than the head of the
// chain, and is not that of the head.
func (p *Past) branches(l *Lineage, i uint32, s uint64) bool {
	r := &l.runs[i]
	return r.pos != p.head(r.chain).pos && s > p.implied(l, r.chain, r.pos)
}

// forked reports whether a child outside the chain implies an entry.
func (p *Past) forked(l *Lineage, i uint32, s uint64) bool {
	return slices.ContainsFunc(l.forks[i], func(f fork) bool {
		return f.seq >= s && f.pos <= p.head(f.chain).pos
	})
}

// Branches returns what a new writer of node names as its parents, with p
// covered: the node's entries in normal form, ordered. Beyond MaxParents the
// rest stay branches: p keeps entries for them, and a later run joins them.
func (p *Past) Branches(node NodeID) []Dot {
	l := p.begin()
	defer l.runlock()
	var parents []Dot
	p.entries(l, &Past{}, func(i uint32, d Dot) {
		if i != unknownRun && l.chains[l.runs[i].chain].node == node {
			parents = append(parents, d)
		}
	})
	slices.SortFunc(parents, Dot.Compare)
	return parents[:min(len(parents), MaxParents)]
}

// Implied reports whether the entry of w is implied by others, or there is
// none: the normal form lacks it.
func (p *Past) Implied(w WriterID) bool {
	l := p.begin()
	defer l.runlock()
	s := p.seq(l, w)
	i, ok := l.find(w)
	if !ok || s == 0 {
		return s == 0
	}
	r := &l.runs[i]
	return p.forked(l, i, s) || (r.pos < p.head(r.chain).pos && s <= p.implied(l, r.chain, r.pos))
}

// Behind returns, ordered by writer, the entries of q's normal form that p
// does not cover. All else that q covers and p does not is implied by them.
func (p *Past) Behind(q *Past) []Dot {
	l := p.with(q)
	defer l.runlock()
	var es []Dot
	q.entries(l, p, func(_ uint32, d Dot) { es = append(es, d) })
	slices.SortFunc(es, Dot.Compare)
	return es
}

// Interval is transactions of one writer: those above After, up to and
// including Last.
type Interval struct {
	Writer      WriterID
	After, Last uint64
}

// Beyond returns all transactions that p covers and q does not: ancestors
// first, and last those of unknown writers. It takes time and memory for what
// it returns, and for branches.
func (p *Past) Beyond(q *Past) []Interval {
	l := p.with(q)
	defer l.runlock()
	found := p.beyond(l, q)
	out := make([]Interval, len(found))
	for k := range found {
		out[k] = found[k].Interval
	}
	return out
}

// Since returns the known writers that p covers and q does not at all, parents
// before children: whose records a peer at q must learn before p can be spoken
// of. The order is that of the writers, each behind its ancestors.
func (p *Past) Since(q *Past) []WriterID {
	l := p.with(q)
	defer l.runlock()
	left := map[uint32]bool{}
	var first []uint32
	for _, v := range p.beyond(l, q) {
		if v.After == 0 && v.run != unknownRun {
			left[v.run] = true
			first = append(first, v.run)
		}
	}
	slices.SortFunc(first, func(a, b uint32) int { return l.runs[a].id.Compare(l.runs[b].id) })
	ws := make([]WriterID, 0, len(first))
	var visit func(i uint32)
	visit = func(i uint32) {
		if !left[i] {
			return
		}
		delete(left, i)
		for _, d := range l.parents(i) {
			parent, _ := l.find(d.Writer)
			visit(parent)
		}
		ws = append(ws, l.runs[i].id)
	}
	for _, i := range first {
		visit(i)
	}
	return ws
}

// placed is an interval and the run that it is of.
type placed struct {
	run uint32
	Interval
}

const unknownRun = 1<<32 - 1

func (p *Past) beyond(l *Lineage, q *Past) (found []placed) {
	look := func(i uint32, w WriterID, theirs, ours uint64) {
		if theirs < ours {
			found = append(found, placed{i, Interval{w, theirs, ours}})
		}
	}
	// Where both are behind a head, both cover what the next writer names, and
	// more only by an extra entry.
	from := func(c uint32) uint32 { return max(1, min(p.head(c).pos, q.head(c).pos)) }
	for c, h := range p.heads {
		for pos := from(uint32(c)); pos <= h.pos; pos++ {
			i := l.chains[c].members[pos-1]
			look(i, l.runs[i].id, q.seqAt(l, uint32(c), pos), p.seqAt(l, uint32(c), pos))
		}
	}
	for w := range p.extra {
		i, ok := l.find(w)
		if !ok {
			look(unknownRun, w, q.seq(l, w), p.seq(l, w))
			continue
		}
		if r := &l.runs[i]; r.pos < from(r.chain) || r.pos > p.head(r.chain).pos {
			look(i, w, q.seq(l, w), p.seq(l, w))
		}
	}
	slices.SortFunc(found, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.run, b.run), a.Writer.Compare(b.Writer))
	})
	return found
}

// Expand returns the expanded vector: an entry for every writer that is
// covered.
func (p *Past) Expand() Vector {
	l := p.begin()
	defer l.runlock()
	v := Vector{}
	for _, i := range p.beyond(l, &Past{}) {
		v[i.Writer] = i.Last
	}
	return v
}

// Writers returns how many are covered.
func (p *Past) Writers() (n int) {
	l := p.begin()
	defer l.runlock()
	for _, h := range p.heads {
		n += int(h.pos)
	}
	for w := range p.extra {
		if i, ok := l.find(w); !ok || l.runs[i].pos > p.head(l.runs[i].chain).pos {
			n++
		}
	}
	return n
}

// Transactions returns how many are covered.
func (p *Past) Transactions() (n uint64) {
	l := p.begin()
	defer l.runlock()
	for c, h := range p.heads {
		n += h.seq
		for pos := uint32(2); pos <= h.pos; pos++ {
			n += l.member(uint32(c), pos).names
		}
	}
	for w, s := range p.extra {
		least := uint64(0)
		if i, ok := l.find(w); ok {
			least = p.implied(l, l.runs[i].chain, l.runs[i].pos)
		}
		n += s - min(s, least)
	}
	return n
}

// Bytes returns about how much memory p takes.
func (p *Past) Bytes() int {
	const header, perHead, perExtra = 64, 16, 64
	return header + perHead*cap(p.heads) + perExtra*len(p.extra)
}
