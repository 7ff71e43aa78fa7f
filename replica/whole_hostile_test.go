package replica

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// said is what a member says behind its Hello, message by message, each
// numbered as it is due but where seq says otherwise.
type said struct {
	seq      uint64 // 0: the next
	code     uint64
	fields   [][]byte
	unframed []byte // in place of all that
}

// A hostile is a member that keeps to no rule, and how its link ends.
type hostileCase struct {
	mute   bool // it does not say Hello
	grants transport.Grants
	says   func(hello []byte) []said
	code   transport.Code // CodeNone: it does not end
	reason string
}

func uints(ns ...uint64) (fields [][]byte) {
	for _, n := range ns {
		fields = append(fields, crdt.AppendUint(nil, n))
	}
	return fields
}

func onceSaid(code uint64, fields ...[]byte) func([]byte) []said {
	return func([]byte) []said { return []said{{code: code, fields: fields}} }
}

// hostileCases are what a member can do on a link, with the code that each is
// closed with. What lies below frames is in package transport (stream_test.go,
// handshake_test.go), what is about lengths and bounds in replica/protocol
// (bounds_test.go, reconcile_hostile_test.go).
func hostileCases() map[string]hostileCase {
	all, empty := transport.AllNamespaces(), crdt.AppendVector(nil, crdt.Vector{})
	name := crdt.AppendString(nil, "edge")
	forged := &crdt.WriterRecord{Writer: crdt.WriterID{7}, Node: crdt.NodeID{7}, Namespace: "edge", Started: 5}
	record := crdt.AppendWriterRecord(crdt.AppendArray(nil, 1), forged)
	none := crdt.AppendArray(nil, 0)
	lastDelta := func(body ...[]byte) []said {
		return []said{
			{code: 4, fields: append(uints(1, 1), empty)},
			{code: 8, fields: append(append(uints(1, 1), empty), body...)},
		}
	}
	return map[string]hostileCase{
		"silence":               {true, all, nil, transport.CodeTimeout, ""},
		"no Hello first":        {true, all, onceSaid(7, uints(1)...), transport.CodeProtocol, "Hello is due first"},
		"a second Hello":        {false, all, func(hello []byte) []said { return []said{{unframed: append([]byte{2}, hello[1:]...)}} }, transport.CodeProtocol, "Hello is due first"},
		"a frame replayed":      {false, all, func(hello []byte) []said { return []said{{unframed: hello}} }, transport.CodeProtocol, "frame 1 where 2 was due"},
		"a gap":                 {false, all, func([]byte) []said { return []said{{seq: 9, code: 7, fields: uints(1)}} }, transport.CodeProtocol, "frame 9 where 2 was due"},
		"an unknown message":    {false, all, onceSaid(99, uints(1)...), transport.CodeProtocol, "unknown message 99"},
		"no message":            {false, all, func([]byte) []said { return []said{{unframed: []byte{2, 0xc1}}} }, transport.CodeProtocol, "malformed"},
		"a bad number":          {false, all, func([]byte) []said { return []said{{unframed: []byte{0xcd, 0, 2, 0x92, 7, 1}}} }, transport.CodeProtocol, "malformed"},
		"a message cut short":   {false, all, func([]byte) []said { return []said{{unframed: []byte{2, 0x92, 7}}} }, transport.CodeProtocol, "malformed"},
		"too many fields":       {false, all, onceSaid(7, uints(1, 2, 3)...), transport.CodeProtocol, ""},
		"a bomb":                {false, all, onceSaid(5, crdt.AppendUint(nil, 1), []byte{0xdd, 0xff, 0xff, 0xff, 0xff}), transport.CodeProtocol, "malformed"},
		"nobody's namespace":    {false, all, onceSaid(7, uints(77)...), transport.CodeProtocol, ""},
		"gone that was not":     {false, all, onceSaid(3, uints(5)...), transport.CodeProtocol, "not there to be gone"},
		"announced twice":       {false, all, onceSaid(2, name), transport.CodeProtocol, "has number"},
		"a forged record":       {false, all, onceSaid(6, crdt.AppendUint(nil, 1), none, record), transport.CodeForged, ""},
		"records that are none": {false, all, onceSaid(6, crdt.AppendUint(nil, 1), none, []byte{0x91, 0xc1}), transport.CodeProtocol, "malformed"},
		"a delta of nonsense":   {false, all, func([]byte) []said { return lastDelta([]byte{0xc1}) }, transport.CodeProtocol, "malformed"},
		"a foreign namespace": {false, transport.Grants{Read: []string{"*"}}, func([]byte) []said {
			return lastDelta(none, none)
		}, transport.CodeNone, ""}, // each delta is refused (certificates_test.go), and it may read on
		"refusals": {false, all, func([]byte) (all []said) {
			for range 16 {
				all = append(all, said{code: 9, fields: append(uints(1, 1, 1), empty)})
			}
			return all
		}, transport.CodeRefusals, "were refused"},
	}
}

// Each hostile member is closed with its code, and hears why; what the others
// have stays as it was, and they go on.
func TestAHostileMemberIsClosedWithACode(t *testing.T) {
	cases := hostileCases()
	inBubble(t, 2, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		set(t, f.nodes[0], 7)
		f.nodes[1].namespace("edge")
		f.converge("edge")
		for name, c := range cases {
			enemy, err := f.authority.Enroll(nil, c.grants)
			if err != nil {
				t.Fatal(err)
			}
			end := f.suffer(f.dial(enemy.Credential(), "enemy "+name, f.nodes[0].address), c)
			if c.code == transport.CodeNone && end == nil {
				continue
			}
			if end == nil || !end.Remote || end.Code != c.code || !strings.Contains(end.Reason, c.reason) {
				t.Errorf("%s: the link ended with %v, want %v: %s", name, end, c.code, c.reason)
			}
		}
		set(t, f.nodes[1], 8)
		f.converge("edge")
		for _, n := range f.nodes {
			if got := get(t, n); got != 8 || n.db.Health() != nil {
				t.Errorf("%s has %d: %v", n.address, got, n.db.Health())
			}
		}
		t.Attr("hostile-peers", strconv.Itoa(len(cases)))
	})
}

// suffer lets a member do what it does, and returns how its link ended.
func (f *wholeFleet) suffer(l transport.Link, c hostileCase) *transport.CloseError {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	hello, err := l.Receive(ctx)
	if err == nil && !c.mute {
		err = l.Send(ctx, hello)
		f.pass(time.Second)
	}
	var says []said
	if c.says != nil {
		says = c.says(hello)
	}
	for i, s := range says {
		frame := s.unframed
		if frame == nil {
			seq := uint64(i + 2)
			if c.mute {
				seq = 1
			}
			if s.seq > 0 {
				seq = s.seq
			}
			frame = numberedFrame(seq, s.code, s.fields...)
		}
		err = errors.Join(err, l.Send(ctx, frame))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	for err == nil {
		_, err = l.Receive(ctx)
	}
	end, _ := errors.AsType[*transport.CloseError](err)
	_ = l.Close(transport.CodeNone, "")
	return end
}
