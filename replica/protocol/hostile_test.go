package protocol

import (
	"math"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// FuzzHostilePeer has a member say, in whatever state the link is, what looks
// right: messages with the numbers, epochs, runs and vectors that are in use
// there, or close to them. The input is a program, a byte for an action and one
// for each of its choices. Between two others that are linked all goes on:
// what they write gets there, and nothing else does; the hostile link ends
// only with a code; what the machine keeps of it is within the limits.
func FuzzHostilePeer(f *testing.F) {
	all := []byte{0}
	for kind := range byte(hostileMessages) {
		for _, choice := range []byte{0, 1, 5} {
			f.Add([]byte{choice, kind, choice, choice, choice, choice, 200, 1, kind, choice, choice + 1, choice, choice})
		}
		all = append(all, kind, 1, 1, 1, 1)
	}
	f.Add(all)
	for _, actions := range []string{"\x00\xc8\xc9\xca\xcb\xcc\xcd\xce", "\x01\x01\x01\x03\x01\x01\x06\x01\xcc\x06\x01", "\x02\x03\x01\x01\x02\x07\x01\x01\x02\x08\x01\x01\x02\xcd\x03"} {
		f.Add([]byte(actions))
	}
	f.Fuzz(func(t *testing.T, program []byte) {
		if len(program) > 400 {
			return // which takes longer, and shows no more
		}
		defer func() {
			if f, ok := recover().(simFailure); ok {
				t.Fatal(f)
			}
		}()
		h := newAttack(program)
		for len(h.program) > 0 {
			h.act()
			h.world.restBut()
			h.checkLimits()
		}
		h.end()
	})
}

// attack is a world of three nodes, the last of which does as the program says.
type attack struct {
	program       []byte
	world         *simWorld
	victim, other *simNode
	peer          *simNode
	link          *simLink
	honest        *simLink
}

func newAttack(program []byte) *attack {
	w := newSimWorld(1, 0)
	w.features = func(*simNode) []Feature {
		return []Feature{FeatureReconcile, FeatureAddresses, FeatureClocks, FeatureDigest, FeatureSpare, FeaturePut, FeatureColumns}
	}
	w.addNodes(3)
	h := &attack{program: program, world: w, victim: w.nodes[0], other: w.nodes[1], peer: w.nodes[2]}
	clear(h.peer.spaces)
	w.hostile = h.peer
	w.madeUp = []error{nil, errSimStore, ErrMalformed, crdt.ErrDelta, crdt.ErrUnknownWriter, crdt.ErrWriterRecord}[h.pick(6)]
	h.honest = w.connect(h.victim, h.other)
	w.restBut()
	h.dial()
	return h
}

// pick returns a choice of the program among n.
func (h *attack) pick(n int) int {
	if len(h.program) == 0 {
		return 0
	}
	c := int(h.program[0]) % n
	h.program = h.program[1:]
	return c
}

// dial begins a link, with a Hello as a rule.
func (h *attack) dial() {
	h.world.instances++
	h.peer.at = Instance{byte(h.world.instances)}
	h.link = h.world.connect(h.peer, h.victim)
	h.link.up[0] = true // the peer has no machine of its own here
	h.world.restBut()
	if h.pick(8) < 7 {
		h.say(h.hello())
		h.world.restBut()
	}
}

func (h *attack) hello() Frame {
	m := h.victim.m
	he := hello{min: 1, max: 1, cluster: m.cluster, revocations: m.revoked.hash(), features: m.features}
	he.namespaces = []greeting{{"alpha", h.vector().Hash()}}
	return he.encode()
}

func (h *attack) say(f Frame) { h.link.queue(0, simFrame{frame: f}) }

// act does one thing.
func (h *attack) act() {
	if h.link.dead {
		h.dial()
	}
	switch a := h.pick(256); {
	case a < 192:
		h.say(h.message(a % hostileMessages))
	case a%8 == 0:
		h.link.cut()
	case a%8 == 1:
		h.victim.spaces["alpha"].write(h.world.keys[:1], a&16 > 0, []byte("v"))
	case a%8 == 2:
		h.other.spaces["alpha"].write(h.world.keys[1:2], a&16 > 0, []byte("o"))
	case a%8 < 5:
		h.world.fireTimers()
	case a%8 == 5: // a message with one byte changed
		message := slices.Clone(h.message(h.pick(hostileMessages)).buf)
		at := stampRoom + h.pick(len(message)-stampRoom)
		message[at] ^= 1 << h.pick(8)
		h.say(Frame{message})
	case a%8 == 6: // or cut short
		message := h.message(h.pick(hostileMessages)).buf
		h.say(Frame{message[:stampRoom+h.pick(len(message)-stampRoom)]})
	default:
		h.victim.drop("alpha")
		h.victim.open("alpha")
	}
}

const hostileMessages = 17

// message returns a message of a kind, with fields that the program chooses.
func (h *attack) message(kind int) Frame {
	number := uint64(h.pick(3)) + 1
	switch kind {
	case 0:
		return h.hello()
	case 1:
		return (&announce{[]string{"alpha", "beta", "alpha "}[h.pick(3)]}).encode()
	case 2:
		return (&gone{number}).encode()
	case 3:
		return encodeVector(number, h.number(), h.vector().Entries())
	case 4:
		return encodeHave(number, h.vector().Entries())
	case 5:
		rec := sampleRecord()
		if h.pick(2) == 0 {
			rec.Writer, rec.Node = h.victim.spaces["alpha"].visible.Writer(), h.victim.id
		}
		for f := range EncodeWriters(number, []*crdt.WriterRecord{rec}, func(crdt.NodeID) []byte { return []byte("certificate") }) {
			return f
		}
	case 6:
		return (&want{number}).encode()
	case 7:
		return h.delta(number)
	case 8:
		return encodeRefuse(number, h.number(), reason(1+h.pick(4)), h.vector().Entries())
	case 9:
		return (&revocations{[][]byte{[]byte("out: n9"), []byte("nonsense")}[:1+h.pick(2)]}).encode()
	case 10:
		return EncodeSource(Build{Number: number, Job: JobID(h.number())}, h.vector(), h.vector())
	case 11:
		return encodeCompare(number, h.number(), []ask{{Span: crdt.AllKeys, count: h.number()}})
	case 12:
		samples := reconcileSamples()
		return samples[h.pick(len(samples))].frame
	case 13:
		return sampleAddresses.encode()
	case 14:
		return (&clockMessage{h.pick(2) == 0, int64(h.number() & maxWallMillis)}).encode()
	case 15:
		return h.digest(number)
	}
	return (&spare{number, h.number(), []crdt.NodeID{h.victim.id, h.other.id}[:h.pick(3)]}).encode()
}

// delta returns the first frame of one, the last, or one in the middle.
func (h *attack) delta(number uint64) Frame {
	frames := sampleDelta(nil, nil)
	_, body := bodyOf(frames[h.pick(len(frames))])
	var end *deltaEnd
	if h.pick(3) > 0 {
		end = &deltaEnd{diff: h.vector().Entries()}
		if h.pick(2) == 0 {
			end.floor = h.vector().Entries()
		}
		if h.pick(2) == 0 {
			end.brings = h.vector().Entries()
		}
	}
	return Frame{append(appendDeltaHead(len(body), number, h.number(), end), body...)}
}

// bodyOf returns the head of a delta's frame and what is behind it.
func bodyOf(f Frame) (deltaHead, []byte) {
	r := crdt.NewReader(f.buf[stampRoom:])
	_, fields := readCode(r)
	d := readDeltaHead(r, fields)
	return d, r.Rest()
}

func (h *attack) digest(number uint64) Frame {
	d := digest{number: number, stage: stage(1 + h.pick(7)), hash: h.vector().Hash(), sum: []byte{}}
	switch d.stage {
	case stageSum:
		d.sum = make([]byte, sumBytes)
	case stageOffer:
		return EncodeOffer(Offer{Number: number, Job: JobID(h.number())}, h.vector())
	}
	return d.encode()
}

// number returns an epoch or a run: one in use, or near it.
func (h *attack) number() uint64 {
	at := []uint64{0, 1, 2, 3, math.MaxUint64}
	for _, l := range h.victim.m.links {
		for _, s := range l.sessions {
			at = append(at, s.recvEpoch, s.sendEpoch, s.run, s.source, s.recvEpoch+1)
		}
	}
	return at[h.pick(len(at))]
}

// vector returns what the peer may claim to cover.
func (h *attack) vector() crdt.Vector {
	v := crdt.Vector{}
	if sp := h.victim.spaces["alpha"]; sp != nil {
		v = sp.visible.Vector()
		switch h.pick(7) {
		case 1:
			v[sp.visible.Writer()]++ // it knows more of the victim than that does
		case 2:
			v[sp.visible.Writer()] = math.MaxUint64
		case 3:
			v = crdt.Vector{}
		case 4:
			v[sampleWriter(9)] = 1 // nobody introduced
		case 5:
			v = sampleVector()
		case 6:
			for w := range v {
				v[w] = 1
			}
		}
	}
	return v
}

// restBut lets happen what can, but at the hostile node.
func (w *simWorld) restBut() {
	for range 2000 {
		ms := slices.DeleteFunc(w.moves(nil), func(mv move) bool {
			return mv.n == w.hostile && mv.n != nil || mv.l != nil && mv.kind != moveTransmit && mv.kind != moveDown && mv.l.nodes[mv.i] == w.hostile
		})
		for _, l := range w.links {
			if l.nodes[0] == w.hostile {
				l.wire[1] = nil // it does not read what the others say
			}
		}
		if len(ms) == 0 {
			return
		}
		w.do(ms[0])
	}
	w.failf("not at rest")
}

// checkLimits holds what the victim keeps against limits.go.
func (h *attack) checkLimits() {
	w, held := h.world, 0
	for _, l := range h.victim.m.links {
		held += l.heldBytes
		if len(l.names) > MaxNumbers || len(l.sessions) > 2*MaxNumbers {
			w.failf("%d names and %d sessions", len(l.names), len(l.sessions))
		}
		for _, s := range l.sessions {
			for _, v := range []crdt.Vector{s.theirs, s.missing, s.floor, s.told} {
				if len(v) > crdt.MaxVectorEntries {
					w.failf("a vector of %d entries", len(v))
				}
			}
			if s.toSpare != nil && len(s.toSpare.nodes) > MaxSpared {
				w.failf("%d nodes to spare", len(s.toSpare.nodes))
			}
		}
	}
	if held > MaxHeldBytes {
		w.failf("%d bytes are held", held)
	}
	if len(h.victim.builds) > 8 || len(h.victim.m.jobs) > 64 {
		w.failf("%d builds and %d jobs", len(h.victim.builds), len(h.victim.m.jobs))
	}
	if h.honest.dead {
		w.failf("the honest link was closed: %v", w.closes)
	}
	for code := range w.closes {
		if code.String() == "" {
			w.failf("closed with %d", code)
		}
	}
}

// end has the honest nodes write and meet, without the other.
func (h *attack) end() {
	w := h.world
	h.link.cut()
	h.victim.spaces["alpha"].write(w.keys[2:3], false, []byte("last"))
	h.other.spaces["alpha"].write(w.keys[3:4], false, []byte("last"))
	w.nodes = slices.DeleteFunc(w.nodes, func(n *simNode) bool { return n == h.peer })
	for range 60 {
		w.restBut()
		w.fireTimers()
	}
	a, b := h.victim.spaces["alpha"].visible, h.other.spaces["alpha"].visible
	if !a.Vector().Equal(b.Vector()) || string(a.Bytes()) != string(b.Bytes()) {
		w.failf("the victim has %v, the other %v", a.Vector(), b.Vector())
	}
	w.checkOracle(h.victim.spaces["alpha"])
}

// TestTheHostilePeerIsMet has the link of each kind of message that breaks a
// rule closed, so that the fuzz target is known to get that far.
func TestTheHostilePeerIsMet(t *testing.T) {
	closed := map[Code]int{}
	for kind := range byte(hostileMessages) {
		for choice := range byte(8) {
			for again := range byte(3) {
				h := newAttack([]byte{choice, 0, choice, kind, choice, again, choice, again, choice, kind, 2, choice, 2, choice})
				for len(h.program) > 0 {
					h.act()
					h.world.restBut()
				}
				for code, n := range h.world.closes {
					closed[code] += n
				}
			}
		}
	}
	for _, code := range []Code{CodeProtocol, CodeForged} {
		if closed[code] == 0 {
			t.Errorf("nothing is closed with %v: %v", code, closed)
		}
	}
}
