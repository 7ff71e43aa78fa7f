package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// idleLinks is how many peers a hub has that say nothing.
const idleLinks = 64

// idleRows are of what a connection costs on which nothing is said.
func idleRows() []Row {
	return []Row{{
		Name: "idle/memory", Work: "memory of a hub for an idle peer", Raw: "an end of an idle QUIC connection",
		Unit: "KiB", Goal: Goal{AtMost: 1.5}, Prepare: prepareIdle,
	}}
}

// prepareIdle has bare connections at the far ends of both, so that half of what
// the bare ones take is theirs.
func prepareIdle(l *Lab) (Repetition, error) {
	return func() (p Pair, err error) {
		lab, err := newLab(l.Context, l.dir, l.Keys) // each repetition begins without any
		if err != nil {
			return p, err
		}
		defer func() {
			if e := lab.close(); err == nil {
				err = e
			}
		}()
		raw, err := idleBare(lab)
		if err != nil {
			return p, err
		}
		ours, err := idlePeers(lab)
		p.Raw = raw / 2 / idleLinks / 1024
		p.Ours = ours/idleLinks/1024 - p.Raw
		return p, err
	}, nil
}

// idleBare returns what bare connections take, both ends.
func idleBare(l *Lab) (bytes float64, err error) {
	host, err := listenBare(l)
	if err != nil {
		return 0, err
	}
	t, err := bareSocket(l)
	if err != nil {
		return 0, err
	}
	before := settledMemory()
	for range idleLinks {
		near, far, _, err := host.dial(l.Context, t, host.addr)
		if err != nil {
			return 0, err
		}
		go drain(near)
		go drain(far)
	}
	return settledMemory() - before, nil
}

// drain reads until the end, as who waits for frames does.
func drain(s io.Reader) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, s, make([]byte, 4<<10))
}

// settledMemory is what is held once nothing is under way any more.
func settledMemory() float64 {
	time.Sleep(time.Second)
	return memory()
}

// idlePeers returns what a hub with peers takes, both ends.
func idlePeers(l *Lab) (bytes float64, err error) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		return 0, err
	}
	hub, err := openNode(l, authority, true)
	if err != nil {
		return 0, err
	}
	if _, err := hub.Namespace("bench"); err != nil {
		return 0, err
	}
	status, err := hub.Status()
	if err != nil {
		return 0, err
	}
	addr, err := net.ResolveUDPAddr("udp", status.Listen)
	if err != nil {
		return 0, err
	}
	t, err := bareSocket(l)
	if err != nil {
		return 0, err
	}
	before := settledMemory()
	for range idleLinks {
		if err := idlePeer(l.Context, authority, t, addr); err != nil {
			return 0, err
		}
	}
	after := settledMemory()
	if status, err = hub.Status(); err == nil && len(status.Peers) != idleLinks {
		err = fmt.Errorf("%d peers are linked, of %d", len(status.Peers), idleLinks)
	}
	return after - before, err
}

// idlePeer links with a node as a member that holds an empty namespace.
func idlePeer(ctx context.Context, authority *transport.Authority, t *quic.Transport, addr net.Addr) error {
	key, err := transport.NewKey()
	if err != nil {
		return err
	}
	node := transport.NodeOf(key)
	der, err := authority.Issue(node, transport.AllNamespaces(), time.Time{})
	if err != nil {
		return err
	}
	conn, err := t.Dial(ctx, addr, tlsOf(key, der, "anabranch/1"), bareConfig())
	if err != nil {
		return err
	}
	stream, err := sayHello(ctx, conn, authority, node)
	if err != nil {
		return err
	}
	go drain(stream)
	return nil
}

// sayHello begins the stream of a link.
func sayHello(ctx context.Context, conn *quic.Conn, authority *transport.Authority, node crdt.NodeID) (*quic.Stream, error) {
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	hello, err := helloOf(node, authority, conn.ConnectionState().TLS)
	if err != nil {
		return nil, err
	}
	preface := append([]byte("ANBR\x01\x00\x00\x00"), node[:8]...)
	_, err = stream.Write(append(preface, hello...))
	return stream, err
}

// helloOf returns the first frame of a member, with its length.
func helloOf(node crdt.NodeID, authority *transport.Authority, state tls.ConnectionState) ([]byte, error) {
	peer, err := authority.Cluster().ParseCredential(state.PeerCertificates[0].Raw)
	if err != nil {
		return nil, err
	}
	m := protocol.New(protocol.Config{Node: node, Cluster: authority.Cluster().ID()})
	space := emptySpace{new(crdt.Lineage)}
	m.Step(1, protocol.Opened{Namespace: space, Durable: space.Past(nil)})
	var s protocol.Stamper
	for _, e := range m.Step(1, protocol.LinkUp{Link: 1, Peer: peer.Node, Dialed: true}) {
		if e, ok := e.(protocol.Send); ok {
			frame := s.Stamp(e.Frame)
			n := len(frame)
			return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, frame...), nil
		}
	}
	return nil, fmt.Errorf("no Hello is said")
}

// emptySpace is a namespace in which nothing was ever written.
type emptySpace struct{ *crdt.Lineage }

func (emptySpace) Name() string                                  { return "bench" }
func (emptySpace) NodeOf(crdt.WriterID) (n crdt.NodeID, ok bool) { return n, false }
