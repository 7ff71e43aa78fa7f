package bench

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/internal/usage"
	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/transport"
)

const (
	// crowdPeers are so many as come back at once when a site's uplink does.
	crowdPeers = 1000
	// reconnects is how often they do.
	reconnects = 3
)

// reconnectRow is of a small device, with a memory limit that leaves room for its
// peers, that all of them come back to.
func reconnectRow() Row {
	return Row{
		Name: "memory/reconnect", Work: fmt.Sprintf("peak resident memory of a small device, full store, while %d peers reconnect at once", crowdPeers),
		Raw: fmt.Sprintf("its budget, and %d KiB for each peer", peerBudget), Unit: "MiB", Goal: Goal{AtMost: 1}, Prepare: prepareReconnect,
	}
}

func prepareReconnect(l *Lab) (Repetition, error) {
	dir, err := filledDir(l)
	return func() (p Pair, err error) {
		r, err := reconnect(l, dir)
		budget := float64(deviceBudget) + float64(crowdPeers*peerBudget)/1024
		return Pair{Ours: float64(r.Peak) / (1 << 20), Raw: budget}, err
	}, err
}

// reconnect has a process serve the store in dir, and another be its peers, which
// break off and come back.
func reconnect(l *Lab, dir string) (r usage.Memory, err error) {
	key, err := transport.NewKey()
	if err != nil {
		return r, err
	}
	authority := hex.EncodeToString(key)
	hub, err := startChild(l.Context, nil, "node", dir, replica.ProfileSmallDevice.String(), authority, fmt.Sprint(l.Keys), fmt.Sprint(crowdPeers))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, hub.end()) }()
	var listen string
	if err := hub.hear(&listen); err != nil {
		return r, err
	}
	peers, err := startChild(l.Context, nil, "crowd", listen, authority, fmt.Sprint(crowdPeers))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, peers.end()) }()
	var linked bool
	err = peers.hear(&linked)
	for i := 0; i < reconnects && err == nil; i++ {
		if _, err = fmt.Fprintln(peers.in); err == nil {
			err = peers.hear(&linked)
		}
	}
	if err != nil {
		return r, err
	}
	if _, err := fmt.Fprintln(hub.in); err != nil {
		return r, err
	}
	return r, hub.hear(&r)
}

// crowd is the role of the process of the peers: it links all of them at once,
// says so, and does it again for each line that it hears.
func crowd(in io.Reader, out *json.Encoder, args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("arguments %q", args)
	}
	hub, err := net.ResolveUDPAddr("udp", args[0])
	if err != nil {
		return err
	}
	key, err := hex.DecodeString(args[1])
	if err != nil {
		return err
	}
	authority, err := transport.NewAuthority(key)
	if err != nil {
		return err
	}
	var n int
	if _, err := fmt.Sscan(args[2], &n); err != nil {
		return err
	}
	all := make([]*crowdPeer, n)
	for i := range all {
		if all[i], err = newCrowdPeer(authority, i); err != nil {
			return err
		}
	}
	for lines := bufio.NewScanner(in); ; {
		var linking sync.WaitGroup
		failed := make([]error, n)
		for i, p := range all {
			linking.Go(func() { failed[i] = p.relink(hub) })
		}
		linking.Wait()
		if err := errors.Join(failed...); err != nil {
			return err
		}
		if err := out.Encode(true); err != nil || !lines.Scan() {
			return err
		}
	}
}

// crowdPeer is a member that says nothing once it is linked.
type crowdPeer struct {
	authority *transport.Authority
	key       ed25519.PrivateKey
	cert      []byte
	socket    *quic.Transport
	conn      *quic.Conn
}

// newCrowdPeer has an address of its own: a node takes so many handshakes a
// second from one.
func newCrowdPeer(authority *transport.Authority, i int) (*crowdPeer, error) {
	key, err := transport.NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := authority.Issue(transport.NodeOf(key), transport.AllNamespaces(), time.Time{})
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))})
	if err != nil {
		return nil, err
	}
	return &crowdPeer{authority: authority, key: key, cert: cert, socket: &quic.Transport{Conn: socket}}, nil
}

// relink breaks off, and links anew, however often it is sent away.
func (p *crowdPeer) relink(hub net.Addr) (err error) {
	if p.conn != nil {
		_ = p.conn.CloseWithError(0, "")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ctx.Err() == nil {
		if err = p.link(ctx, hub); err == nil {
			return nil
		}
	}
	return fmt.Errorf("a peer is not linked: %w", err)
}

// link returns once the hub has answered a Hello.
func (p *crowdPeer) link(ctx context.Context, hub net.Addr) error {
	conn, err := p.socket.Dial(ctx, hub, tlsOf(p.key, p.cert, "anabranch/1"), bareConfig())
	if err != nil {
		return err
	}
	stream, err := sayHello(ctx, conn, p.authority, transport.NodeOf(p.key))
	if err == nil {
		_, err = stream.Read(make([]byte, 1))
	}
	if err != nil {
		_ = conn.CloseWithError(0, "")
		return err
	}
	p.conn = conn
	go drain(stream)
	return nil
}
