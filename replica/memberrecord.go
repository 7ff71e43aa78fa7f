package replica

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// clusterKey is where in the store's local values the certificate of the
// cluster is. With that of the node, in the roster, it makes the private key
// of a node a member again: a backup has both, and no private key.
const clusterKey = "roster/cluster"

// keepMembership writes the certificates of a member to its store, or, where
// their files are missing, takes them from it. An embedder that hands in an
// identity keeps it itself.
func (d *DB) keepMembership() error {
	if d.options.Identity != nil || d.options.FS != vfs.Default {
		return nil
	}
	if d.identity != nil {
		// It is written again at the next Open, so a full disk is no reason
		// not to read.
		if err := recordMembership(d.store, d.identity); err != nil {
			d.log.Warn("write the node's certificates to the store", "error", err)
		}
		return nil
	}
	id, parted, err := membershipIn(d.dir, d.store, d.node)
	if id == nil {
		d.parted = parted
		return err
	}
	if err := id.Save(d.dir); err != nil {
		return fmt.Errorf("open %s: %w", d.dir, err)
	}
	d.log.Info("the node's certificates were missing and came from the store", "cluster", id.Cluster().ID().Short())
	d.identity = id
	return nil
}

// recordMembership writes down what recallMembership reads.
func recordMembership(s *store.Store, id *transport.Identity) error {
	cred := id.Credential()
	for _, e := range []store.LocalEntry{
		{Key: clusterKey, Value: id.Cluster().Certificate()},
		{Key: certificatePrefix + cred.Node.String(), Value: cred.Certificate()},
	} {
		old, err := s.Local(e.Key)
		if err == nil && !bytes.Equal(old, e.Value) {
			err = s.SetLocal(e.Key, e.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// membershipIn returns the identity that the store has of a node without
// certificates, or else what partedFrom says.
func membershipIn(dir string, s *store.Store, node crdt.NodeID) (id *transport.Identity, parted string, err error) {
	if id, err = recallMembership(dir, s, node); id == nil && err == nil {
		parted, err = partedFrom(s)
	}
	return id, parted, err
}

// recallMembership returns the identity of the node with the key in dir, if
// the store has its certificate, else nil.
func recallMembership(dir string, s *store.Store, node crdt.NodeID) (*transport.Identity, error) {
	cluster, err := s.Local(clusterKey)
	if err != nil || cluster == nil {
		return nil, err
	}
	certificate, err := s.Local(certificatePrefix + node.String())
	if err != nil || certificate == nil {
		return nil, err
	}
	key, err := transport.LoadKey(dir)
	if err != nil {
		return nil, err
	}
	id, err := transport.NewIdentity(key, certificate, cluster)
	if errors.Is(err, transport.ErrCluster) {
		return nil, nil // the roster of the cluster before is there as well
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the node's certificates in %s: %w", ErrDamaged, dir, err)
	}
	return id, nil
}

// partedFrom says what a node that is no member finds of members in its store,
// "" if nothing.
func partedFrom(s *store.Store) (string, error) {
	const parted = "its store is that of a member of %s, of which it has no certificate (node.crt, cluster.crt): put them back, or join again with an invite"
	der, err := s.Local(clusterKey)
	if err != nil {
		return "", err
	}
	if c, err := transport.ParseCluster(der); err == nil {
		return fmt.Sprintf(parted, "cluster "+c.ID().Short()), nil
	}
	found := ""
	for _, err := range s.LocalScan(certificatePrefix) {
		if err != nil {
			return "", err
		}
		found = fmt.Sprintf(parted, "a cluster")
	}
	return found, nil
}

// noCluster is ErrNoCluster with what to do.
func (d *DB) noCluster() error {
	if d.parted != "" {
		return fmt.Errorf("%s: %w: %s ('anabranch join'; 'anabranch init' where the authority.key is)", d.dir, ErrNoCluster, d.parted)
	}
	return fmt.Errorf("%s: %w: make one (Init, 'anabranch init'), or accept an invite (Join, 'anabranch join')", d.dir, ErrNoCluster)
}
