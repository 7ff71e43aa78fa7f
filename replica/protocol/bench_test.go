package protocol

import (
	"fmt"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

// benchRecords returns records as of one node's bulk of writes: keys of 16
// bytes, values of 100.
func benchRecords(n int) (entries []crdt.Entry) {
	for i := range n {
		k, err := crdt.MakeKey(crdt.Path{fmt.Sprintf("k%012d", i)}, crdt.TypeRegister, "")
		if err != nil {
			panic(err)
		}
		e := crdt.Event{Dot: crdt.Dot{Writer: sampleWriter(byte(i % 3)), Seq: uint64(i + 1)}}
		e.Time, e.Value = crdt.TimestampOf(1_700_000_000_000), make([]byte, 100)
		entries = append(entries, crdt.Entry{Key: k, Record: crdt.Record{e}})
	}
	return entries
}

func BenchmarkDeltaEncode(b *testing.B) {
	entries := benchRecords(10_000)
	bytes := 0
	enc := NewDeltaEncoder(Build{Number: 1}, func(f Frame) error { bytes += f.Len(); return nil })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := enc.Add(entries[i%len(entries)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "wire-bytes/record")
}

func BenchmarkDeltaDecode(b *testing.B) {
	var bodies [][]byte
	enc := NewDeltaEncoder(Build{Number: 1}, func(f Frame) error {
		r := crdt.NewReader(f.buf[stampRoom:])
		_, fields := readCode(r)
		readDeltaHead(r, fields)
		bodies = append(bodies, r.Rest())
		return nil
	})
	for _, e := range benchRecords(10_000) {
		if err := enc.Add(e); err != nil {
			b.Fatal(err)
		}
	}
	if err := enc.Finish(crdt.Vector{}, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	records := 0
	for b.Loop() {
		if records++; records%10_000 != 1 {
			continue // one decoding of all stands for 10,000
		}
		var d DeltaDecoder
		for _, body := range bodies {
			for _, err := range d.Add(body) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}

// BenchmarkPush is what a commit costs the machine per peer, the frames of the
// delta excluded.
func BenchmarkPush(b *testing.B) {
	w := newSimWorld(1, 2)
	w.connect(w.nodes[0], w.nodes[1])
	w.settle()
	n := w.nodes[0]
	m, sp := n.m, n.spaces["alpha"]
	sp.write(w.keys[:1], false, nil)
	own := sp.visible.Writer()
	b.ReportAllocs()
	for i := uint64(1); b.Loop(); i++ {
		v := crdt.Vector{own: i}
		for _, e := range m.Step(1, Durable{"alpha", sp.Past(v)}) {
			if build, ok := e.(Build); ok {
				m.Step(1, Built{Job: build.Job, To: v})
			}
		}
	}
}
