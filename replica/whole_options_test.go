package replica

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/cryptotest"
	"time"

	"github.com/anabranch-db/anabranch/transport/simnet"
)

var (
	metaSeed  = flag.Uint64("meta-seed", 1, "in the metamorphic test, the seed of the first history")
	metaSeeds = flag.Uint64("meta-seeds", 2, "in the metamorphic test, how many histories")
	metaSets  = flag.Int("meta-sets", 3, "in the metamorphic test, under how many sets of options each history is played, beside the defaults")
)

const (
	metaNodes  = 4
	metaPhases = 5 // of which each ends with an exchange
	metaWrites = 8 // transactions in a phase
)

// optionSet is what must not matter. The zero value is the defaults, in a mesh.
type optionSet struct {
	Topology  int // 0: mesh, 1: line, 2: ring, 3: star
	Buffered  int // which transactions are: 0 none, 1 all, 2 every other
	Retention time.Duration
	MemTable  int64
	Cache     int64
	Memo      int64
	Window    int // what a link has in flight
	Latency   time.Duration
	BreakRate float64
	Urgent    bool
	Metered   bool
	Restarts  bool // further ones, before exchanges, of runs that write no more
}

func drawOptionSet(d *rand.Rand) optionSet {
	return optionSet{
		Topology: d.IntN(4), Buffered: d.IntN(3), Retention: chosen(d, 0, time.Minute, time.Hour),
		MemTable: chosen[int64](d, 0, 1, 1<<20), Cache: chosen[int64](d, 0, 1<<20, 64<<20), Memo: chosen[int64](d, 0, 1, 1<<10),
		Window: chosen(d, 0, 4<<10, 64<<10), Latency: chosen(d, 0, time.Millisecond, 200*time.Millisecond),
		BreakRate: chosen(d, 0, 0.02), Urgent: d.IntN(2) == 0, Metered: d.IntN(2) == 0, Restarts: d.IntN(2) == 0,
	}
}

// adjacent reports whether the i-th and the j-th of n linked nodes are neighbours.
func (o optionSet) adjacent(i, j, n int) bool {
	i, j = min(i, j), max(i, j)
	switch o.Topology {
	case 1:
		return j == i+1
	case 2:
		return j == i+1 || i == 0 && j == n-1
	case 3:
		return i == 0
	}
	return true
}

// metaHistory is what is played: nodes write apart, and then groups of them
// exchange all that they have, so that what a transaction has seen does not
// depend on who is linked with whom.
type metaHistory struct{ phases []metaPhase }

type metaPhase struct {
	restarts []int
	writes   []metaWrite
	groups   [metaNodes]int // the number of each node's group
}

type metaWrite struct {
	node int
	ops  []wholeOp
}

func drawHistory(seed uint64) (h metaHistory, operations int) {
	d := rand.New(rand.NewPCG(seed, 11))
	for range metaPhases {
		var p metaPhase
		for n := range metaNodes {
			p.groups[n] = d.IntN(2)
			if d.IntN(3) == 0 {
				p.restarts = append(p.restarts, n)
			}
		}
		for range metaWrites {
			w := metaWrite{d.IntN(metaNodes), make([]wholeOp, 1+d.IntN(4))}
			for i := range w.ops {
				w.ops[i] = wholeOp{verb: d.IntN(seedVerbs), place: d.IntN(2), n: 1 + d.Int64N(9)}
				switch w.ops[i].verb {
				case setRegisterFor, setBrief: // expiry is a matter of when
					w.ops[i].verb = setRegister
				case deleteLog: // an entry goes behind what was removed while that is kept
					w.ops[i].verb = appendToLog
				}
			}
			operations += len(w.ops)
			p.writes = append(p.writes, w)
		}
		h.phases = append(h.phases, p)
	}
	h.phases[metaPhases-1].groups = [metaNodes]int{}
	return h, operations
}

// TestOptionsChangeNoState plays one history under many sets of options. Whatever
// a node caches, makes durable, keeps of removals, how it is linked, and how its
// links are: all come to the same digests after each exchange, and in the end
// export the same bytes.
func TestOptionsChangeNoState(t *testing.T) {
	if testing.Short() {
		t.Skip("so many timers of one bubble crash the race detector, which runs the short tests")
	}
	sets, operations := 0, 0
	for seed := *metaSeed; seed < *metaSeed+*metaSeeds; seed++ {
		h, n := drawHistory(seed)
		want := playOptions(t, seed, h, optionSet{})
		operations += n
		d := rand.New(rand.NewPCG(seed, 12))
		for range *metaSets {
			o := drawOptionSet(d)
			sets++
			operations += n
			differs := func(o optionSet) bool { return playOptions(t, seed, h, o) != want }
			if !differs(o) {
				continue
			}
			small := shrinkOptions(o, differs)
			t.Errorf("seed %d: with the options %+v, and still with %+v, there is\n%s\nand with the defaults\n%s\n"+
				"to see it: go test -run '^TestOptionsChangeNoState$' ./replica -meta-seed %d -meta-seeds 1",
				seed, o, small, playOptions(t, seed, h, small), want, seed)
		}
	}
	t.Attr("seeds", fmt.Sprint(*metaSeeds))
	t.Attr("option-sets", fmt.Sprint(sets))
	t.Attr("operations", fmt.Sprint(operations))
}

// shrinkOptions sets back to its default each option without which the state
// still differs.
func shrinkOptions(o optionSet, differs func(optionSet) bool) optionSet {
	for i := range reflect.TypeFor[optionSet]().NumField() {
		less := o
		reflect.ValueOf(&less).Elem().Field(i).SetZero()
		if less != o && differs(less) {
			o = less
		}
	}
	return o
}

// runIDs makes the writer ids of a node: the same in each play for a run that
// the history has, whatever other runs there are.
type runIDs struct {
	node  byte
	mu    sync.Mutex
	run   byte // of the history
	other byte // how many others there were since
	made  byte // ids of that
}

// begin begins a run of the history, or another one.
func (c *runIDs) begin(other bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made = 0; other {
		c.other++
	} else {
		c.run, c.other = c.run+1, 0
	}
}

// Read implements io.Reader.
func (c *runIDs) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(b)
	c.made++
	copy(b, []byte{c.run * 0xa7, c.node, c.other, c.made, c.run})
	return len(b), nil
}

// metaPlay is one play of a history.
type metaPlay struct {
	*wholeFleet
	options optionSet
	clock   atomic.Int64 // one for all: writes so far, in seconds
	ids     [metaNodes]*runIDs
	writes  int
	next    metaPhase
	last    bool
}

// playOptions returns the digests after each exchange, and what is exported in
// the end.
func playOptions(t *testing.T, seed uint64, h metaHistory, o optionSet) (text string) {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	p := &metaPlay{options: o}
	net := simnet.Options{Seed: seed, Latency: o.Latency, BreakRate: o.BreakRate, WindowBytes: o.Window}
	inBubbleWith(t, metaNodes, net, p.prepare, func(f *wholeFleet) {
		p.wholeFleet = f
		for _, n := range f.nodes {
			n.namespace("edge")
			if o.Urgent {
				p.must(n.db.SetPriority("edge", PriorityUrgent))
			}
		}
		for i, phase := range h.phases {
			p.last = i == len(h.phases)-1
			if !p.last {
				p.next = h.phases[i+1]
			}
			text += p.play(phase)
		}
		for _, n := range f.nodes {
			var b bytes.Buffer
			p.must(n.db.Export(context.Background(), &b, "edge"))
			if n == f.nodes[0] {
				text += b.String()
			} else if !bytes.HasSuffix([]byte(text), b.Bytes()) {
				text += "and " + n.address + " exports\n" + b.String()
			}
		}
	})
	return text
}

func (p *metaPlay) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// prepare gives a node the options.
func (p *metaPlay) prepare(i int, n *wholeNode) {
	o := p.options
	n.options.MeshLinks = -1
	n.options.Retention, n.options.MemTableBytes, n.options.CacheBytes, n.options.MemoBytes = o.Retention, o.MemTable, o.Cache, o.Memo
	p.ids[i] = &runIDs{node: byte(i + 1)}
	n.options.Random = p.ids[i]
	n.options.Now = func() time.Time { return time.Unix(1_700_000_000+p.clock.Load(), 0) }
	if o.Metered {
		n.options.Meter = &Meter{BytesPerDay: 1 << 40}
	}
}

// play has nodes write apart, then has the groups exchange, and returns what
// digests they come to.
func (p *metaPlay) play(phase metaPhase) (text string) {
	p.link(func(i, j int) bool { return false })
	p.pass(time.Second)
	for _, n := range phase.restarts {
		p.restart(n, false)
	}
	for _, w := range phase.writes {
		p.clock.Add(1)
		p.writes++
		buffered := p.options.Buffered == 1 || p.options.Buffered == 2 && p.writes%2 == 0
		p.must(p.nodes[w.node].namespace("edge").UpdateWith(context.Background(), UpdateOptions{Buffered: buffered}, func(tx *Tx) error {
			for _, op := range w.ops {
				if err := op.applySeed(tx); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	for i := range p.nodes {
		if p.options.Restarts && (p.last || slices.Contains(p.next.restarts, i)) { // else it would write as another run
			p.restart(i, true)
		}
	}
	for g := range 2 {
		text += p.exchange(phase, g)
	}
	return text
}

func (p *metaPlay) restart(n int, other bool) {
	p.t.Helper()
	p.must(p.nodes[n].db.Close())
	p.ids[n].begin(other)
	p.nodes[n].open()
}

// link cuts all nodes from each other but those that are to be linked.
func (p *metaPlay) link(linked func(i, j int) bool) {
	for i, a := range p.nodes {
		for j, b := range p.nodes[:i] {
			if linked(i, j) {
				p.net.Heal(a.address, b.address)
			} else {
				p.net.Cut(a.address, b.address)
			}
		}
	}
}

// exchange links a group, until all of it hold the same.
func (p *metaPlay) exchange(phase metaPhase, group int) (text string) {
	var members []int
	for n, g := range phase.groups {
		if g == group {
			members = append(members, n)
		}
	}
	if len(members) < 2 {
		return ""
	}
	p.link(func(i, j int) bool {
		a, b := slices.Index(members, i), slices.Index(members, j)
		return a >= 0 && b >= 0 && p.options.adjacent(a, b, len(members))
	})
	f := *p.wholeFleet
	f.nodes = nil
	for _, n := range members {
		f.nodes = append(f.nodes, p.nodes[n])
	}
	for i := 0; !f.level("edge"); i++ {
		if i == 3600 {
			p.t.Fatalf("%v do not come to the same within an hour, with %+v", members, p.options)
		}
		p.pass(time.Second)
	}
	p.pass(3 * time.Minute) // and what may be collected is
	for _, n := range f.nodes {
		text += fmt.Sprintf("%s: %x\n", n.address, n.digest())
	}
	return text
}
