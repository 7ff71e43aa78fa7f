package protocol

import (
	"runtime"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// signed is a namespace in which a writer's first byte names its node.
type signed struct{ flat }

func (signed) NodeOf(w crdt.WriterID) (crdt.NodeID, bool) { return crdt.NodeID{w[0]}, true }

// holder is a machine whose peers were asked to spare it.
type holder struct {
	t *testing.T
	*Machine
	stamps map[LinkID]*Stamper
}

func newHolder(t *testing.T, durable crdt.Vector, peers ...byte) *holder {
	h := &holder{t, New(Config{Node: crdt.NodeID{9}, Features: []Feature{FeatureReconcile, FeatureSpare}}), map[LinkID]*Stamper{}}
	h.Step(1, Opened{signed{}, flat{}.Past(durable)})
	for _, node := range peers {
		id := LinkID(node)
		h.Step(1, LinkUp{Link: id, Peer: crdt.NodeID{node}})
		h.stamps[id] = &Stamper{}
		hello := hello{min: 1, max: 1, revocations: h.revoked.hash(), features: h.features, namespaces: []greeting{{"flat", crdt.VectorHash{1}}}}
		h.receive(1, id, hello.encode())
		h.receive(1, id, encodeVector(1, 0, durable.Entries()))
	}
	return h
}

func (h *holder) receive(now int64, id LinkID, f Frame) []Effect {
	h.t.Helper()
	effects := h.Step(now, Received{id, h.stamps[id].Stamp(f)})
	for _, e := range effects {
		if c, ok := e.(Close); ok {
			h.t.Fatalf("%+v", c)
		}
	}
	return effects
}

func (h *holder) on(id LinkID) *session { return h.byID[id].byName["flat"] }

// more receives a frame of a delta that goes on, and last one that ends it.
func (h *holder) more(now int64, id LinkID) {
	h.t.Helper()
	h.receive(now, id, Frame{append(appendDeltaHead(0, 1, h.on(id).recvEpoch, nil), emptyBlock...)})
}

func (h *holder) last(now int64, id LinkID, to, brings crdt.Vector) []Effect {
	h.t.Helper()
	head := appendDeltaHead(0, 1, h.on(id).recvEpoch, &deltaEnd{to.Entries(), nil, brings.Entries()})
	return h.receive(now, id, Frame{append(head, emptyBlock...)})
}

// refusedAt returns when a delta of each link is refused, within ten minutes.
func (h *holder) refusedAt(now int64) map[LinkID]int64 {
	h.t.Helper()
	at := map[LinkID]int64{}
	for end := now + 600_000; now < end; now += 20 {
		noteRefusals(at, now, h.Step(now, Tick{}))
	}
	return at
}

func noteRefusals(at map[LinkID]int64, now int64, effects []Effect) {
	for _, e := range effects {
		if e, ok := e.(Send); ok && at[e.Link] == 0 {
			if c, _ := readCode(crdt.NewReader(e.Frame.buf[stampRoom:])); c == codeRefuse {
				at[e.Link] = now
			}
		}
	}
}

// Deltas that build on each other wait in vain, however many frames they have.
func TestDeltasThatWaitForEachOtherAreRefused(t *testing.T) {
	for _, several := range []bool{false, true} {
		h := newHolder(t, nil, 1, 2)
		w1, w2 := sampleWriter(1), sampleWriter(2)
		for id, own := range map[LinkID]crdt.WriterID{1: w1, 2: w2} {
			if several {
				h.more(2, id)
			}
			to := crdt.Vector{w1: 1, w2: 1}
			to[own] = 2
			h.last(2, id, to, crdt.Vector{own: 1})
		}
		if at := h.refusedAt(2); at[1] == 0 || at[1] > 2+2*HoldMillis || at[2] == 0 || at[2] > 2+2*HoldMillis {
			t.Errorf("several frames %v: refused at %v", several, at)
		}
	}
}

// A delta waits for what is coming, as long as that takes within reason: a peer
// that leaves its own open does not stop what others send for good.
func TestADeltaThatStaysOpenIsNotWaitedForForEver(t *testing.T) {
	h := newHolder(t, nil, 1, 2)
	w1, w2 := sampleWriter(1), sampleWriter(2)
	h.more(2, 2)
	h.last(3, 1, crdt.Vector{w1: 1, w2: 1}, crdt.Vector{w1: 1})
	if at := h.refusedAt(3)[1]; at < FetchTimeoutMillis || at > 3+FetchTimeoutMillis+2*HoldMillis {
		t.Errorf("refused at %d", at)
	}
}

// What a peer sends waits for nothing that it sends itself behind it.
func TestADeltaDoesNotWaitForItself(t *testing.T) {
	h := newHolder(t, nil, 1)
	w1 := sampleWriter(1)
	h.more(2, 1)
	h.last(3, 1, crdt.Vector{w1: 100}, crdt.Vector{w1: 100})
	if at := h.refusedAt(3)[1]; at == 0 || at > 3+2*HoldMillis {
		t.Errorf("refused at %d", at)
	}
}

// Each frame that waits keeps the vector of its sender, which may be all that
// there is to it.
func TestWhatIsHeldIsBounded(t *testing.T) {
	const peers, entries, frames = 4, 1000, 500
	durable := manyEntries(0, entries)
	h := newHolder(t, durable, 1, 2, 3, 4)
	heap := func() int64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	before, most, counted := heap(), int64(0), 0
	refused := map[LinkID]int64{}
	for i := range uint64(frames) {
		for id := LinkID(1); id <= peers; id++ {
			if id == peers && i%50 > 0 {
				continue // it holds little
			}
			w := sampleWriter(byte(id))
			noteRefusals(refused, 1, h.last(1, id, crdt.Vector{w: i + 2}, crdt.Vector{w: i + 2}))
		}
		sum := 0
		for _, l := range h.links {
			sum += l.heldBytes
		}
		if counted = max(counted, sum); sum > MaxHeldBytes {
			t.Fatalf("%d bytes are held", sum)
		}
		if i%20 == 0 {
			most = max(most, heap()-before)
		}
	}
	t.Logf("counted %d bytes, took %d", counted, most)
	if counted < MaxHeldBytes/2 || most > 3*MaxHeldBytes/2 {
		t.Errorf("at most %d bytes were counted, and %d taken, of %d", counted, most, MaxHeldBytes)
	}
	if len(refused) != peers-1 || refused[peers] != 0 {
		t.Errorf("refused: %v", refused)
	}
	for id := LinkID(1); id <= peers; id++ {
		h.Step(1, LinkDown{id})
	}
	runtime.KeepAlive(h)
}

// What is let go is no longer counted, whatever the way.
func TestWhatIsLetGoIsNotCounted(t *testing.T) {
	h := newHolder(t, nil, 1, 2)
	w1, w2 := sampleWriter(1), sampleWriter(2)
	held := func(what string, want bool) {
		t.Helper()
		if n := h.byID[1].heldBytes; (n > 0) != want {
			t.Errorf("%s: %d bytes are held", what, n)
		}
	}
	h.last(2, 1, crdt.Vector{w1: 1, w2: 1}, crdt.Vector{w1: 1})
	held("it waits", true)
	h.Step(3, Durable{"flat", flat{}.Past(crdt.Vector{w2: 1})})
	held("delivered", false)
	h.last(4, 1, crdt.Vector{w1: 3}, crdt.Vector{w1: 3})
	held("it waits", true)
	h.refusedAt(4)
	held("refused", false)
	h.last(700_000, 1, crdt.Vector{w1: 5}, crdt.Vector{w1: 5})
	held("it waits", true)
	h.Step(700_001, Closed{"flat"})
	held("closed", false)
}
