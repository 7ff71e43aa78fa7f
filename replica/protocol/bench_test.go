package protocol

import (
	"encoding/binary"
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

func BenchmarkDeltaEncode(b *testing.B)        { benchmarkEncode(b, Build{Number: 1}) }
func BenchmarkDeltaEncodeColumns(b *testing.B) { benchmarkEncode(b, Build{Number: 1, Columns: true}) }

func benchmarkEncode(b *testing.B, build Build) {
	entries := benchRecords(10_000)
	bytes := 0
	enc := NewDeltaEncoder(build, func(f Frame) error { bytes += f.Len(); return nil })
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := enc.Add(entries[i%len(entries)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "wire-bytes/record")
}

func BenchmarkDeltaDecode(b *testing.B)        { benchmarkDecode(b, Build{Number: 1}) }
func BenchmarkDeltaDecodeColumns(b *testing.B) { benchmarkDecode(b, Build{Number: 1, Columns: true}) }

func benchmarkDecode(b *testing.B, build Build) {
	var bodies [][]byte
	enc := NewDeltaEncoder(build, func(f Frame) error {
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

// kin is a namespace with n runs of a peer, each after the other.
type kin struct {
	flat
	lineage *crdt.Lineage
}

func (k kin) Past(v crdt.Vector) *crdt.Past { return k.lineage.Past(v) }

func newKin(n int) (k kin, last crdt.WriterID) {
	k.lineage = &crdt.Lineage{}
	for i := range n {
		rec := &crdt.WriterRecord{Node: crdt.NodeID{9}}
		if i > 0 {
			rec.Parents = []crdt.Dot{{Writer: last, Seq: 1}}
		}
		binary.BigEndian.PutUint64(last[:], uint64(i+1)*0x9e3779b97f4a7c15)
		rec.Writer = last
		if err := k.lineage.Add(rec); err != nil {
			panic(err)
		}
	}
	return k, last
}

// BenchmarkRestartedPeer is what the machine does when a peer that has run
// often tells of a transaction, and when that is durable here.
func BenchmarkRestartedPeer(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ns, last := newKin(n)
			m := New(Config{Node: crdt.NodeID{2}})
			m.Step(0, Opened{ns, ns.Past(crdt.Vector{last: 1})})
			stamp, _ := meet(m, 0, 1, Instance{1}, crdt.Vector{last: 1})
			b.ReportAllocs()
			for seq := uint64(2); b.Loop(); seq++ {
				m.Step(0, Received{1, stamp.Stamp(encodeHave(1, []crdt.Dot{{Writer: last, Seq: seq}}))})
				m.Step(0, Durable{"flat", ns.Past(crdt.Vector{last: seq})})
			}
			if links := m.Links(); len(links) != 1 || !links[0].Namespaces[0].Met || links[0].Namespaces[0].Lacking != 0 {
				b.Fatalf("the links are %+v", links)
			}
		})
	}
}
