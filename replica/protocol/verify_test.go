package protocol

import (
	"fmt"
	"iter"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// What a feature adds closes a link on which it was not agreed.
func TestADigestNeedsItsFeature(t *testing.T) {
	for _, agreed := range []bool{false, true} {
		m := New(Config{Node: crdt.NodeID{1}, Features: []Feature{FeatureDigest}})
		m.Step(1, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
		h := hello{min: 1, max: 1, revocations: m.revoked.hash()}
		if agreed {
			h.features = []Feature{FeatureDigest}
		}
		var s Stamper
		m.Step(1, Received{1, s.Stamp(h.encode())})
		m.Step(1, Received{1, s.Stamp((&announce{"edge"}).encode())})
		closed := false
		for _, e := range m.Step(1, Received{1, s.Stamp((&digest{number: 1, stage: stagePropose, sum: []byte{}}).encode())}) {
			if c, ok := e.(Close); ok {
				closed = c.Code == CodeProtocol
			}
		}
		if closed == agreed {
			t.Errorf("agreed %v: closed %v", agreed, closed)
		}
	}
}

// contents is a snapshot.
type contents []crdt.Entry

func (c contents) Scan(s crdt.Span) iter.Seq2[crdt.Entry, error] {
	return func(yield func(crdt.Entry, error) bool) {
		for _, e := range c {
			if s.Contains(e.Key) && !yield(e, nil) {
				return
			}
		}
	}
}

// Removals and what expires are dropped at different times, and change nothing;
// a value does, also one of the same dot.
func TestADigestIsOfWhatLasts(t *testing.T) {
	event := func(seq uint64, value string) crdt.Event {
		return crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(1), Seq: seq}, Time: 1, Value: []byte(value)}
	}
	removed, expiring := event(2, ""), event(3, "soon")
	removed.Removed, removed.Value, expiring.Expires = true, nil, 99
	base := contents{{Key: sampleKey("a"), Record: crdt.Record{event(1, "x")}}}
	for _, c := range []struct {
		name string
		held contents
		same bool
	}{
		{"as it is", base, true},
		{"beside a removal", contents{{Key: sampleKey("a"), Record: crdt.Record{event(1, "x"), removed}}}, true},
		{"beside what expires", contents{base[0], {Key: sampleKey("b"), Record: crdt.Record{expiring}}}, true},
		{"another content", contents{{Key: sampleKey("a"), Record: crdt.Record{event(1, "y")}}}, false},
		{"another key", contents{{Key: sampleKey("b"), Record: crdt.Record{event(1, "x")}}}, false},
		{"nothing", nil, false},
	} {
		rests := 0
		rest := func() error { rests++; return nil }
		want, err := ContentDigest(base, 1, rest)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ContentDigest(c.held, 1, rest)
		if err != nil || (got == want) != c.same || rests == 0 {
			t.Errorf("%s: the same: %v, want %v (%v, %d rests)", c.name, got == want, c.same, err, rests)
		}
		a, err := NewContentSummary(base)
		if err != nil {
			t.Fatal(err)
		}
		b, err := NewContentSummary(c.held)
		if err != nil || (a.total == b.total) != c.same {
			t.Errorf("%s: summaries %v and %v (%v)", c.name, a.total, b.total, err)
		}
	}
	failed := fmt.Errorf("enough")
	if _, err := ContentDigest(base, 1, func() error { return failed }); err != failed {
		t.Errorf("a rest that fails: %v", err)
	}
}
