package protocol

import (
	"encoding/binary"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// flat is a namespace in which no writer has parents and none is of this node.
type flat struct{}

var noLineage crdt.Lineage

func (flat) Name() string                                  { return "flat" }
func (flat) Past(v crdt.Vector) *crdt.Past                 { return noLineage.Past(v) }
func (flat) NodeOf(crdt.WriterID) (n crdt.NodeID, ok bool) { return n, false }

// manyEntries returns a vector of n entries, numbered from a first one on.
func manyEntries(first, n int) crdt.Vector {
	v := make(crdt.Vector, n)
	for i := range n {
		var w crdt.WriterID
		binary.BigEndian.PutUint64(w[:], uint64(first+i))
		v[w] = 1 << 40
	}
	return v
}

// pump hands what each of two machines sends to the other, until both rest.
// Link 1 is the link at both.
func pump(t *testing.T, a, b *Machine, effects ...[]Effect) {
	machines := [2]*Machine{a, b}
	var stamps [2]Stamper
	var wire [2][][]byte // by the one that sends
	take := func(from int, effects []Effect) {
		for _, e := range effects {
			switch e := e.(type) {
			case Send:
				if e.Frame.Len()+stampRoom > MaxFrameBytes {
					t.Errorf("a frame of %d bytes", e.Frame.Len())
				}
				wire[from] = append(wire[from], stamps[from].Stamp(e.Frame))
			case Close:
				t.Fatalf("%v", e)
			}
		}
	}
	for i := range machines {
		take(i, effects[i])
	}
	for len(wire[0])+len(wire[1]) > 0 {
		for from := range wire {
			frames := wire[from]
			wire[from] = nil
			for _, f := range frames {
				take(1-from, machines[1-from].Step(0, Received{1, f}))
			}
			take(from, machines[from].Step(0, Flushed{Link: 1, Lane: 2}))
		}
	}
}

// twoMachines returns machines with a namespace each, and the effects of a link
// between them.
func twoMachines(va, vb crdt.Vector) (a, b *Machine, ea, eb []Effect) {
	a, b = New(Config{Node: crdt.NodeID{1}}), New(Config{Node: crdt.NodeID{2}})
	a.Step(0, Opened{flat{}, flat{}.Past(va)})
	b.Step(0, Opened{flat{}, flat{}.Past(vb)})
	ea = a.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}, Dialed: true})
	eb = b.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{1}})
	return a, b, ea, eb
}

func TestAVectorLongerThanAFrameIsToldInParts(t *testing.T) {
	large := manyEntries(0, 2*MaxEntriesPerFrame+5)
	a, b, ea, eb := twoMachines(large, crdt.Vector{})
	pump(t, a, b, ea, eb)
	if s := b.byID[1].byName["flat"]; !s.theirs.Equal(large) {
		t.Errorf("%d entries arrived of %d", len(s.theirs), len(large))
	}
}

func TestAVectorOverTheBoundClosesTheLink(t *testing.T) {
	a, b, ea, eb := twoMachines(crdt.Vector{}, crdt.Vector{})
	pump(t, a, b, ea, eb)
	for first := 0; ; first += MaxEntriesPerFrame {
		have := encodeHave(1, manyEntries(first, MaxEntriesPerFrame).Entries())
		seq := Stamper{b.byID[1].seq.last}
		b.Step(0, Received{1, seq.Stamp(have)})
		if len(b.links) == 0 {
			if c, ok := b.out[len(b.out)-1].(Close); !ok || c.Code != CodeLimit || first+MaxEntriesPerFrame <= crdt.MaxVectorEntries {
				t.Errorf("closed after %d entries: %v", first+MaxEntriesPerFrame, b.out)
			}
			return
		}
		if first > crdt.MaxVectorEntries {
			t.Fatal("a vector of any length is taken")
		}
	}
}

func TestMoreNamespacesThanAHelloHoldsAreAnnounced(t *testing.T) {
	w := newSimWorld(1, 0)
	w.names = nil
	for i := range MaxHelloNamespaces + 3 {
		w.names = append(w.names, string(rune('a'+i/1000))+string(rune('a'+i/100%10))+string(rune('a'+i/10%10))+string(rune('a'+i%10)))
	}
	w.addNodes(2)
	last := w.names[len(w.names)-1]
	w.nodes[0].spaces[last].write(w.keys[:1], false, []byte("v"))
	w.connect(w.nodes[0], w.nodes[1])
	w.settle()
	w.checkConverged()
	if s := w.nodes[1].m.links[0].byName[last]; s.peerNumber != MaxHelloNamespaces+3 {
		t.Errorf("%s has number %d", last, s.peerNumber)
	}
}

func TestAPeerThatAnnouncesForEverIsCutOff(t *testing.T) {
	m, l := greeted(t)
	s := Stamper{l.seq.last}
	for i := uint64(1); len(m.links) > 0; i++ {
		m.Step(0, Received{1, s.Stamp((&announce{"cats"}).encode())})
		if len(m.links) > 0 {
			m.Step(0, Received{1, s.Stamp((&gone{i}).encode())})
		}
		if i > MaxNumbers+1 {
			t.Fatal("it goes on")
		}
	}
	if c, ok := m.out[len(m.out)-1].(Close); !ok || c.Code != CodeLimit {
		t.Errorf("effects %v", m.out)
	}
}

// A node that used up its own numbers gets more with another link, and does not
// accuse its peer.
func TestWhoUsedUpItsNumbersAccusesNobody(t *testing.T) {
	m, l := greeted(t)
	l.numbers = MaxNumbers - 1
	for i, want := range []int{1, 0} {
		sp := named{flat{}, string(rune('a' + i))}
		effects := m.Step(0, Opened{sp, sp.Past(nil)})
		if len(m.links) != want {
			t.Fatalf("%d links after namespace %d, want %d", len(m.links), i, want)
		}
		if c, ok := effects[len(effects)-1].(Close); want == 0 && (!ok || c.Code != CodeTimeout) {
			t.Errorf("effects %v", effects)
		}
	}
}

// named is a namespace of another name.
type named struct {
	flat
	name string
}

func (n named) Name() string { return n.name }

// What was told keeps entries that later ones imply. A node that restarts all
// the time must not let it grow for ever.
func TestWhatWasToldStaysShort(t *testing.T) {
	w := newSimWorld(1, 3)
	w.strict = true
	w.connect(w.nodes[0], w.nodes[1])
	for range 3 * toldSlack {
		w.nodes[2].restart(false)
		w.nodes[2].spaces["alpha"].write(w.keys[:1], false, []byte("v"))
		w.connect(w.nodes[0], w.nodes[2])
		w.settle()
	}
	w.checkConverged()
	s := w.nodes[0].m.links[0].byName["alpha"]
	if len(s.told) > toldSlack+4 || len(s.space.own.Expand()) < 3*toldSlack {
		t.Errorf("%d entries were told of %d writers", len(s.told), len(s.space.own.Expand()))
	}
}

// A peer that does not read must not make the machine queue: announcements
// wait for Flushed, and there is one Have then for all that came meanwhile.
func TestAnnouncementsWaitForASlowLink(t *testing.T) {
	a, b, ea, eb := twoMachines(crdt.Vector{}, crdt.Vector{})
	pump(t, a, b, ea, eb)
	sent := 0
	for i := range 1000 {
		for _, e := range a.Step(0, Durable{"flat", flat{}.Past(manyEntries(i, 1))}) {
			if _, ok := e.(Send); ok {
				sent++
			}
		}
	}
	if sent != 1 {
		t.Errorf("%d frames were queued", sent)
	}
	effects := a.Step(0, Flushed{Link: 1, Lane: 2})
	if len(effects) != 1 {
		t.Fatalf("effects %v", effects)
	}
	r := crdt.NewReader(effects[0].(Send).Frame.buf[stampRoom:])
	if c, n := readCode(r); c != codeHave || len(readHave(r, n).diff) != 999 {
		t.Errorf("the rest was not told in one Have")
	}
}
