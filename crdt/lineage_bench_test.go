package crdt

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// chainOf returns the records of n runs of a node, each after the other.
func chainOf(n int) []*WriterRecord {
	recs := make([]*WriterRecord, n)
	for i := range recs {
		rec := &WriterRecord{Node: NodeID{1}}
		binary.BigEndian.PutUint64(rec.Writer[:], uint64(i+1)*0x9e3779b97f4a7c15)
		if i > 0 {
			rec.Parents = []Dot{{recs[i-1].Writer, 1}}
		}
		recs[i] = rec
	}
	return recs
}

func BenchmarkLineage(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		recs := chainOf(n)
		l := &Lineage{}
		for _, rec := range recs {
			if err := l.Add(rec); err != nil {
				b.Fatal(err)
			}
		}
		last := recs[n-1].Writer
		p, q := l.Past(Vector{last: 1}), l.Past(Vector{last: 2})
		b.Run(fmt.Sprintf("load/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var l Lineage
				for _, rec := range recs {
					if err := l.Add(rec); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		placed := make([]Placed, n)
		for i := range placed {
			placed[i] = l.Placed(i)
		}
		b.Run(fmt.Sprintf("build/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var built LineageBuilder
				for i := range placed {
					if err := built.Add(&placed[i]); err != nil {
						b.Fatal(err)
					}
				}
				if _, err := built.Lineage(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("covers/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				p.Covers(Dot{recs[i%n].Writer, 1})
			}
		})
		b.Run(fmt.Sprintf("join/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c := p.Clone()
				c.Join(q)
			}
		})
		b.Run(fmt.Sprintf("normal/%d", n), func(b *testing.B) {
			for b.Loop() {
				p.Normal()
			}
		})
	}
}
