package replica

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/transport"
)

// countsAsAlone reports whether the collector takes the node for one that never
// had a peer.
func countsAsAlone(t *testing.T, db *DB) bool {
	t.Helper()
	s := namespaceOf(t, db, "edge").store
	_, alone, err := db.removable(t.Context(), s, s.Past(nil))
	if err != nil {
		t.Fatal(err)
	}
	return alone
}

// Whom a node knew in a cluster that it was in before may hold what it has.
func TestANodeThatWasInAnotherClusterIsNotAlone(t *testing.T) {
	fs := vfs.NewMem()
	key, err := transport.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	in := func(a *transport.Authority) *DB {
		t.Helper()
		identity, err := a.Enroll(key, transport.AllNamespaces())
		if err != nil {
			t.Fatal(err)
		}
		db, err := Open("db", Options{FS: fs, Identity: identity})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	var authorities [2]*transport.Authority
	for i := range authorities {
		if authorities[i], err = transport.NewAuthority(nil); err != nil {
			t.Fatal(err)
		}
	}
	db := in(authorities[0])
	if !countsAsAlone(t, db) {
		t.Error("a node that knows nobody is not alone")
	}
	other, err := authorities[0].Enroll(nil, transport.AllNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.roster.add(other.Credential().Certificate()), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = in(authorities[1])
	if countsAsAlone(t, db) {
		t.Error("it counts as alone")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// So may those whom a node knew that lost its membership.
func TestANodeThatLostItsMembershipIsNotAlone(t *testing.T) {
	dir := t.TempDir()
	member, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	db := openAt(t, dir)
	other, err := db.authority.Enroll(nil, transport.AllNamespaces())
	if err != nil {
		t.Fatal(err)
	}
	// Its certificates are nowhere, as of a directory of an early release.
	err = errors.Join(db.roster.add(other.Credential().Certificate()),
		db.store.SetLocal(clusterKey, nil), db.store.SetLocal(certificatePrefix+member.Node.String(), nil), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	removeFile(t, dir, "node.crt")
	removeFile(t, dir, "cluster.crt")
	removeFile(t, dir, "authority.key")
	db = openAt(t, dir)
	if db.roster != nil || db.Node() != member.Node {
		t.Fatal("it is a member still, or another node")
	}
	if countsAsAlone(t, db) {
		t.Error("it counts as alone")
	}
}
