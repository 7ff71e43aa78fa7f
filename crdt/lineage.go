package crdt

import (
	"fmt"
	"maps"
	"slices"
)

// Lineage knows which writer is whose parent in one namespace, and so what an
// entry of a vector implies: a writer implies its ancestors. It keeps what
// that takes of a writer record, some 45 bytes, and not the record.
//
// Writers are held in chains: a writer extends the chain of a parent that is
// the last of its chain, and else begins a chain of its own. A node that only
// restarts is one chain, however often; each copy, restored backup or lost
// tail is one more. Which parent a chain goes on from follows from the order
// of Adds and is nobody else's concern: a Past means the same on any chains.
//
// The zero value is an empty lineage. Safe for concurrent reads, not beside
// Add, unless it was made with a Guard.
type Lineage struct {
	guard  Guard
	index  index
	runs   []run // in the order of Adds, so parents come before children
	chains []chain
	forks  map[uint32][]fork // by the run that they are children of
}

// Guard is a lock for many readers or one writer, such as a sync.RWMutex.
type Guard interface {
	Lock()
	Unlock()
	RLock()
	RUnlock()
}

// run is a writer. chain and pos say where it is; positions count from 1.
// names is up to which seq it covers the writer before it in the chain.
type run struct {
	id         WriterID
	chain, pos uint32
	names      uint64
}

// chain is writers of one node, each a parent of the next.
type chain struct {
	node    NodeID
	members []uint32 // runs; positions 1, 2, ...
	links   []link   // ordered by pos
}

// link is a parent that is not the writer before in the chain.
type link struct {
	pos    uint32 // of the child
	parent uint32
	seq    uint64 // up to which it is covered
}

// fork is a child that is not the next writer in the chain.
type fork struct {
	chain, pos uint32
	seq        uint64 // up to which the child covers the parent
}

func (l *Lineage) lock() func() {
	if l.guard == nil {
		return func() {}
	}
	l.guard.Lock()
	return l.guard.Unlock
}

func (l *Lineage) rlock() {
	if l.guard != nil {
		l.guard.RLock()
	}
}

func (l *Lineage) runlock() {
	if l.guard != nil {
		l.guard.RUnlock()
	}
}

// Clone returns a lineage with the same writers, and no Guard.
func (l *Lineage) Clone() *Lineage {
	l.rlock()
	defer l.runlock()
	c := &Lineage{
		index: l.index.clone(), runs: slices.Clone(l.runs),
		chains: slices.Clone(l.chains), forks: maps.Clone(l.forks),
	}
	for i := range c.chains { // what is appended is appended to copies
		at := &c.chains[i]
		at.members, at.links = slices.Clip(at.members), slices.Clip(at.links)
	}
	for parent, fs := range c.forks {
		c.forks[parent] = slices.Clip(fs)
	}
	return c
}

// Len returns how many writers are known.
func (l *Lineage) Len() int {
	l.rlock()
	defer l.runlock()
	return len(l.runs)
}

// Branches returns how many chains hold them.
func (l *Lineage) Branches() int {
	l.rlock()
	defer l.runlock()
	return len(l.chains)
}

// Index returns the place of w in the order of Adds, which never changes; -1
// if w is unknown.
func (l *Lineage) Index(w WriterID) int {
	l.rlock()
	defer l.runlock()
	if i, ok := l.find(w); ok {
		return int(i)
	}
	return -1
}

// Has reports whether w is known.
func (l *Lineage) Has(w WriterID) bool { return l.Index(w) >= 0 }

// Node returns the node that w is a run of.
func (l *Lineage) Node(w WriterID) (NodeID, bool) {
	l.rlock()
	defer l.runlock()
	i, ok := l.find(w)
	if !ok {
		return NodeID{}, false
	}
	return l.chains[l.runs[i].chain].node, true
}

// Parents returns the parents of w, ordered by writer.
func (l *Lineage) Parents(w WriterID) []Dot {
	l.rlock()
	defer l.runlock()
	if i, ok := l.find(w); ok {
		return l.parents(i)
	}
	return nil
}

func (l *Lineage) find(w WriterID) (uint32, bool) { return l.index.find(l.runs, w) }

func (l *Lineage) parents(i uint32) (ps []Dot) {
	r := &l.runs[i]
	at := &l.chains[r.chain]
	if r.pos > 1 {
		ps = append(ps, Dot{l.runs[at.members[r.pos-2]].id, r.names})
	}
	for _, k := range at.linksOf(r.pos-1, r.pos) {
		ps = append(ps, Dot{l.runs[k.parent].id, k.seq})
	}
	slices.SortFunc(ps, Dot.Compare)
	return ps
}

// linksOf returns the links of the writers behind one position and up to
// another.
func (c *chain) linksOf(after, upTo uint32) []link {
	find := func(pos uint32) int {
		i, _ := slices.BinarySearchFunc(c.links, pos, func(k link, pos uint32) int { return int(k.pos) - int(pos) })
		return i
	}
	return c.links[find(after+1):find(upTo+1)]
}

// Add takes a writer whose parents are known and runs of the same node. To
// add a known one again does nothing; one that has another node or other
// parents is refused. Errors wrap ErrWriterRecord. Signatures are the caller's
// to verify, and so is that a record that is known says the same in the rest.
func (l *Lineage) Add(rec *WriterRecord) error {
	defer l.lock()()
	if i, ok := l.find(rec.Writer); ok {
		if l.chains[l.runs[i].chain].node != rec.Node || !slices.Equal(l.parents(i), rec.Parents) {
			return fmt.Errorf("%w: a second record for writer %s", ErrWriterRecord, rec.Writer)
		}
		return nil
	}
	parents := make([]PlacedParent, len(rec.Parents))
	for k, p := range rec.Parents {
		i, ok := l.find(p.Writer)
		if !ok {
			return fmt.Errorf("%w: writer %s: parent %s is unknown", ErrWriterRecord, rec.Writer, p.Writer)
		}
		parents[k] = PlacedParent{i, p.Seq}
	}
	if err := l.add(rec.Writer, rec.Node, parents); err != nil {
		return err
	}
	l.index.add(l.runs, uint32(len(l.runs)-1))
	return nil
}

// add adds a writer behind the first of its parents that is the last of its
// chain, or at the head of a chain of its own. The index is the caller's.
func (l *Lineage) add(w WriterID, node NodeID, parents []PlacedParent) error {
	before := -1
	for k, p := range parents {
		parent := &l.runs[p.Place]
		at := &l.chains[parent.chain]
		if at.node != node {
			return fmt.Errorf("%w: writer %s: parent %s is of another node", ErrWriterRecord, w, parent.id)
		}
		if before < 0 && int(parent.pos) == len(at.members) {
			before = k
		}
	}
	r := run{id: w}
	if before < 0 {
		r.chain = uint32(len(l.chains))
		l.chains = append(l.chains, chain{node: node})
	} else {
		r.chain, r.names = l.runs[parents[before].Place].chain, parents[before].Seq
	}
	at := &l.chains[r.chain]
	at.members = append(at.members, uint32(len(l.runs)))
	r.pos = uint32(len(at.members))
	for k, p := range parents {
		if k != before {
			l.link(r, p)
		}
	}
	l.runs = append(l.runs, r)
	return nil
}

// link notes a parent of r that is not the writer before in its chain.
func (l *Lineage) link(r run, p PlacedParent) {
	at := &l.chains[r.chain]
	at.links = append(at.links, link{r.pos, p.Place, p.Seq})
	if l.forks == nil {
		l.forks = map[uint32][]fork{}
	}
	l.forks[p.Place] = append(l.forks[p.Place], fork{r.chain, r.pos, p.Seq})
}

// Unknown returns the writers of v that are unknown, ordered.
func (l *Lineage) Unknown(v Vector) []WriterID {
	l.rlock()
	defer l.runlock()
	var ws []WriterID
	for w := range v {
		if _, ok := l.find(w); !ok {
			ws = append(ws, w)
		}
	}
	slices.SortFunc(ws, WriterID.Compare)
	return ws
}

// Past returns all that v covers and implies. An unknown writer counts for
// itself only.
func (l *Lineage) Past(v Vector) *Past {
	p := &Past{lineage: l}
	p.JoinVector(v)
	return p
}

// Expand returns v with an entry for every ancestor that its entries imply.
func (l *Lineage) Expand(v Vector) Vector { return l.Past(v).Expand() }

// Normalize returns the normal form of v.
func (l *Lineage) Normalize(v Vector) Vector { return l.Past(v).Normal() }
