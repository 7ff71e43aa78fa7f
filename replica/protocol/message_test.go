package protocol

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// sample is a message and how it is read. read returns what encode was given.
type sample struct {
	name  string
	frame Frame
	value any
	read  func(r *crdt.Reader, fields int) any
}

func sampleWriter(b byte) (w crdt.WriterID) {
	for i := range w {
		w[i] = b
	}
	return w
}

func sampleRecord() *crdt.WriterRecord {
	rec := &crdt.WriterRecord{
		Writer: sampleWriter(2), Node: crdt.NodeID{1, 2, 3}, Namespace: "cats",
		Parents: []crdt.Dot{{Writer: sampleWriter(1), Seq: 7}}, Started: crdt.TimestampOf(1_700_000_000_000),
	}
	rec.Signature[0], rec.Signature[63] = 4, 5
	return rec
}

func sampleEntries() []crdt.Dot {
	return []crdt.Dot{{Writer: sampleWriter(1), Seq: 7}, {Writer: sampleWriter(2), Seq: 300}}
}

func sampleVector() crdt.Vector { return crdt.Vector{sampleWriter(1): 7, sampleWriter(2): 300} }

func samples() []sample {
	h := hello{min: 1, max: 2, cluster: [32]byte{9}, revocations: [16]byte{8}, namespaces: []greeting{
		{"cats", crdt.VectorHash{1}}, {"dogs", crdt.VectorHash{2}},
	}}
	able := h
	able.features = []Feature{1, 7, 300}
	f := refuse{vector{3, 4, sampleVector()}, reasonStore}
	out := []sample{
		{"hello", h.encode(), h, func(r *crdt.Reader, n int) any { return readHello(r, n) }},
		{"hello-features", able.encode(), able, func(r *crdt.Reader, n int) any { return readHello(r, n) }},
		{"announce", (&announce{"cats"}).encode(), announce{"cats"}, func(r *crdt.Reader, n int) any { return readAnnounce(r, n) }},
		{"gone", (&gone{3}).encode(), gone{3}, func(r *crdt.Reader, n int) any { return readGone(r, n) }},
		{"vector", encodeVector(3, 4, sampleEntries()), vector{3, 4, sampleVector()}, func(r *crdt.Reader, n int) any { return readVector(r, n) }},
		{"have", encodeHave(3, sampleEntries()), have{3, sampleVector()}, func(r *crdt.Reader, n int) any { return readHave(r, n) }},
		{"clock", (&clockMessage{true, 1_700_000_000_000}).encode(), clockMessage{true, 1_700_000_000_000}, func(r *crdt.Reader, n int) any { return readClock(r, n) }},
		{"clock-asked", (&clockMessage{}).encode(), clockMessage{}, func(r *crdt.Reader, n int) any { return readClock(r, n) }},
		{"want", (&want{3}).encode(), want{3}, func(r *crdt.Reader, n int) any { return readWant(r, n) }},
		{"refuse", encodeRefuse(3, 4, reasonStore, sampleEntries()), f, func(r *crdt.Reader, n int) any { return readRefuse(r, n) }},
		{"spare", (&spare{3, 4, []crdt.NodeID{{1}, {2, 5}}}).encode(), spare{3, 4, []crdt.NodeID{{1}, {2, 5}}}, func(r *crdt.Reader, n int) any { return readSpare(r, n) }},
		{"addresses", sampleAddresses.encode(), sampleAddresses, func(r *crdt.Reader, n int) any { return readAddresses(r, n) }},
		{"digest-propose", (&digest{number: 3, stage: stagePropose, hash: crdt.VectorHash{7}, sum: []byte{}}).encode(),
			digest{number: 3, stage: stagePropose, hash: crdt.VectorHash{7}, sum: []byte{}}, func(r *crdt.Reader, n int) any { return readDigest(r, n) }},
		{"digest-sum", (&digest{number: 3, stage: stageSum, hash: crdt.VectorHash{7}, sum: make([]byte, sumBytes)}).encode(),
			digest{number: 3, stage: stageSum, hash: crdt.VectorHash{7}, sum: make([]byte, sumBytes)}, func(r *crdt.Reader, n int) any { return readDigest(r, n) }},
		{"digest-offer", EncodeOffer(Offer{Number: 3, Job: 9}, sampleVector()),
			digest{number: 3, stage: stageOffer, run: 9, vector: sampleVector()}, func(r *crdt.Reader, n int) any { return readDigest(r, n) }},
		{"revocations", (&revocations{[][]byte{[]byte("a"), []byte("bc")}}).encode(), revocations{[][]byte{[]byte("a"), []byte("bc")}},
			func(r *crdt.Reader, n int) any { return readRevocations(r, n) }},
	}
	for frame := range EncodeWriters(3, []*crdt.WriterRecord{sampleRecord()}, func(crdt.NodeID) []byte { return []byte("certificate") }) {
		out = append(out, sample{"writers", frame, [3]any{uint64(3), [][]byte{[]byte("certificate")}, []*crdt.WriterRecord{sampleRecord()}}, readWritersSample})
	}
	for i, frame := range sampleDelta(nil, nil) {
		out = append(out, sample{name: fmt.Sprintf("delta%d", i+1), frame: frame, read: readDeltaSample})
	}
	floored, part := sampleDelta(crdt.Vector{sampleWriter(2): 299}, nil), sampleDelta(nil, crdt.Vector{sampleWriter(2): 300})
	columns := Frame{append(appendDeltaHead(256, 3, 4, nil), columnsOf(sampleRecords()...)...)}
	src := source{3, 9, sampleVector(), crdt.Vector{sampleWriter(2): 299}}
	out = append(out,
		sample{name: "delta-floor", frame: floored[len(floored)-1], read: readDeltaSample},
		sample{name: "delta-brings", frame: part[len(part)-1], read: readDeltaSample},
		sample{name: "delta-columns", frame: columns, read: readDeltaSample},
		sample{"source", EncodeSource(Build{Number: 3, Job: 9}, src.vector, src.floor), src,
			func(r *crdt.Reader, n int) any { return readSource(r, n) }})
	return append(out, reconcileSamples()...)
}

var sampleAddresses = addresses{"203.0.113.7:4242", []Whereabouts{
	{crdt.NodeID{1}, KnowsOwn, 0, []string{"192.0.2.1:7600", "[2001:db8::1]:7600"}},
	{crdt.NodeID{2, 5}, KnowsDialed, 3600, []string{"hub.example:7600"}},
}}

// sampleDelta returns a delta of three frames.
func sampleDelta(floor, brings crdt.Vector) (frames []Frame) {
	b := Build{Number: 3, Epoch: 4, Told: crdt.Vector{sampleWriter(1): 7}}
	enc := NewDeltaEncoder(b, func(f Frame) error { frames = append(frames, f); return nil })
	enc.target = 60
	enc.Bring(brings)
	for i, e := range sampleRecords() {
		if err := enc.Add(e); err != nil {
			panic(fmt.Sprintf("entry %d: %v", i, err))
		}
	}
	if err := enc.Finish(sampleVector(), floor); err != nil {
		panic(err)
	}
	return frames
}
func sampleKey(name string) crdt.Key {
	k, err := crdt.MakeKey(crdt.Path{name}, crdt.TypeRegister, "")
	if err != nil {
		panic(err)
	}
	return k
}

func sampleRecords() []crdt.Entry {
	event := func(w byte, seq uint64, value string) crdt.Event {
		return crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(w), Seq: seq}, Time: crdt.TimestampOf(1_700_000_000_000), Value: []byte(value)}
	}
	gone := event(2, 299, "")
	gone.Removed, gone.Value = true, nil
	return []crdt.Entry{
		{Key: sampleKey("tom"), Record: crdt.Record{event(1, 7, "red"), gone}},
		{Key: sampleKey("kim"), Record: crdt.Record{event(2, 300, "blue")}},
	}
}

func readWritersSample(r *crdt.Reader, fields int) any {
	number := readWritersHead(r, fields)
	certs, recs, err := DecodeWriters(r.Rest())
	if err != nil {
		r.Fail(err.Error())
	}
	skipRest(r)
	return [3]any{number, certs, recs}
}

func readDeltaSample(r *crdt.Reader, fields int) any {
	d := readDeltaHead(r, fields)
	var dec DeltaDecoder
	for _, err := range dec.Add(r.Rest()) {
		if err != nil {
			r.Fail(err.Error())
		}
	}
	skipRest(r)
	return d
}

func skipRest(r *crdt.Reader) {
	for r.More() {
		r.Raw()
	}
}

// parse reads a message as the machine does.
func (s *sample) parse(message []byte) (any, error) {
	r := crdt.NewReader(message)
	_, fields := readCode(r)
	v := s.read(r, fields)
	return v, r.Done()
}

func TestMessagesReadAsTheyWereWritten(t *testing.T) {
	for _, s := range samples() {
		got, err := s.parse(s.frame.buf[stampRoom:])
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		if s.value != nil && !reflect.DeepEqual(got, s.value) {
			t.Errorf("%s: wrote %+v, read %+v", s.name, s.value, got)
		}
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, s := range samples() {
		message := s.frame.buf[stampRoom:]
		for n := range message {
			if _, err := s.parse(message[:n:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are read as a message", s.name, n, len(message))
			}
		}
		if _, err := s.parse(append(bytes.Clone(message), 0)); err == nil {
			t.Errorf("%s: a byte too many is not noticed", s.name)
		}
	}
}

func TestMessagesKeepTheirBytes(t *testing.T) {
	const file = "testdata/messages.golden"
	var got strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&got, "%s %s\n", s.name, hex.EncodeToString(s.frame.buf[stampRoom:]))
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("messages are encoded as\n%swhich is not what %s has", got.String(), file)
	}
}

func TestAHelloOfALaterVersionIsRead(t *testing.T) {
	h := hello{min: 1, max: 9, cluster: [32]byte{1}, features: []Feature{3}}
	message := h.encode().buf[stampRoom:]
	message[0]++ // one field more
	message = crdt.AppendString(message, "later")
	r := crdt.NewReader(message)
	_, fields := readCode(r)
	if got := readHello(r, fields); r.Done() != nil || got.max != 9 || len(got.features) != 1 {
		t.Errorf("read %+v, %v", got, r.Err())
	}
}

func TestMessagesThatBreakTheRulesAreRefused(t *testing.T) {
	str := crdt.AppendString
	num := crdt.AppendUint
	arr := crdt.AppendArray
	nodes := func(b []byte, ns ...crdt.NodeID) []byte {
		b = arr(b, len(ns))
		for _, n := range ns {
			b = crdt.AppendBytes(b, n[:])
		}
		return b
	}
	for name, message := range map[string][]byte{
		"no message":               {},
		"no array":                 num(nil, 1),
		"an empty array":           arr(nil, 0),
		"an unknown message":       num(arr(nil, 1), 11),
		"message zero":             num(arr(nil, 1), 0),
		"a digest of no stage":     crdt.AppendBytes(crdt.AppendBytes(num(num(num(arr(nil, 5), uint64(codeDigest)), 1), 8), make([]byte, 16)), nil),
		"a proposal with a sum":    crdt.AppendBytes(crdt.AppendBytes(num(num(num(arr(nil, 5), uint64(codeDigest)), 1), 1), make([]byte, 16)), make([]byte, 32)),
		"a digest cut short":       crdt.AppendBytes(crdt.AppendBytes(num(num(num(arr(nil, 5), uint64(codeDigest)), 1), 2), make([]byte, 16)), make([]byte, 31)),
		"a spared node twice":      nodes(num(num(num(arr(nil, 4), uint64(codeSpare)), 1), 1), crdt.NodeID{1}, crdt.NodeID{1}),
		"spared out of order":      nodes(num(num(num(arr(nil, 4), uint64(codeSpare)), 1), 1), crdt.NodeID{2}, crdt.NodeID{1}),
		"too many to spare":        arr(num(num(num(arr(nil, 4), uint64(codeSpare)), 1), 1), MaxSpared+1),
		"a field too few":          num(arr(nil, 1), uint64(codeWant)),
		"a field too many":         num(num(num(arr(nil, 3), uint64(codeWant)), 1), 1),
		"namespace zero":           num(num(arr(nil, 2), uint64(codeWant)), 0),
		"namespace over the bound": num(num(arr(nil, 2), uint64(codeWant)), MaxNumbers+1),
		"an empty name":            str(num(arr(nil, 2), uint64(codeAnnounce)), ""),
		"a long name":              str(num(arr(nil, 2), uint64(codeAnnounce)), strings.Repeat("x", crdt.MaxNamespaceBytes+1)),
		"an unknown reason":        arr(num(num(num(num(arr(nil, 5), uint64(codeRefuse)), 1), 1), 256+1), 0),
		"a feature twice":          badHello(func(b []byte) []byte { return num(num(arr(b, 2), 5), 5) }),
		"features out of order":    badHello(func(b []byte) []byte { return num(num(arr(b, 2), 5), 4) }),
		"feature zero":             badHello(func(b []byte) []byte { return num(arr(b, 1), 0) }),
		"a feature over the bound": badHello(func(b []byte) []byte { return num(arr(b, 1), maxFeature+1) }),
		"too many features": badHello(func(b []byte) []byte {
			b = arr(b, MaxFeatures+1)
			for f := range uint64(MaxFeatures + 1) {
				b = num(b, f+1)
			}
			return b
		}),
		"features that are no array": badHello(func(b []byte) []byte { return num(b, 1) }),
		"a namespace twice":          (&hello{namespaces: []greeting{{name: "a"}, {name: "a"}}}).encode().buf[stampRoom:],
	} {
		m, l := greeted(t)
		frame := append(num(nil, l.seq.last+1), message...)
		if isHello := len(message) > 1 && message[1] == byte(codeHello); isHello {
			m, l = New(Config{}), nil
			m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
			frame = append(num(nil, 1), message...)
		}
		effects := m.Step(0, Received{1, frame})
		if len(effects) != 1 || len(m.links) != 0 {
			t.Errorf("%s: effects %v", name, effects)
			continue
		}
		if c, ok := effects[0].(Close); !ok || c.Code != CodeProtocol {
			t.Errorf("%s: effect %v", name, effects[0])
		}
	}
}

// badHello returns a Hello with something in the place of its features.
func badHello(features func([]byte) []byte) []byte {
	message := (&hello{min: 1, max: 1}).encode().buf[stampRoom:]
	message[0]++ // one field more
	return features(message)
}

// greeted returns a machine with a link that has said Hello.
func greeted(t *testing.T) (*Machine, *link) {
	t.Helper()
	m := New(Config{Node: crdt.NodeID{1}})
	m.Step(0, LinkUp{Link: 1, Peer: crdt.NodeID{2}})
	var s Stamper
	h := hello{min: 1, max: 1, revocations: m.revoked.hash()}
	if effects := m.Step(0, Received{1, s.Stamp(h.encode())}); len(effects) != 0 {
		t.Fatalf("effects of a Hello: %v", effects)
	}
	return m, m.byID[1]
}

func TestAGapOrARepetitionClosesTheLink(t *testing.T) {
	for _, seq := range []uint64{0, 1, 3} {
		m, _ := greeted(t)
		frame := append(crdt.AppendUint(nil, seq), (&announce{"cats"}).encode().buf[stampRoom:]...)
		effects := m.Step(0, Received{1, frame})
		if c, ok := effects[len(effects)-1].(Close); !ok || c.Code != CodeProtocol {
			t.Errorf("frame %d where 2 was due: %v", seq, effects)
		}
	}
}

func TestAFrameTooLargeIsRefused(t *testing.T) {
	var s SeqChecker
	if _, err := s.Check(make([]byte, MaxFrameBytes+1)); !errors.Is(err, ErrMalformed) {
		t.Errorf("err = %v", err)
	}
}
