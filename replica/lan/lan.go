package lan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	"github.com/pion/mdns/v2"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/anabranch-db/anabranch/replica"
)

const (
	// serviceType is the type of service that nodes are announced as.
	serviceType = "_anabranch._udp"
	// MaxFound bounds the addresses that are taken from one round. A node
	// looks for a few peers only.
	MaxFound = 64
	// roundFor is how long answers are waited for. They are delayed by at
	// most half a second (RFC 6762, 6), and the question is asked twice.
	roundFor   = 2 * time.Second
	askedEvery = time.Second
	// firstPause and lastPause are the pauses between rounds; they double.
	// Two devices that start together find each other in the first; one
	// packet a minute is next to nothing on a LAN.
	firstPause = 5 * time.Second
	lastPause  = time.Minute
)

// Discovery finds the nodes of a cluster on the local network. It is a
// replica.Discovery, for one database.
type Discovery struct{ log *slog.Logger }

var _ replica.Discovery = (*Discovery)(nil)

// New returns a Discovery that logs what goes wrong; nil: nowhere.
func New(log *slog.Logger) *Discovery {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Discovery{log}
}

// Discover implements replica.Discovery. A machine without a network is no
// error: it waits for one.
func (d *Discovery) Discover(ctx context.Context, self replica.Announcement, found func(string)) error {
	_, text, err := net.SplitHostPort(self.Addr)
	if err != nil {
		return fmt.Errorf("discover peers of a node at %q: %w", self.Addr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return fmt.Errorf("discover peers of a node at %q: it has no port", self.Addr)
	}
	n := newNode(self, uint16(port), found)
	pause := firstPause
	for ctx.Err() == nil {
		if err := n.round(ctx); err != nil && ctx.Err() == nil {
			d.log.Info("peers on the LAN are not looked for now", "cause", err)
		}
		// A quarter is chance, so that a LAN's nodes do not ask as one.
		timer := time.NewTimer(pause*3/4 + rand.N(pause/4))
		select {
		case <-timer.C:
			pause = min(2*pause, lastPause)
		case <-self.Changed:
			pause = firstPause
			n.close() // the interfaces are others
		case <-ctx.Done():
		}
		timer.Stop()
	}
	n.close()
	return ctx.Err()
}

// node is this node as the LAN sees it.
type node struct {
	cluster, instance string // the first is a prefix of the second
	port              uint16
	found             func(string)

	conn       *mdns.Conn // nil: not on a network
	interfaces []string   // that it is on

	mu   sync.Mutex
	took int // addresses in this round
}

func newNode(self replica.Announcement, port uint16, found func(string)) *node {
	cluster := nameOf("anabranch cluster on a LAN", self.Cluster[:], 6) + "-"
	return &node{
		cluster: cluster, instance: cluster + nameOf("anabranch run on a LAN", self.Instance[:], 4),
		port: port, found: found,
	}
}

// nameOf returns so many bytes of a hash that stands for an id, in
// hexadecimal.
func nameOf(what string, id []byte, bytes int) string {
	sum := sha256.Sum256(append([]byte(what+"\x00"), id...))
	return hex.EncodeToString(sum[:bytes])
}

// round asks for nodes once. Between rounds questions of others are answered.
func (n *node) round(ctx context.Context) error {
	if now := interfaceTexts(); n.conn == nil || !slices.Equal(now, n.interfaces) {
		n.close()
		if err := n.open(); err != nil {
			return err
		}
		n.interfaces = now
	}
	n.mu.Lock()
	n.took = 0
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, roundFor)
	defer cancel()
	if err := n.conn.Browse(ctx, serviceType); err != nil {
		n.close()
		return fmt.Errorf("browse for %s: %w", serviceType, err)
	}
	<-ctx.Done()
	return nil
}

// open joins the groups of mDNS on all interfaces, in the families that there
// are, and announces the node.
func (n *node) open() error {
	var v4 *ipv4.PacketConn
	var v6 *ipv6.PacketConn
	conn4, err4 := listen("udp4", mdns.DefaultAddressIPv4)
	if err4 == nil {
		v4 = ipv4.NewPacketConn(conn4)
	}
	conn6, err6 := listen("udp6", mdns.DefaultAddressIPv6)
	if err6 == nil {
		v6 = ipv6.NewPacketConn(conn6)
	}
	if v4 == nil && v6 == nil {
		return errors.Join(err4, err6)
	}
	host := n.instance + ".local"
	conn, err := mdns.NewServer(v4, v6,
		mdns.WithLocalNames(host), mdns.WithQueryInterval(askedEvery), mdns.WithCacheRefresh(false),
		mdns.WithLoggerFactory(silence{}),
		mdns.WithService(mdns.ServiceInstance{Instance: n.instance, Service: serviceType, Host: host + ".", Port: n.port}),
	)
	if err != nil {
		for _, c := range []*net.UDPConn{conn4, conn6} {
			if c != nil {
				_ = c.Close()
			}
		}
		return fmt.Errorf("join mDNS: %w", err)
	}
	conn.OnServiceDiscovered(n.take)
	n.conn = conn
	return nil
}

func listen(network, address string) (*net.UDPConn, error) {
	at, err := net.ResolveUDPAddr(network, address)
	if err != nil {
		return nil, err
	}
	return net.ListenUDP(network, at)
}

func (n *node) close() {
	if n.conn != nil {
		_ = n.conn.Close() // there is nothing to be done about it
		n.conn = nil
	}
}

// take takes in what somebody on the LAN said.
func (n *node) take(e mdns.ServiceEvent) {
	address, ok := n.addressOf(e)
	if !ok {
		return
	}
	n.mu.Lock()
	n.took++
	full := n.took > MaxFound
	n.mu.Unlock()
	if !full {
		n.found(address)
	}
}

// addressOf returns the address of another node of the cluster, if e tells of
// one that can be dialed.
func (n *node) addressOf(e mdns.ServiceEvent) (string, bool) {
	name := e.Instance.Instance
	if !strings.HasPrefix(name, n.cluster) || name == n.instance || e.Instance.Port == 0 || !e.Addr.IsValid() {
		return "", false
	}
	ip := e.Addr.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() {
		return "", false
	}
	return netip.AddrPortFrom(ip, e.Instance.Port).String(), true
}

// interfaceTexts describes the interfaces and addresses of this machine.
func interfaceTexts() (all []string) {
	interfaces, _ := net.Interfaces() // none where they cannot be told
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		all = append(all, fmt.Sprint(i.Index, i.Flags, addresses))
	}
	return all
}

// silence is where mdns logs to: it would write to standard error.
type silence struct{}

// NewLogger implements logging.LoggerFactory.
func (silence) NewLogger(string) logging.LeveledLogger {
	return logging.NewDefaultLeveledLoggerForScope("", logging.LogLevelDisabled, nil)
}
