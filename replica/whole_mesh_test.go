package replica

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// payloadBytes is what one write of these tests carries: so much that what a
// write costs beside it, told to seven neighbours and acknowledged by each, is
// a few percent.
const payloadBytes = 16 << 10

// payload returns a value that does not compress.
func payload(rnd *rand.Rand) []byte {
	b := make([]byte, payloadBytes)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// blob returns the register that the i-th write of a node goes to.
func blob(node, i int) crdt.Register[[]byte] {
	return crdt.NewRegister[[]byte]("blob", fmt.Sprint(node), fmt.Sprint(i))
}

// writeBlob writes one.
func (f *wholeFleet) writeBlob(rnd *rand.Rand, node, i int) {
	f.t.Helper()
	f.nodes[node].update("edge", func(tx *Tx) error { return blob(node, i).Set(tx, payload(rnd)) })
}

// spread runs fn, which writes so many blobs, and returns how often a byte of
// them came to a node that had not written it, all that was said beside it
// included.
func (f *wholeFleet) spread(blobs int, fn func()) float64 {
	f.t.Helper()
	before := f.received()
	fn()
	f.converge("edge")
	return float64(f.received()-before) / float64(blobs*payloadBytes*(len(f.nodes)-1))
}

func (f *wholeFleet) received() (sum uint64) {
	for _, n := range f.nodes {
		sum += n.received()
	}
	return sum
}

// only leaves the links between the pairs of nodes, and cuts all others.
func (f *wholeFleet) only(linked func(a, b int) bool) {
	for i, a := range f.nodes {
		for j, b := range f.nodes[:i] {
			if linked(j, i) {
				f.net.Heal(a.address, b.address)
			} else {
				f.net.Cut(a.address, b.address)
			}
		}
	}
	f.pass(10 * time.Second)
}

const (
	meshNodes = 8
	// meshWrites is how often each writes: with 20, one run in some fifty is
	// off by a twentieth, since few blobs that cross twice make that.
	meshWrites = 50
)

// inShape runs fn on eight nodes, linked as linked says.
func inShape(t *testing.T, linked func(a, b int) bool, fn func(*wholeFleet, *rand.Rand)) {
	o := simnet.Options{Latency: 5 * time.Millisecond, Jitter: 5 * time.Millisecond}
	inBubble(t, meshNodes, o, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.only(linked)
		fn(f, rand.New(rand.NewPCG(1, 1)))
	})
}

// all has every node write blobs, each about once in every.
func (f *wholeFleet) all(rnd *rand.Rand, blobs int, every time.Duration) func() {
	return func() {
		f.t.Helper()
		for i := range blobs {
			for node := range f.nodes {
				f.writeBlob(rnd, node, i)
				f.pass(time.Duration(rnd.Int64N(int64(2*every))) / time.Duration(len(f.nodes)))
			}
		}
	}
}

func (f *wholeFleet) atMost(most float64, what string, times float64) {
	f.t.Helper()
	f.t.Logf("%s: a byte reaches a node %.3f times", what, times)
	if times > most {
		f.t.Errorf("%s: a byte reaches a node %.3f times, at most %.2f are allowed", what, times, most)
	}
}

func everyPair(a, b int) bool { return true }

// What a byte of payload costs a node to get, everything included.
func TestAPayloadReachesEachNodeOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds, and many times that under the race detector")
	}
	for name, linked := range map[string]func(a, b int) bool{
		"mesh": everyPair,
		"ring": func(a, b int) bool { return b-a == 1 || b-a == meshNodes-1 },
		"star": func(a, b int) bool { return a == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			inShape(t, linked, func(f *wholeFleet, rnd *rand.Rand) {
				f.atMost(1.1, "one write after the other", f.spread(meshWrites, func() {
					for i := range meshWrites {
						f.writeBlob(rnd, i%meshNodes, i)
						f.pass(time.Second)
					}
				}))
				// Until each has asked each to spare it, some cross more often.
				f.spread(meshNodes*meshWrites, f.all(rnd, meshWrites, 10*time.Millisecond))
				for _, every := range []time.Duration{3 * time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond} {
					what := fmt.Sprint("all write, each every ", every)
					f.atMost(1.1, what, f.spread(meshNodes*meshWrites, f.all(rnd, meshWrites, every)))
				}
			})
		})
	}
}

// Halves of a mesh that were parted fetch from each other once.
func TestAMeshThatHealsFetchesOnce(t *testing.T) {
	inShape(t, func(a, b int) bool { return a/4 == b/4 }, func(f *wholeFleet, rnd *rand.Rand) {
		f.atMost(1.1, "healed", f.spread(2*meshWrites, func() {
			for i := range meshWrites {
				f.writeBlob(rnd, 0, i)
				f.writeBlob(rnd, meshNodes-1, i)
				f.pass(time.Second)
			}
			f.net.HealAll()
		}))
	})
}

// In a mesh in which all were asked to spare each other, a write goes to each
// peer at once, as ever.
func TestALoneWriteInABusyMeshIsPushed(t *testing.T) {
	inShape(t, everyPair, func(f *wholeFleet, rnd *rand.Rand) {
		f.spread(meshNodes*meshWrites, f.all(rnd, meshWrites, 10*time.Millisecond))
		f.pass(time.Second)
		set(t, f.nodes[0], 7)
		f.pass(11 * time.Millisecond) // one way
		for _, n := range f.nodes {
			if got := get(t, n); got != 7 {
				t.Errorf("%s has %d one way after the write", n.address, got)
			}
		}
	})
}
