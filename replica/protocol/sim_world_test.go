package protocol

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// simWorld is a number of nodes, the links between them, and one clock. All
// that happens is drawn from one seed.
type simWorld struct {
	rng       *rand.Rand
	now       int64
	nodes     []*simNode
	links     []*simLink
	lastLink  LinkID
	writers   uint64
	instances int
	oracle    simOracle
	names     []string // the namespaces
	keys      []crdt.Key
	target    int // bytes of a Delta frame
	closes    map[Code]int
	stats     simStats
	readonly  *simNode
	hostile   *simNode // what it sends is made up, and has no truth
	madeUp    error    // what applying or learning that ends with; nil: it succeeds without a trace
	features  func(*simNode) []Feature
	class     Class // of all links
	strict    bool  // no link may be closed for a fault of the peer
	trace     func(string)
	namer     namer

	buildFails, applyFails, learnFails int // of 1000

	tree        []int         // for each node one before it, linked when all heals
	wanted      [][2]*simNode // links that are dialed again when they break
	dials       int
	ticks       int   // of waiting for timers
	quietMoves  int   // that it took to come to rest
	quietMillis int64 // ... and time
	healed      int64 // when the faults ended
	lastMerge   int64 // when a delta last brought something
}

type simStats struct {
	frames, bytes  int
	deltas         int // merged
	puts           int // of the deltas that came, those that came so
	events, stale  int // brought by them; of these, covered already
	unknown, ahead int
	held, withheld int // how often a delta was seen waiting, and how many were not sent
}

// count counts what a delta brings to a vector.
func (s *simStats) count(entries []crdt.Entry, have crdt.Vector) {
	s.deltas++
	for _, e := range entries {
		for i := range e.Record {
			s.events++
			if have.Covers(e.Record[i].Dot) {
				s.stale++
			}
		}
	}
}

// simFailure is what failf panics with, so that a test can name the seed.
type simFailure string

func (w *simWorld) failf(format string, args ...any) {
	panic(simFailure(fmt.Sprintf(format, args...)))
}

func (w *simWorld) tracef(format string, args ...any) {
	if w.trace != nil {
		w.trace(fmt.Sprintf(format, args...))
	}
}

func newSimWorld(seed uint64, nodes int) *simWorld {
	w := &simWorld{
		rng: rand.New(rand.NewPCG(seed, 1)), now: 1, names: []string{"alpha"}, target: TargetFrameBytes,
		features: func(*simNode) []Feature { return nil },
		oracle:   simOracle{events: map[string]map[crdt.Key][]simEvent{}}, closes: map[Code]int{}, namer: namer{},
	}
	for _, part := range []string{"a", "b", "c", "d"} {
		k, err := crdt.MakeKey(crdt.Path{part}, crdt.TypeRegister, "")
		must(w, err)
		w.keys = append(w.keys, k)
	}
	w.addNodes(nodes)
	return w
}

// addNodes adds nodes that have all namespaces.
func (w *simWorld) addNodes(count int) {
	for i := range count {
		n := &simNode{world: w, spaces: map[string]*simSpace{}, truths: map[*byte]*simTruth{}, puts: map[simPut]*simTruth{}}
		n.id[0] = byte(i + 1)
		n.features, n.class = w.features(n), w.class
		n.begin()
		w.nodes = append(w.nodes, n)
		w.tree = append(w.tree, w.rng.IntN(max(i, 1)))
		for _, name := range w.names {
			n.open(name)
		}
	}
}

// copyNode adds a copy of a node, with what is on its disk.
func (w *simWorld) copyNode(of *simNode) {
	n := &simNode{world: w, id: of.id, copies: of.copies + "'", spaces: map[string]*simSpace{}, truths: map[*byte]*simTruth{}, puts: map[simPut]*simTruth{}, features: of.features, class: of.class}
	n.begin()
	w.nodes = append(w.nodes, n)
	w.tree = append(w.tree, w.rng.IntN(len(w.nodes)-1))
	for _, name := range w.names {
		if sp := of.spaces[name]; sp != nil {
			(&simSpace{name: name, node: n}).crash(sp.disk)
			n.step(Opened{n.spaces[name], n.spaces[name].durable()})
		}
	}
}

// newWriter returns a writer id that was never used.
func (w *simWorld) newWriter(n *simNode) (id crdt.WriterID) {
	w.writers++
	binary.BigEndian.PutUint64(id[:], w.writers*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint64(id[8:], w.writers)
	w.namer.add(id, n.id)
	return id
}

// move is one step that something can take.
type move struct {
	kind moveKind
	n    *simNode
	sp   *simSpace
	l    *simLink
	i    int // an end of l, or a place in a list of n
	lane Lane
}

type moveKind uint8

const (
	moveUp moveKind = iota
	moveDown
	moveTransmit
	moveDeliver
	moveFlushed
	moveSync
	moveDurable
	movePost
	moveBuild
	moveQueue
)

// moves lists what can happen without time passing or anything failing.
func (w *simWorld) moves(ms []move) []move {
	for _, l := range w.links {
		for end := range l.nodes {
			up := l.up[end] && !l.down[end]
			if !l.dead && !l.up[end] {
				ms = append(ms, move{kind: moveUp, l: l, i: end})
			}
			if l.dead && !l.down[end] {
				ms = append(ms, move{kind: moveDown, l: l, i: end})
			}
			ms = l.transmits(ms, end)
			if up && !l.dead && len(l.wire[1-end]) > 0 {
				ms = append(ms, move{kind: moveDeliver, l: l, i: end})
			}
			for lane, due := range l.flushed[end] {
				if up && due {
					ms = append(ms, move{kind: moveFlushed, l: l, i: end, lane: Lane(lane)})
				}
			}
		}
	}
	for _, n := range w.nodes {
		ms = n.moves(ms)
	}
	return ms
}

// transmits lists the lanes of which a frame can be next. An executor takes the
// first; nothing is to rest on that, but that the link's own goes ahead.
func (l *simLink) transmits(ms []move, end int) []move {
	for lane := range l.out[end] {
		if len(l.out[end][lane]) > 0 {
			ms = append(ms, move{kind: moveTransmit, l: l, i: end, lane: Lane(lane)})
			if lane == 0 {
				break
			}
		}
	}
	return ms
}

func (n *simNode) moves(ms []move) []move {
	for _, name := range n.world.names {
		if sp := n.spaces[name]; sp != nil {
			if sp.synced < sp.changes {
				ms = append(ms, move{kind: moveSync, sp: sp})
			}
			if sp.dirty {
				ms = append(ms, move{kind: moveDurable, n: n, sp: sp})
			}
		}
	}
	learned := false
	for i, ev := range n.posts {
		if _, ok := ev.(Learned); ok { // these keep their order, others do not
			if learned {
				continue
			}
			learned = true
		}
		ms = append(ms, move{kind: movePost, n: n, i: i})
	}
	for i, b := range n.builds {
		if b.ready() {
			ms = append(ms, move{kind: moveBuild, n: n, i: i})
		}
	}
	for i, q := range n.queues {
		if len(q.tasks) > 0 {
			ms = append(ms, move{kind: moveQueue, n: n, i: i})
		}
	}
	return ms
}

// do takes a step.
func (w *simWorld) do(mv move) {
	l, n := mv.l, mv.n
	switch mv.kind {
	case moveUp:
		l.up[mv.i] = true
		far := l.nodes[1-mv.i]
		ev := LinkUp{Link: l.ids[mv.i], Peer: far.id, Instance: far.at, Dialed: mv.i == 0}
		ev.Class = l.nodes[mv.i].class
		if l.nodes[1-mv.i] == w.readonly {
			ev.Grants = readOnly{}
		}
		l.nodes[mv.i].step(ev)
	case moveDown:
		l.down[mv.i] = true
		if l.up[mv.i] {
			l.nodes[mv.i].step(LinkDown{l.ids[mv.i]})
		}
		w.tidy()
	case moveTransmit:
		l.transmit(mv.i, mv.lane)
	case moveDeliver:
		l.deliver(mv.i)
	case moveFlushed:
		l.flushed[mv.i][mv.lane] = false
		l.nodes[mv.i].step(Flushed{l.ids[mv.i], mv.lane})
	case moveSync:
		mv.sp.sync()
	case moveDurable:
		mv.sp.dirty = false
		n.step(Durable{mv.sp.name, mv.sp.durable()})
	case movePost:
		ev := n.posts[mv.i]
		n.posts = append(n.posts[:mv.i:mv.i], n.posts[mv.i+1:]...)
		n.step(ev)
	case moveBuild:
		if b := n.builds[mv.i]; b.run() {
			n.builds = append(n.builds[:mv.i:mv.i], n.builds[mv.i+1:]...)
		}
	case moveQueue:
		n.queues[mv.i].run()
	}
}

// fireTimers lets the clock go on to the next timer, and reports whether there
// was one.
func (w *simWorld) fireTimers() bool {
	var next int64
	for _, n := range w.nodes {
		next = earlier(next, n.timerAt)
	}
	if next == 0 {
		return false
	}
	w.now = max(w.now, next)
	for _, n := range w.nodes {
		if n.timerAt != 0 && n.timerAt <= w.now {
			n.timerAt = 0
			n.step(Tick{})
		}
	}
	return true
}
