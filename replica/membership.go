package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

var (
	// ErrNoCluster says that the directory is a member of no cluster: see
	// Init and Join.
	ErrNoCluster = errors.New("not a member of a cluster")
	// ErrMember says that the directory is a member of a cluster already.
	ErrMember = errors.New("already a member of a cluster")
	// ErrNoAuthority says that the cluster's authority is kept elsewhere: in
	// the directory where the cluster was made.
	ErrNoAuthority = errors.New("the cluster's authority is not kept here")
	// ErrNotGranted says that this node's certificate does not let it write
	// the namespace, so that peers would not take what it writes, or not
	// read it, so that they would not hear of it.
	ErrNotGranted = errors.New("this node may not write the namespace")
	// ErrOffline says that the database was opened without a network.
	ErrOffline = errors.New("opened without a network")
)

// Member is who a directory is.
type Member struct {
	Node    crdt.NodeID
	Cluster transport.ClusterID
	// Peers are the addresses that it begins with.
	Peers []string
}

// Init makes a cluster, of which the node in dir is the first member and
// keeps the authority; with the authority of a cluster in dir, the node becomes
// a member of that one. The directory is made if it is not there; what a
// standalone database has in it stays. ErrMember says that it is in a cluster
// already.
func Init(dir string) (Member, error) {
	db, err := Open(dir, Options{})
	if err != nil {
		return Member{}, err
	}
	defer db.Close()
	if id := db.identity; id != nil {
		return Member{}, fmt.Errorf("init %s: %w: %s", dir, ErrMember, id.Cluster().ID().Short())
	}
	key, err := transport.LoadKey(dir)
	if err != nil {
		return Member{}, fmt.Errorf("init %s: %w", dir, err)
	}
	// A power cut may have left an authority without a member, or its operator
	// put it there.
	authority, err := transport.LoadAuthority(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if authority, err = transport.NewAuthority(nil); err == nil {
			err = authority.Save(dir)
		}
	}
	if err != nil {
		return Member{}, fmt.Errorf("init %s: %w", dir, err)
	}
	id, err := authority.Enroll(key, transport.AllNamespaces())
	if err == nil {
		err = id.Save(dir)
	}
	if err != nil {
		return Member{}, fmt.Errorf("init %s: %w", dir, err)
	}
	return Member{Node: id.Node(), Cluster: id.Cluster().ID()}, nil
}

// Join makes the node in dir a member of the cluster that token, an invite,
// is of, and writes down the peers that it was told. The directory is made if
// it is not there; what a standalone database has in it stays, and syncs. It
// asks over the network, until ctx ends. An invite is good once; the same
// directory may ask again, should the answer have been lost. Errors are
// ErrMember, and those of transport.Join.
func Join(ctx context.Context, dir, token string) (Member, error) {
	if _, err := transport.ParseToken(token); err != nil {
		return Member{}, err
	}
	db, err := Open(dir, Options{})
	if err != nil {
		return Member{}, err
	}
	defer db.Close()
	if id := db.identity; id != nil {
		return Member{}, fmt.Errorf("join %s: %w: %s", dir, ErrMember, id.Cluster().ID().Short())
	}
	key, err := transport.LoadKey(dir)
	if err != nil {
		return Member{}, fmt.Errorf("join %s: %w", dir, err)
	}
	id, peers, err := transport.Join(ctx, token, key, transport.JoinOptions{})
	if err != nil {
		return Member{}, err
	}
	for _, p := range peers {
		if err := db.AddPeer(p); err != nil {
			return Member{}, err
		}
	}
	if err := id.Save(dir); err != nil {
		return Member{}, fmt.Errorf("join %s: %w", dir, err)
	}
	return Member{Node: id.Node(), Cluster: id.Cluster().ID(), Peers: peers}, nil
}

// Cluster returns the cluster of this node, or an error that wraps
// ErrNoCluster.
func (d *DB) Cluster() (transport.ClusterID, error) {
	if d.identity == nil {
		return transport.ClusterID{}, d.noCluster()
	}
	return d.identity.Cluster().ID(), nil
}

// InviteOptions say what an invite is good for. The zero value works on a
// database that listens.
type InviteOptions struct {
	// Addresses are where this node can be reached, HOST:PORT. Default:
	// where it listens; on all interfaces, the addresses of each.
	Addresses []string
	// Valid is how long the invite is good. Default: 24 hours.
	Valid time.Duration
	// Grants of the node that joins. The zero value grants every namespace.
	Grants transport.Grants
}

// Invite makes an invite: a token that lets one node join this cluster, once.
// Whoever holds it may use it, so it is to be handed over like a password. It
// is redeemed at this node, while it listens. ErrNoAuthority says that this
// node cannot invite.
func (d *DB) Invite(o InviteOptions) (token string, expires time.Time, err error) {
	if err := d.gate.enter(); err != nil {
		return "", time.Time{}, err
	}
	defer d.gate.leave()
	if _, err := d.Cluster(); err != nil {
		return "", time.Time{}, err
	}
	if d.invites == nil {
		return "", time.Time{}, fmt.Errorf("%s: %w", d.dir, ErrNoAuthority)
	}
	if len(o.Addresses) == 0 {
		if o.Addresses, err = d.addresses(); err != nil {
			return "", time.Time{}, err
		}
	}
	for _, a := range o.Addresses {
		if err := checkAddress(a); err != nil {
			return "", time.Time{}, err
		}
	}
	invite, err := d.invites.Invite(transport.InviteOptions{Addrs: o.Addresses, Grants: o.Grants, TTL: o.Valid})
	if err != nil {
		return "", time.Time{}, err
	}
	return invite.Token(), invite.Expires, nil
}

// addresses returns where this node can be reached.
func (d *DB) addresses() ([]string, error) {
	if d.mesh == nil {
		return nil, fmt.Errorf("%w: say at which address the invite is redeemed", ErrOffline)
	}
	return listening(d.mesh.network.Addr())
}

// maxAdvertised bounds the addresses that an invite names by default.
const maxAdvertised = 8

// interfaceAddresses returns the addresses of this machine with a port: those
// that others can reach, if there are any.
func interfaceAddresses(port string) ([]string, error) {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var far, near []string
	for _, a := range all {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok || n.IP.IsLinkLocalUnicast():
		case n.IP.IsLoopback():
			near = append(near, net.JoinHostPort(n.IP.String(), port))
		default:
			far = append(far, net.JoinHostPort(n.IP.String(), port))
		}
	}
	if len(far) == 0 {
		far = near // a machine of its own: its nodes reach each other
	}
	return far[:min(len(far), maxAdvertised)], nil
}

// Revoke ends a node's membership for ever: every member closes its links and
// takes none again, as soon as it hears of it. What the node wrote stays. It
// needs the authority (ErrNoAuthority), and is passed on from peer to peer.
func (d *DB) Revoke(node crdt.NodeID) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	if _, err := d.Cluster(); err != nil {
		return err
	}
	if d.authority == nil {
		return fmt.Errorf("%s: %w", d.dir, ErrNoAuthority)
	}
	if node == d.node {
		return fmt.Errorf("%w: this node keeps the authority and cannot be revoked", ErrOptions)
	}
	rev := d.authority.Revoke(node, d.options.Now())
	if d.mesh != nil {
		return d.mesh.revoked(rev)
	}
	return d.roster.revoke(rev)
}

// Knows reports whether a node is a member of this cluster, or was one, as far
// as this node has heard: it met it, gave it its certificate, or has what it
// wrote. A database of no cluster knows nobody.
func (d *DB) Knows(node crdt.NodeID) bool {
	return d.roster != nil && d.roster.knows(node)
}

// peersKey is where in the store's local values the peers are that AddPeer
// wrote down, a line each.
const peersKey = "peers"

// AddPeer keeps a link with the node at address, HOST:PORT, from now on and
// after every restart with a network: a database that is opened without
// Options.Listen, Peers and Network keeps no links. To add a peer twice does
// nothing. ErrOptions says that nobody can be at address, or only this node.
func (d *DB) AddPeer(address string) error {
	if err := d.checkPeer(address); err != nil {
		return err
	}
	err := d.changePeers(func(peers []string) []string {
		if slices.Contains(peers, address) {
			return peers
		}
		return append(peers, address)
	})
	if err == nil && d.mesh != nil {
		d.mesh.dial(address, OriginSaved)
	}
	return err
}

// RemovePeer keeps no link with the node at address any longer, and closes
// the one that is up. It answers crdt.ErrMissing if there is no such peer.
func (d *DB) RemovePeer(address string) error {
	found := false
	err := d.changePeers(func(peers []string) []string {
		found = slices.Contains(peers, address)
		return slices.DeleteFunc(peers, func(p string) bool { return p == address })
	})
	if err != nil {
		return err
	}
	if d.mesh != nil && d.mesh.hangUp(address) {
		found = true // of Options.Peers
	}
	if !found {
		return fmt.Errorf("peer %q: %w", address, crdt.ErrMissing)
	}
	return d.setMeter(address, nil)
}

func (d *DB) changePeers(change func([]string) []string) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	d.admin.Lock()
	defer d.admin.Unlock()
	old, err := d.savedPeers()
	if err != nil {
		return err
	}
	peers := change(slices.Clone(old))
	if slices.Equal(old, peers) {
		return nil
	}
	if err := d.store.SetLocal(peersKey, []byte(strings.Join(peers, "\n"))); err != nil {
		return fmt.Errorf("write the peers down: %w", err)
	}
	return nil
}

// savedPeers returns the peers that AddPeer wrote down.
func (d *DB) savedPeers() ([]string, error) {
	text, err := d.store.Local(peersKey)
	if err != nil || len(text) == 0 {
		return nil, err
	}
	return strings.Split(string(text), "\n"), nil
}

// Peers returns the status of every peer, ordered by address: those that this
// node dials, and those that dialed it.
func (d *DB) Peers() ([]PeerStatus, error) {
	if err := d.gate.enter(); err != nil {
		return nil, err
	}
	defer d.gate.leave()
	if d.mesh != nil {
		all := d.mesh.peers()
		return all, d.mesh.describeMeters(all, d.store.Namespaces(), d.priority)
	}
	saved, err := d.savedPeers()
	var all []PeerStatus
	for _, p := range saved {
		all = append(all, PeerStatus{Address: p, Configured: true, Origin: OriginSaved, Breaker: Breaker{State: BreakerClosed}})
	}
	if err != nil {
		return nil, err
	}
	return all, d.describeSaved(all)
}

// SetOffline closes every link and neither makes nor takes any, until it is
// called with false. Everything else goes on. It does not outlast Close.
// ErrOffline says that the database was opened without a network.
func (d *DB) SetOffline(offline bool) error {
	if d.mesh == nil {
		return ErrOffline
	}
	d.mesh.setOffline(offline)
	return nil
}
