package protocol

import (
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// lonePut is the seq-th transaction of a writer, which sets one key.
func lonePut(seq uint64, time crdt.Timestamp, value string) crdt.Entry {
	dot := crdt.Dot{Writer: sampleWriter(1), Seq: seq}
	return crdt.Entry{Key: sampleKey("tom"), Record: crdt.Record{{Dot: dot, Time: time, Value: []byte(value)}}}
}

// sentAfter returns the frames of a delta of entries, to a peer that was told of
// the writer's transactions up to one, and what it leaves.
func sentAfter(t *testing.T, before Sent, told uint64, floor crdt.Vector, entries ...crdt.Entry) (frames []Frame, sent Sent) {
	t.Helper()
	b := Build{Number: 3, Epoch: 4, Told: crdt.Vector{sampleWriter(1): told}, Before: before}
	enc := NewDeltaEncoder(b, func(f Frame) error { frames = append(frames, f); return nil })
	made, to := NewEncoding(false), crdt.Vector{}
	for _, e := range entries {
		for _, ev := range e.Record {
			to.Advance(ev.Writer, ev.Seq)
		}
		if err := errors.Join(enc.Add(e), made.Add(e)); err != nil {
			t.Fatal(err)
		}
	}
	made.Complete()
	if err := enc.Finish(to, floor); err != nil {
		t.Fatal(err)
	}
	if made.Sent(b, nil, to, floor) != enc.Sent() {
		t.Error("a shared delta leaves something else")
	}
	return frames, enc.Sent()
}

const putTime = crdt.Timestamp(1_700_000_000_000 << 16)

// Behind a delta of one event the next one says what is new and nothing else.
// The bytes are frozen.
func TestALoneWriteTakesFewBytes(t *testing.T) {
	_, sent := sentAfter(t, Sent{}, 6, nil, lonePut(7, putTime, "red"))
	frames, sent := sentAfter(t, sent, 7, nil, lonePut(8, putTime+300<<16, "blue"))
	got := (&Stamper{last: 40}).Stamp(frames[0])
	if want := "e903cd0258a6746f6d000072626c7565"; hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
	frames, _ = sentAfter(t, sent, 8, nil, lonePut(9, putTime+310<<16+5, "red"))
	got = (&Stamper{last: 41}).Stamp(frames[0])
	if want := "ea031505a6746f6d000072726564"; hex.EncodeToString(got) != want {
		t.Errorf("%x, want %s", got, want)
	}
	msg, err := (&SeqChecker{last: 41}).Check(got)
	if err != nil {
		t.Fatal(err)
	}
	p := readPut(crdt.NewReader(msg[1:]))
	e, err := p.event(sent.lone)
	if want := lonePut(9, putTime+310<<16+5, "red"); err != nil || p.key != want.Key || !slices.EqualFunc(crdt.Record{e}, want.Record, sameEvent) {
		t.Errorf("%+v, %v", e, err)
	}
}

func sameEvent(a, b crdt.Event) bool {
	return a.Dot == b.Dot && a.Time == b.Time && string(a.Value) == string(b.Value) && a.Removed == b.Removed
}

// What a Put cannot say is said by a Delta.
func TestWhatIsNoPutIsADelta(t *testing.T) {
	_, sent := sentAfter(t, Sent{}, 6, nil, lonePut(7, putTime, "red"))
	next := func(change func(*crdt.Event)) crdt.Entry {
		e := lonePut(8, putTime, "blue")
		change(&e.Record[0])
		return e
	}
	other := next(func(*crdt.Event) {})
	other.Key = sampleKey("kim")
	older := sent
	older.lone.epoch++
	for name, test := range map[string]struct {
		before  Sent
		told    uint64
		floor   crdt.Vector
		entries []crdt.Entry
	}{
		"nothing before":    {Sent{}, 7, nil, []crdt.Entry{next(func(*crdt.Event) {})}},
		"another epoch":     {older, 7, nil, []crdt.Entry{next(func(*crdt.Event) {})}},
		"a gap":             {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Seq = 9 })}},
		"not told":          {sent, 6, nil, []crdt.Entry{next(func(*crdt.Event) {})}},
		"another writer":    {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Writer = sampleWriter(2) })}},
		"an earlier time":   {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Time -= 1 << 16 })}},
		"a removal":         {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Removed, e.Value = true, nil })}},
		"a value that ends": {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Expires = 1 })}},
		"later fields":      {sent, 7, nil, []crdt.Entry{next(func(e *crdt.Event) { e.Ext = []byte{0xc0} })}},
		"a floor":           {sent, 7, crdt.Vector{sampleWriter(1): 1}, []crdt.Entry{next(func(*crdt.Event) {})}},
		"two keys":          {sent, 7, nil, []crdt.Entry{next(func(*crdt.Event) {}), other}},
		"nothing":           {sent, 7, nil, nil},
	} {
		frames, _ := sentAfter(t, test.before, test.told, test.floor, test.entries...)
		if len(frames) != 1 || isPut(frames[0].buf[stampRoom:]) {
			t.Errorf("%s: %d frames, the first %x", name, len(frames), frames[0].buf[stampRoom:])
		}
	}
	if frames, _ := sentAfter(t, sent, 7, nil, next(func(*crdt.Event) {})); !isPut(frames[0].buf[stampRoom:]) {
		t.Error("the next value is no Put")
	}
}

// Puts that are cut in the head, numbered wrongly, or behind nothing of their
// kind close the link.
func TestAPutThatBreaksTheRulesClosesTheLink(t *testing.T) {
	for name, frame := range map[string][]byte{
		"behind nothing":     {0xe3, 1, 0, 0xa1, 'k'},
		"no key":             {0xe3, 1, 0},
		"no time":            {0xe3, 1},
		"a counter of 0":     {0xe3, 1, 1, 0, 0xa1, 'k'},
		"no namespace":       {0xe3, 0, 0, 0xa1, 'k'},
		"not announced":      {0xe3, 9, 0, 0xa1, 'k'},
		"another seq":        {0xe4, 1, 0, 0xa1, 'k'},
		"the mark by itself": {0xe3},
	} {
		m := New(Config{Node: crdt.NodeID{2}, Features: []Feature{FeaturePut}})
		m.Step(0, Opened{flat{}, flat{}.Past(nil)})
		m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{1}})
		var stamp Stamper
		h := hello{min: 1, max: 1, revocations: m.revoked.hash(), namespaces: []greeting{{"flat", crdt.VectorHash{1}}}, features: []Feature{FeaturePut}}
		m.Step(0, Received{1, stamp.Stamp(h.encode())})
		m.Step(0, Received{1, stamp.Stamp(encodeVector(1, 0, nil))})
		closed := false
		for _, e := range m.Step(0, Received{1, frame}) {
			if c, ok := e.(Close); ok {
				closed = c.Code == CodeProtocol
			}
		}
		if !closed {
			t.Errorf("%s: the link stays", name)
		}
	}
}
