package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// wantsNetwork reports whether the options ask for one.
func (o *Options) wantsNetwork() bool {
	return o.Network != nil || o.Listen != "" || len(o.Peers) > 0
}

// membership is the part of a DB that makes its node one of a cluster.
type membership struct {
	roster    *roster              // nil: of no cluster
	authority *transport.Authority // nil: kept elsewhere
	invites   *transport.Invites   // nil with it
	mesh      *mesh                // nil: without a network
	entered   chan struct{}        // closed once mesh is set

	// parted says that the store was a member's, and this node is none.
	parted string
}

// mayWrite returns an error that wraps ErrNotGranted if this node is a member
// that may not write a namespace, or not read it: then what it wrote would stay
// here.
func (d *DB) mayWrite(namespace string) error { return mayWriteAs(d.identity, namespace) }

// mayWriteAs is mayWrite of a member; nil is of no cluster, and may.
func mayWriteAs(member *transport.Identity, namespace string) error {
	if member == nil {
		return nil
	}
	switch g := member.Credential().Grants; {
	case !g.CanWrite(namespace):
		return ErrNotGranted
	case !g.CanRead(namespace):
		return fmt.Errorf("%w: it may not read it, and what it wrote would stay here", ErrNotGranted)
	}
	return nil
}

// enterCluster reads what a member knows of its cluster, and starts to sync if
// the options ask for it.
func (d *DB) enterCluster() error {
	if err := d.keepMembership(); err != nil {
		return err
	}
	if d.identity == nil {
		if d.options.wantsNetwork() {
			return d.noCluster()
		}
		return nil
	}
	var err error
	if d.roster, err = loadRoster(d.identity, d.store); err != nil {
		return err
	}
	if err := d.loadAuthority(); err != nil {
		return err
	}
	if !d.options.wantsNetwork() {
		return nil
	}
	return d.enterNetwork()
}

// enterNetwork starts to sync.
func (d *DB) enterNetwork() error {
	network, err := d.openNetwork()
	if err != nil {
		return err
	}
	var namespaces []*store.Namespace
	for _, name := range d.store.Namespaces() {
		ns, err := d.store.Namespace(name)
		if err != nil {
			return errors.Join(err, network.Close())
		}
		namespaces = append(namespaces, ns)
	}
	saved, err := d.savedPeers()
	if err != nil {
		return errors.Join(err, network.Close())
	}
	d.mesh = newMesh(network, d)
	d.onOpened, d.onDropping, d.onDurable = d.mesh.opened, d.mesh.dropping, d.mesh.durable
	text, err := d.store.Local(bookKey)
	if err != nil {
		return errors.Join(err, network.Close())
	}
	d.mesh.book.read(string(text), time.Now())
	d.mesh.settle()
	if err := d.loadMeters(); err != nil {
		return errors.Join(err, network.Close())
	}
	priorities, err := d.priorities()
	if err != nil {
		return errors.Join(err, network.Close())
	}
	for _, p := range priorities {
		d.mesh.inbox.post(p)
	}
	close(d.entered)
	d.mesh.start(namespaces)
	if errors.Is(d.store.Health(), ErrDamaged) {
		d.quarantine() // it was found before anybody could be told
	}
	if d.options.Network == nil {
		d.mesh.running.Go(d.mesh.watchNetwork)
	}
	if d.options.Discovery != nil {
		d.mesh.running.Go(func() { d.mesh.discover(d.options.Discovery) })
	}
	for _, address := range d.options.Peers {
		d.mesh.dial(address, OriginConfigured)
	}
	for _, address := range saved {
		d.mesh.dial(address, OriginSaved)
	}
	for range seekers { // what is dialed anyway is not sought
		d.mesh.running.Go(d.mesh.seek)
	}
	return nil
}

// leaveNetwork ends all links.
func (d *DB) leaveNetwork() error {
	if d.mesh == nil {
		return nil
	}
	return d.mesh.close()
}

// loadAuthority reads the cluster's authority if it is kept here.
func (d *DB) loadAuthority() (err error) {
	if d.options.Identity != nil {
		return nil // there are no files
	}
	d.authority, err = transport.LoadAuthority(d.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.invites, err = transport.NewInvites(d.authority, transport.InvitesOptions{
		Store: d.store, Now: d.options.Now, Peers: d.knownAddresses,
	})
	return err
}

// knownAddresses are the peers that a node which joins here begins with: this
// one, and those that it dials itself.
func (d *DB) knownAddresses() []string {
	// The network takes newcomers as soon as it is there.
	select {
	case <-d.entered:
	case <-d.closing:
		return nil
	}
	own, err := d.addresses()
	if err != nil {
		return nil
	}
	saved, _ := d.savedPeers() // without them the newcomer has us to begin with
	return append(append(own, saved...), d.options.Peers...)
}

// doubts passes on that a link is in doubt, or is so no longer.
func (d *DB) doubts() {
	select {
	case <-d.entered:
		d.mesh.doubts()
	default: // nobody waits for links yet
	}
}

func (d *DB) openNetwork() (transport.Network, error) {
	if d.options.Network != nil {
		return d.options.Network, nil
	}
	o := transport.Options{
		Listen: d.options.Listen, Now: d.options.Now, Revoked: d.roster.revoked,
		KeepAlive: d.options.KeepAlive, IgnoreExpiry: d.options.IgnoreExpiry, Doubts: d.doubts,
		MaxHandshakes: profiles[d.options.Profile].handshakes,
	}
	if d.invites != nil {
		o.Registrar, o.Authority = registrar{d.invites, d.roster}, d.authority
	}
	q, err := transport.Listen(d.identity, o)
	if err != nil {
		return nil, err
	}
	return q, nil
}
