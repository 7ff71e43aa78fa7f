package transport

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
)

// QUIC is the Network of the real world: one UDP socket that both dials and
// accepts, mutual TLS 1.3 with the certificates of one cluster, one stream per
// link. It is safe for concurrent use.
type QUIC struct {
	identity *Identity
	options  Options
	verifier *verifier
	instance Instance

	transport *quic.Transport
	listener  *quic.Listener
	dialTLS   *tls.Config
	admission *admission
	joins     *joinServer // nil where nobody joins
	buffers   sync.Pool   // of *[]byte, for Send

	accepted chan *quicLink
	context  context.Context // ends when the network closes
	cancel   context.CancelFunc
	running  sync.WaitGroup // accept loop and greetings

	mu     sync.Mutex
	closed bool
	links  map[crdt.NodeID][]*quicLink // oldest first
}

var _ Network = (*QUIC)(nil)

// Listen opens a network for a member. The caller closes it.
func Listen(id *Identity, o Options) (*QUIC, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	q := &QUIC{
		identity: id, options: o,
		verifier: &verifier{id.cluster, o.Revoked, o.Now, o.IgnoreExpiry},
		accepted: make(chan *quicLink, maxAccepted),
		links:    map[crdt.NodeID][]*quicLink{},
	}
	q.buffers.New = func() any { b := make([]byte, 0, writeBufferBytes); return &b }
	if _, err := rand.Read(q.instance[:]); err != nil {
		return nil, fmt.Errorf("draw an instance id: %w", err)
	}
	if err := q.open(); err != nil {
		return nil, err
	}
	q.context, q.cancel = context.WithCancel(context.Background())
	q.running.Go(q.acceptAll)
	return q, nil
}

// open takes the socket and starts to listen.
func (q *QUIC) open() error {
	key, err := q.identity.resetKey()
	if err != nil {
		return err
	}
	conn := q.options.Conn
	if conn != nil {
		conn = sturdy(conn)
	} else if conn, err = listenUDP(q.options.Listen); err != nil {
		return err
	}
	q.dialTLS = linkConfig(q.identity, q.verifier)
	var join *tls.Config
	if q.options.Registrar != nil {
		join = joinServerConfig(q.options.Authority)
		q.joins = newJoinServer(q.options.Registrar, q.options.Revoked)
	}
	q.admission = newAdmission(q.options.MaxLinks, q.options.MaxHandshakes)
	if s, ok := conn.(*socket); ok {
		s.penalties.Store(q.admission.penalties)
	}
	q.transport = &quic.Transport{
		Conn:                conn,
		StatelessResetKey:   (*quic.StatelessResetKey)(key),
		ConnContext:         q.admission.admit,
		VerifySourceAddress: q.admission.suspicious,
	}
	q.listener, err = q.transport.Listen(serverConfig(q.dialTLS, join), q.config(1))
	if err != nil {
		_ = q.transport.Close() // the first error counts
		_ = conn.Close()
		return fmt.Errorf("listen for QUIC at %s: %w", conn.LocalAddr(), err)
	}
	return nil
}

// config returns the QUIC parameters of connections on which the peer may
// open that many streams.
func (q *QUIC) config(streams int64) *quic.Config {
	window := uint64(q.options.WindowBytes)
	return &quic.Config{
		HandshakeIdleTimeout:           handshakeTimeout,
		MaxIdleTimeout:                 q.options.IdleTimeout,
		KeepAlivePeriod:                q.options.KeepAlive,
		InitialStreamReceiveWindow:     min(window, minWindowBytes),
		MaxStreamReceiveWindow:         window,
		InitialConnectionReceiveWindow: min(window, minWindowBytes),
		MaxConnectionReceiveWindow:     window,
		MaxIncomingStreams:             streams,
		MaxIncomingUniStreams:          -1, // none
	}
}

func (q *QUIC) penalties() *penalties { return q.admission.penalties }

// Addr implements Network.
func (q *QUIC) Addr() string { return q.transport.Conn.LocalAddr().String() }

// Instance implements Network.
func (q *QUIC) Instance() Instance { return q.instance }

// Accept implements Network.
func (q *QUIC) Accept(ctx context.Context) (Link, error) {
	select {
	case l := <-q.accepted:
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-q.context.Done():
		return nil, fmt.Errorf("accept at %s: %w", q.Addr(), ErrClosed)
	}
}

// CloseRevoked closes every link with a node that Options.Revoked names by
// now. Call it when a revocation was learned.
func (q *QUIC) CloseRevoked() {
	for _, l := range q.all() {
		if q.options.Revoked(l.peer.Node) {
			_ = l.Close(CodeRevoked, "")
		}
	}
}

// all returns the links, in the order of their peers' ids.
func (q *QUIC) all() (out []*quicLink) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, node := range slices.SortedFunc(maps.Keys(q.links), crdt.NodeID.Compare) {
		out = append(out, q.links[node]...)
	}
	return out
}

// Close implements Network.
func (q *QUIC) Close() error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return nil
	}
	q.closed = true
	q.mu.Unlock()

	var ending sync.WaitGroup
	for _, l := range q.all() {
		ending.Go(func() { _ = l.Close(CodeGoingAway, "") })
	}
	ending.Wait()
	q.cancel()
	err := q.listener.Close()
	q.running.Wait()
	err = errors.Join(err, q.transport.Close(), q.transport.Conn.Close())
	if err != nil {
		return fmt.Errorf("close the network at %s: %w", q.Addr(), err)
	}
	return nil
}
