package replica

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
)

const releasePeer = "192.0.2.1:7600"

// Nodes that never were, revoked at the node, and at its peer.
var (
	releaseRevoked  = crdt.NodeID([]byte("a node that the release put out."))
	exchangeRevoked = crdt.NodeID([]byte("a node that the peer has put out"))
)

// release is a release of which testdata has a node's directory.
type release struct {
	dir          string // of testdata
	node         string // and its cluster
	collected    bool   // edge has a floor
	edge, things wantedRelease
}

// wantedRelease is what a namespace holds.
type wantedRelease struct {
	reading string // of releaseReading; "": of no account
	digest  string
	vector  map[string]uint64
}

func TestADirectoryOfEachReleaseStillWorks(t *testing.T) {
	for _, r := range releases {
		t.Run(filepath.Base(r.dir), func(t *testing.T) { wantWorks(t, r) })
	}
}

func wantWorks(t *testing.T, r release) {
	dir := filepath.Join(t.TempDir(), "node")
	copyRelease(t, dir, filepath.Join(r.dir, "node"))
	found, err := Diagnose(t.Context(), dir)
	if err != nil || len(found) == 0 || found[0] != storeFinding(nil) {
		t.Errorf("a diagnosis before it is opened finds %+v (%v)", found, err)
	}
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, "LOCK", "BALLAST", "WITNESS")
	wantReleasedNode(t, db, r.node)
	edge, things := namespaceOf(t, db, "edge"), namespaceOf(t, db, "things")
	wantRelease(t, edge, r.edge)
	wantRelease(t, things, r.things)
	if floor := edge.store.Floor(); (len(floor) > 0) != r.collected {
		t.Errorf("the floor is %v", floor)
	}

	put(t, edge, "today", "a")
	before := edge.Vector()
	if len(before) != len(r.edge.vector)+1 {
		t.Errorf("a run of today made the vector %v", before)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = Open(dir, Options{}); err != nil {
		t.Fatal(err)
	}
	edge, things = namespaceOf(t, db, "edge"), namespaceOf(t, db, "things")
	wantRead(t, edge, "today", "a")
	wantReading(t, edge, r.edge.reading)
	if got := edge.Vector(); !got.Equal(before) {
		t.Errorf("vector %v, and %v before it was closed", got, before)
	}
	wantRelease(t, things, r.things)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// wantReleasedNode checks what is of the node, and of no namespace.
func wantReleasedNode(t *testing.T, db *DB, released string) {
	t.Helper()
	names, err := db.Namespaces()
	if err != nil || !slices.Equal(names, []string{"edge", "things"}) {
		t.Errorf("namespaces %q (%v)", names, err)
	}
	cluster, err := db.Cluster()
	if got := fmt.Sprintf("%s of %s", db.Node(), cluster); err != nil || got != released {
		t.Errorf("node %s (%v), want %s", got, err, released)
	}
	peers, err := db.Peers()
	if err != nil || len(peers) != 1 || peers[0].Address != releasePeer {
		t.Errorf("peers %+v (%v)", peers, err)
	}
	if !db.roster.revoked(releaseRevoked) {
		t.Error("a revocation is forgotten")
	}
	if len(db.roster.members) != 2 {
		t.Errorf("it knows the members %v", db.roster.members)
	}
	if _, _, err := db.Invite(InviteOptions{Addresses: []string{releasePeer}}); err != nil {
		t.Error(err)
	}
	if err := db.store.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// wantRelease checks what a namespace holds.
func wantRelease(t *testing.T, ns *Namespace, want wantedRelease) {
	t.Helper()
	if want.reading != "" {
		wantReading(t, ns, want.reading)
	}
	digest, err := ns.Digest(context.Background())
	if got := fmt.Sprintf("%x", digest); err != nil || got != want.digest {
		t.Errorf("namespace %q has digest %s (%v), want %s", ns.Name(), got, err, want.digest)
	}
	vector := map[string]uint64{}
	for w, seq := range ns.Vector() {
		vector[string(w[:])] = seq
	}
	if !maps.Equal(vector, want.vector) {
		t.Errorf("namespace %q has vector\n%v, want\n%v", ns.Name(), vector, want.vector)
	}
}

// wantReading checks what the lenses read.
func wantReading(t *testing.T, ns *Namespace, want string) {
	t.Helper()
	err := ns.View(context.Background(), func(v *View) error {
		got, err := releaseReading(v)
		if got != want {
			t.Errorf("it reads\n%s\nwant\n%s", got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
