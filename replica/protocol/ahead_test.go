package protocol

import (
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// late is a namespace in which the writers of its node are known only later, as
// those are that the record of one names as its parents.
type late struct {
	flat
	known bool
}

func (l *late) NodeOf(crdt.WriterID) (crdt.NodeID, bool) { return crdt.NodeID{9}, l.known }

// aheads returns what is reported among effects.
func aheads(effects []Effect) (all []crdt.Dot) {
	for _, e := range effects {
		if e, ok := e.(Ahead); ok {
			all = append(all, e.Entries...)
		}
	}
	return all
}

// jobOf returns the job of the last effect that is one.
func jobOf(t *testing.T, effects []Effect) (id JobID) {
	t.Helper()
	for _, e := range effects {
		switch e := e.(type) {
		case Apply:
			id = e.Job
		case Learn:
			id = e.Job
		}
	}
	if id == 0 {
		t.Fatalf("no job in %v", effects)
	}
	return id
}

// Each writer of this node of which a peer knows more is reported, once: that of
// a copy, of which was heard first, does not hide the one in use.
func TestEachWriterThatAPeerKnowsMoreOfIsReported(t *testing.T) {
	copys, inUse := crdt.WriterID{9, 1}, crdt.WriterID{9, 2}
	h := newHolder(t, crdt.Vector{inUse: 1}, 1)
	for i, tc := range []struct {
		has  crdt.Dot
		want string
	}{
		{crdt.Dot{Writer: copys, Seq: 1}, fmt.Sprint([]crdt.Dot{{Writer: copys, Seq: 1}})},
		{crdt.Dot{Writer: copys, Seq: 2}, "[]"},
		{crdt.Dot{Writer: inUse, Seq: 1}, "[]"},
		{crdt.Dot{Writer: inUse, Seq: 3}, fmt.Sprint([]crdt.Dot{{Writer: inUse, Seq: 3}})},
		{crdt.Dot{Writer: inUse, Seq: 4}, "[]"},
	} {
		if got := fmt.Sprint(aheads(h.receive(2, 1, encodeHave(1, []crdt.Dot{tc.has})))); got != tc.want {
			t.Errorf("%d: at %v %s is reported, want %s", i, tc.has, got, tc.want)
		}
	}
}

// What is about to be merged is looked at again when more writers are known,
// though the link is gone over which it came.
func TestWhatIsComingIsReportedOnceItsWritersAreKnown(t *testing.T) {
	for _, gone := range []bool{false, true} {
		h := newHolder(t, nil, 1, 2)
		ns := &late{}
		for _, s := range h.spaces[0].sessions {
			s.space.ns = ns
		}
		w := crdt.WriterID{9, 1}
		var records Frame
		for f := range EncodeWriters(1, []*crdt.WriterRecord{sampleRecord()}, func(crdt.NodeID) []byte { return nil }) {
			records = f
		}
		learn := jobOf(t, h.receive(2, 2, records))
		effects := h.last(2, 1, crdt.Vector{w: 1}, nil)
		jobOf(t, effects)
		if got := aheads(effects); got != nil {
			t.Fatalf("%v is reported of a writer that is not known", got)
		}
		if gone {
			h.Step(3, LinkDown{1})
			h.Step(3, LinkDown{2})
		}
		ns.known = true
		effects = h.Step(4, Learned{Job: learn})
		if got := aheads(effects); len(got) != 1 {
			t.Errorf("links gone %v: %v is reported, want what comes", gone, got)
		}
		for _, e := range effects {
			if e, ok := e.(Ahead); ok && e.Peer != (crdt.NodeID{1}) {
				t.Errorf("links gone %v: it is reported of %v, want who sent it", gone, e.Peer)
			}
		}
	}
}

// An offered snapshot may cover more than its sender told.
func TestWhatASourceCoversIsReported(t *testing.T) {
	h := newHolder(t, nil, 1)
	w := crdt.WriterID{9, 1}
	h.receive(2, 1, encodeHave(1, []crdt.Dot{{Writer: crdt.WriterID{1}, Seq: 1}}))
	h.Step(2+FetchDelayMillis, Tick{})
	effects := h.receive(3+FetchDelayMillis, 1, EncodeSource(Build{Number: 1, Job: 7}, crdt.Vector{w: 1}, nil))
	if got := aheads(effects); len(got) != 1 {
		t.Errorf("%v is reported in %v", got, effects)
	}
}
