package replica

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// meshOf opens nodes on QUIC over the loopback, each linked with all others, and
// returns the namespaces that they share.
func meshOf(b *testing.B, nodes int) (all []*Namespace) {
	b.Helper()
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		b.Fatal(err)
	}
	var peers []string
	for range nodes {
		identity, err := authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			b.Fatal(err)
		}
		db, err := Open(b.TempDir(), Options{Identity: identity, Listen: "127.0.0.1:0", Peers: peers})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		})
		peers = append(peers, db.mesh.network.Addr())
		ns, err := db.Namespace("edge")
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, ns)
	}
	return all
}

// markRound has each node say that it has written a round, and returns once each
// has heard that of all.
func markRound(b *testing.B, all []*Namespace, round int) {
	b.Helper()
	marker := func(node int) crdt.Register[int] { return crdt.NewRegister[int]("done", fmt.Sprint(node)) }
	for i, ns := range all {
		if err := ns.Update(b.Context(), func(tx *Tx) error { return marker(i).Set(tx, round) }); err != nil {
			b.Fatal(err)
		}
	}
	heard := func(v *View) bool {
		for i := range all {
			if got, err := marker(i).Get(v); err != nil || got < round {
				return false
			}
		}
		return true
	}
	for _, ns := range all {
		for ev, err := range ns.Watch(b.Context(), WatchOptions{Prefix: crdt.Path{"done"}}) {
			if err != nil {
				b.Fatal(err)
			}
			if ev.Kind == Change && heard(ev.At) {
				break
			}
		}
	}
}

// BenchmarkMesh has all of eight nodes write at a time, and reports how often a
// byte of a value comes to a node, all that is said beside it included, and how
// many writes come to a node in a second.
func BenchmarkMesh(b *testing.B) {
	const nodes, writes = 8, 250
	for _, size := range []int{100, 16 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			all := meshOf(b, nodes)
			markRound(b, all, 0)
			received := func() (sum uint64) {
				for _, ns := range all {
					_, stats := ns.db.mesh.traffic()
					sum += stats.BytesReceived
				}
				return sum
			}
			value := make([]byte, size)
			for i := range value {
				value[i] = byte(rand.Uint32())
			}
			before, begun, round := received(), time.Now(), 0
			for b.Loop() {
				round++
				var writers sync.WaitGroup
				for node, ns := range all {
					writers.Go(func() {
						for i := range writes {
							r := crdt.NewRegister[[]byte]("blob", fmt.Sprint(node), fmt.Sprint(i))
							if err := ns.Update(b.Context(), func(tx *Tx) error { return r.Set(tx, value) }); err != nil {
								b.Error(err)
							}
						}
					})
				}
				writers.Wait()
				markRound(b, all, round)
			}
			came := float64(round * writes * nodes * (nodes - 1))
			b.ReportMetric(float64(received()-before)/came/float64(size), "times")
			b.ReportMetric(came/time.Since(begun).Seconds()/nodes, "writes/s/node")
		})
	}
}
