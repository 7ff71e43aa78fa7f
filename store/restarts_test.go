package store_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// runWriter is the writer of the i-th run of a node.
func runWriter(i int) (w crdt.WriterID) {
	binary.BigEndian.PutUint64(w[:], uint64(i)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint32(w[12:], uint32(i))
	return w
}

// runs returns the records of n runs of a node, each after the other.
func runs(node, n int) []*crdt.WriterRecord {
	k := nodeKey(node)
	recs := make([]*crdt.WriterRecord, n)
	for i := range recs {
		rec := &crdt.WriterRecord{
			Writer: runWriter(i + 1), Node: crdt.NodeID(k.Public().(ed25519.PublicKey)), Namespace: "things",
			Started: crdt.TimestampOf(1_700_000_000_000 + int64(i)),
		}
		if i > 0 {
			rec.Parents = []crdt.Dot{{Writer: runWriter(i), Seq: 1}}
		}
		copy(rec.Signature[:], ed25519.Sign(k, rec.SigningBytes()))
		recs[i] = rec
	}
	return recs
}

// restarted fills a store of node 1 with what n runs of it have left, and
// closes it.
func restarted(t testing.TB, o store.Options, dir string, n int) {
	s, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ns := create(t, s)
	delta{writers: runs(1, n), to: crdt.Vector{runWriter(n): 1}}.apply(t, ns)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkRestarts is what a namespace costs whose node has run often: to
// open it, what it holds in memory, a write, and a small delta of another node.
func BenchmarkRestarts(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := &fleet{t: b}
			o := f.options(1, nil)
			dir := b.TempDir()
			restarted(b, o, dir, n)
			open := func() (*store.Store, *store.Namespace) {
				s, err := store.Open(dir, o)
				if err != nil {
					b.Fatal(err)
				}
				return s, create(b, s)
			}
			var opened time.Duration
			var heap uint64
			for b.Loop() {
				before := liveHeap()
				began := time.Now()
				s, _ := open()
				opened += time.Since(began)
				heap += liveHeap() - before
				s.Close()
			}
			s, ns := open()
			defer s.Close()
			peer := f.openNamespace(2, vfs.NewMem())
			pull(b, peer, ns)
			const ops = 500
			began := time.Now()
			for i := range ops {
				commit(b, ns, set(numbered(i), "ours"))
			}
			written := time.Since(began)
			var deltas []delta
			for i := range ops {
				from := peer.Vector()
				commit(b, peer, set(numbered(i), "theirs"))
				deltas = append(deltas, deltaOf(b, peer, from))
			}
			began = time.Now()
			for _, d := range deltas {
				d.apply(b, ns)
			}
			applied := time.Since(began)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(opened.Microseconds())/float64(b.N), "open-us")
			b.ReportMetric(float64(heap>>10)/float64(b.N), "open-KiB")
			b.ReportMetric(float64(written.Nanoseconds())/ops, "write-ns")
			b.ReportMetric(float64(applied.Nanoseconds())/ops, "apply-ns")
		})
	}
}
