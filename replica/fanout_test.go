package replica

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// counts returns how many deltas the node has encoded, and how many more were
// sent as they were for another peer.
func (n *wholeNode) counts() (encoded, reused int) {
	f := &n.db.mesh.fanout
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.shared) > 0 {
		n.fleet.t.Errorf("%d deltas are kept when nothing happens", len(f.shared))
	}
	return f.encoded, f.reused
}

func TestAHubEncodesADeltaOnceForAllPeers(t *testing.T) {
	const peers = 64
	inBubbleWith(t, 1+peers, simnet.Options{Latency: time.Millisecond}, aroundHub, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(10 * time.Second)
		hub := f.nodes[0]
		for i := range 3 {
			encoded, reused := hub.counts()
			hub.put(fmt.Sprint("a value", i), 0, 100)
			f.pass(2 * time.Second)
			more, again := hub.counts()
			if more-encoded != 1 || again-reused != peers-1 {
				t.Errorf("a write to %d peers was encoded %d times, and %d times sent again", peers, more-encoded, again-reused)
			}
		}
		f.converge("edge")
	})
}

// What one leaf writes goes to all others in one encoding as well.
func TestAHubEncodesOnceWhatItPassesOn(t *testing.T) {
	const peers = 16
	inBubbleWith(t, 1+peers, simnet.Options{Latency: time.Millisecond}, aroundHub, func(f *wholeFleet) {
		for _, n := range f.nodes {
			n.namespace("edge")
		}
		f.pass(10 * time.Second)
		f.nodes[1].put("first", 0, 10) // makes known who writes
		f.pass(2 * time.Second)
		encoded, _ := f.nodes[0].counts()
		f.nodes[1].put("second", 0, 10)
		f.pass(2 * time.Second)
		f.converge("edge")
		if more, _ := f.nodes[0].counts(); more-encoded > 1 {
			t.Errorf("passed on to %d peers, it was encoded %d times", peers-1, more-encoded)
		}
	})
}

// The loop counts builds in whatever others do with what is shared.
func TestBuildsAreBegunWhileOthersShare(t *testing.T) {
	var f fanout
	f.mu.Lock()
	defer f.mu.Unlock()
	begun := make(chan uint64, 1)
	go func() { f.begin(3); begun <- f.begin(1) }()
	select {
	case n := <-begun:
		if n != 3 {
			t.Errorf("3 builds were begun, and %d counted", n)
		}
	case <-time.After(10 * time.Second):
		t.Error("the loop waits for who looks for a delta to share")
	}
}

// sink is a link on which all goes out at once.
type sink struct{ transport.Link }

func (sink) Send(context.Context, []byte) error { return nil }
func (sink) Peer() transport.Credential         { return transport.Credential{} }
func (sink) Instance() transport.Instance       { return transport.Instance{} }

// BenchmarkFanOut sends a delta of 100 records to 64 peers, and tells how much
// longer it takes if each has it encoded.
func BenchmarkFanOut(b *testing.B) {
	const peers = 64
	m, build := fanOutMesh(b)
	var links []*link
	for i := range peers {
		l := newLink(m, protocol.LinkID(1000+i), sink{})
		l.outlet.begin(func() { go func() { _ = l.outlet.run(l.ctx) }() })
		links = append(links, l)
	}
	run := func() time.Duration {
		begun := time.Now()
		for i, l := range links {
			if built := m.build(l.ctx, l, build, uint64(i)); built.Err != nil {
				b.Fatal(built.Err)
			}
		}
		return time.Since(begun)
	}
	var once, each time.Duration
	for b.Loop() {
		m.links[1], m.links[2] = links[0], links[1]
		m.fanout.expire()
		once += run()
		clear(m.links) // as for one peer
		each += run()
	}
	b.ReportMetric(float64(each)/float64(once), "times-faster")
}

// The records of writers are read by who sends them, and not by the loop; a link
// on which they are due and cannot be read is closed, unless the namespace went.
func TestTheLoopReadsNoWriterRecords(t *testing.T) {
	introduce := func(m *mesh, build protocol.Build) *link {
		conn := &faultyLink{closed: make(chan transport.Code, 2)}
		l := newLink(m, 1000, conn)
		m.mu.Lock()
		m.links[l.id] = l
		m.mu.Unlock()
		unknown := []crdt.WriterID{{1}}
		m.queueIntroduction(protocol.Introduce{Link: l.id, Lane: 2, Namespace: build.Namespace, Number: 1, Writers: unknown})
		if len(conn.closed) > 0 {
			t.Error("it was read when it was queued")
		}
		m.mu.Lock()
		delete(m.links, l.id)
		m.mu.Unlock()
		return l
	}
	m, build := fanOutMesh(t)
	l := introduce(m, build)
	if err := l.outlet.run(l.ctx); !errors.Is(err, ErrDamaged) || <-l.conn.(*faultyLink).closed != transport.CodeInternal {
		t.Errorf("without writer records that are due: %v", err)
	}
	m, build = fanOutMesh(t)
	l = introduce(m, build)
	if err := m.roster.store.Drop(build.Namespace.Name()); err != nil {
		t.Fatal(err)
	}
	if err := l.outlet.run(l.ctx); err != nil || len(l.conn.(*faultyLink).closed) > 0 {
		t.Errorf("of a namespace that was dropped: %v", err)
	}
}

// faultyLink is a sink of which is told why it is closed.
type faultyLink struct {
	sink
	closed chan transport.Code
}

func (*faultyLink) RemoteAddr() string { return "faulty:1" }

func (l *faultyLink) Close(c transport.Code, _ string) error { l.closed <- c; return nil }

// fanOutMesh returns the mesh of a node, and a Build of 100 records.
func fanOutMesh(b testing.TB) (*mesh, protocol.Build) {
	b.Helper()
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		b.Fatal(err)
	}
	identity, err := authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		b.Fatal(err)
	}
	net := simnet.New(simnet.Options{})
	endpoint, err := net.Listen(identity.Credential(), "hub:1")
	if err != nil {
		b.Fatal(err)
	}
	db, err := Open("db", Options{FS: vfs.NewMem(), Identity: identity, Network: endpoint})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = db.Close(), net.Close() })
	ns, err := db.Namespace("edge")
	if err != nil {
		b.Fatal(err)
	}
	put := func(value string) {
		err := ns.Update(context.Background(), func(tx *Tx) error {
			for i := range 100 {
				if err := register(i).Set(tx, wholeValue(value, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	put("first ")
	from := ns.store.Visible()
	put("second ")
	return db.mesh, protocol.Build{Namespace: ns.store, Number: 1, From: from, Reconciles: true}
}
