package crdt

import (
	"fmt"
	"slices"
)

// Placed is a writer as a Lineage holds it: with its parents by their places,
// which Index tells.
type Placed struct {
	Writer  WriterID
	Node    NodeID         // zero if there are parents: they are of the same
	Parents []PlacedParent // ordered by writer, as in the writer's record
}

// PlacedParent is a parent: its place, and up to which seq it is covered.
type PlacedParent struct {
	Place uint32
	Seq   uint64
}

// Placed returns the writer at a place, 0 to Len()-1. It is the caller's.
func (l *Lineage) Placed(place int) Placed {
	l.rlock()
	defer l.runlock()
	r := &l.runs[place]
	w := Placed{Writer: r.id}
	for _, p := range l.parents(uint32(place)) {
		i, _ := l.find(p.Writer)
		w.Parents = append(w.Parents, PlacedParent{i, p.Seq})
	}
	if w.Parents == nil {
		w.Node = l.chains[r.chain].node
	}
	return w
}

// LineageBuilder makes a Lineage of what another one Placed. That is what
// adding the writers' records makes, in a tenth of the time: no writer is
// looked up. The zero value has no writers. Not safe for concurrent use.
type LineageBuilder struct{ built Lineage }

// Grow makes room for n writers more.
func (b *LineageBuilder) Grow(n int) { b.built.runs = slices.Grow(b.built.runs, n) }

// Add takes the next writer; it keeps nothing of w. A parent that is not
// before it, not ordered or of another node is refused, with an error that
// wraps ErrWriterRecord.
func (b *LineageBuilder) Add(w *Placed) error {
	l := &b.built
	for k, p := range w.Parents {
		switch {
		case int64(p.Place) >= int64(len(l.runs)):
			return fmt.Errorf("%w: writer %s at %d has a parent at %d", ErrWriterRecord, w.Writer, len(l.runs), p.Place)
		case k > 0 && l.runs[w.Parents[k-1].Place].id.Compare(l.runs[p.Place].id) >= 0:
			return fmt.Errorf("%w: writer %s has parents out of order", ErrWriterRecord, w.Writer)
		}
	}
	node := w.Node
	if len(w.Parents) > 0 {
		node = l.chains[l.runs[w.Parents[0].Place].chain].node
	}
	return l.add(w.Writer, node, w.Parents)
}

// Lineage returns the lineage, and leaves the builder without writers. It is safe
// for concurrent use, as are its Pasts: each call takes g for itself, and calls
// nothing while it does. A writer that was added twice is refused, with an error that wraps
// ErrWriterRecord.
func (b *LineageBuilder) Lineage(g Guard) (*Lineage, error) {
	l := b.built
	b.built = Lineage{}
	if i, twice := l.index.fill(l.runs); twice {
		return nil, fmt.Errorf("%w: writer %s is there twice", ErrWriterRecord, l.runs[i].id)
	}
	l.guard = g
	return &l, nil
}
