package replica

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// loopWindow bounds what is in flight, and so what a break loses of it, so that a
// bootstrap of few keys shows what is sent twice.
const loopWindow = 64 << 10

// loopNode is a node with a directory, on QUIC over the loopback.
func loopNode(t *testing.T, authority *transport.Authority, peers ...string) *DB {
	t.Helper()
	return openLoop(t, authority, Options{Peers: peers})
}

func openLoop(t *testing.T, authority *transport.Authority, o Options) *DB {
	t.Helper()
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	network, err := transport.Listen(identity, transport.Options{Listen: "127.0.0.1:0", WindowBytes: loopWindow})
	if err != nil {
		t.Fatal(err)
	}
	o.Identity, o.Network = identity, network
	db, err := Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// bootstrap is a node that fetches what another has, and is used meanwhile.
type bootstrap struct {
	t            *testing.T
	source, node *DB
	written      int           // own registers so far
	slowest      time.Duration // a write and the read of it
	peakHeap     uint64        // of all nodes here
}

func (b *bootstrap) received() int {
	_, sum := b.node.mesh.traffic()
	return int(sum.BytesReceived)
}

func (b *bootstrap) level() bool {
	return namespaceOf(b.t, b.node, "edge").store.Visible().CoversAll(namespaceOf(b.t, b.source, "edge").Vector())
}

// use writes a register of the node's own, durably, and reads it again.
func (b *bootstrap) use() {
	b.t.Helper()
	ns, own := namespaceOf(b.t, b.node, "edge"), crdt.NewRegister[int]("own", b.node.Node().String(), fmt.Sprint(b.written))
	began := time.Now()
	if err := ns.Update(b.t.Context(), func(tx *Tx) error { return own.Set(tx, b.written) }); err != nil {
		b.t.Fatal(err)
	}
	err := ns.View(b.t.Context(), func(v *View) error {
		if got, err := own.Get(v); err != nil || got != b.written {
			return fmt.Errorf("own register %d reads %d, %v", b.written, got, err)
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.written++
	b.slowest = max(b.slowest, time.Since(began))
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	b.peakHeap = max(b.peakHeap, heap[0].Value.Uint64())
}

// until uses the node until something is so.
func (b *bootstrap) until(what string, so func() bool) {
	b.t.Helper()
	for end := time.Now().Add(8 * time.Minute); !so(); b.use() {
		if time.Now().After(end) {
			b.t.Fatalf("waited in vain until %s", what)
		}
	}
}

// check compares the nodes, and reads all that the node wrote meanwhile.
func (b *bootstrap) check(keys int) {
	b.t.Helper()
	there, here := namespaceOf(b.t, b.source, "edge"), namespaceOf(b.t, b.node, "edge")
	b.until("the source has what the node wrote", func() bool { return there.Vector().Equal(here.Vector()) })
	want, err := there.Digest(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	if got, err := here.Digest(context.Background()); err != nil || got != want {
		b.t.Errorf("digest %x, %v; the source has %x", got, err, want)
	}
	found := 0
	err = here.View(context.Background(), func(v *View) error {
		for _, err := range v.Scan(crdt.AllKeys) {
			if err != nil {
				return err
			}
			found++
		}
		return nil
	})
	if err != nil || found != keys+b.written {
		b.t.Errorf("the node holds %d records (%v), want %d of the source and %d of its own", found, err, keys, b.written)
	}
}

// A node that fetches all over QUIC while links break at random points is read
// and written all the while, and fetches next to nothing twice.
func TestABrokenBootstrapOverQUICGoesOnInUse(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it takes seconds, and many times that under the race detector")
	}
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := max(*wholeKeys, 60_000)
	source := loopNode(t, authority)
	fillLoop(t, namespaceOf(t, source, "edge"), keys)

	whole := &bootstrap{t: t, source: source, node: loopNode(t, authority, source.mesh.network.Addr())}
	began := time.Now()
	whole.use()
	whole.until("all is there", whole.level)
	took, total := time.Since(began), whole.received()
	whole.report("without breaks", keys, took)
	whole.check(keys)
	if err := whole.node.SetOffline(true); err != nil {
		t.Fatal(err)
	}

	fetched := keys + whole.written
	broken := &bootstrap{t: t, source: source, node: loopNode(t, authority, source.mesh.network.Addr())}
	points := make([]int, 5)
	for i := range points {
		points[i] = (2*total*i + rand.N(total)) / 11 // up to nine elevenths
	}
	began = time.Now()
	broken.use()
	for i, at := range points {
		broken.until("enough came to break it", func() bool { return broken.received() >= at })
		if broken.level() {
			t.Fatalf("break %d, at %d of %d bytes, comes after the end", i, at, total)
		}
		for _, offline := range []bool{true, false} {
			if err := broken.node.SetOffline(offline); err != nil {
				t.Fatal(err)
			}
			broken.use()
		}
	}
	broken.until("all is there", broken.level)
	broken.report(fmt.Sprintf("with breaks at %d", points), fetched, time.Since(began))
	// A break loses the frame that it cuts short, and what is behind it.
	lost := len(points) * (loopWindow + protocol.TargetFrameBytes)
	if got := broken.received(); got > total+max(total/20, lost) {
		t.Errorf("with 5 breaks %d bytes were received, without any %d", got, total)
	}
	broken.check(fetched)
}

func (b *bootstrap) report(how string, records int, took time.Duration) {
	b.t.Logf("%s: %d records, %d bytes received in %v: %.0f records/s, %.1f MB/s; %d writes meanwhile, %v the slowest; heap of all nodes %d MiB at most",
		how, records, b.received(), took.Round(time.Millisecond), float64(records)/took.Seconds(),
		float64(b.received())/1e6/took.Seconds(), b.written, b.slowest.Round(time.Millisecond), b.peakHeap>>20)
}

func fillLoop(t *testing.T, ns *Namespace, keys int) {
	t.Helper()
	for i := 0; i < keys; i += 100 {
		err := ns.UpdateWith(t.Context(), UpdateOptions{Buffered: true}, func(tx *Tx) error {
			for j := i; j < min(i+100, keys); j++ {
				if err := register(j).Set(tx, wholeValue("first ", j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := ns.Sync(t.Context()); err != nil { // what is not on disk, no peer is told of
		t.Fatal(err)
	}
}
