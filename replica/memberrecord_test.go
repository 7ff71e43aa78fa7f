package replica

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// A hub is backed up. What the backup and the keys, which are kept apart, make
// of an empty directory.
func TestABackupAndTheKeysAreTheMemberAgain(t *testing.T) {
	dir := t.TempDir()
	hub, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	db := openAt(t, dir)
	gone := crdt.NodeID{1}
	if err := errors.Join(db.Revoke(gone), db.Backup(t.Context(), &b), db.Close()); err != nil {
		t.Fatal(err)
	}
	restored := func(keys ...string) *DB {
		t.Helper()
		to := t.TempDir()
		for _, f := range keys {
			copyFile(t, dir, to, f)
		}
		if err := Restore(t.Context(), to, bytes.NewReader(b.Bytes())); err != nil {
			t.Fatal(err)
		}
		found, err := Diagnose(t.Context(), to)
		if err != nil || slices.ContainsFunc(found, func(f Finding) bool { return f.Problem }) == (len(keys) > 0) {
			t.Errorf("with %q: %v %v", keys, found, err)
		}
		return openAt(t, to)
	}

	same := restored("node.key", "authority.key")
	if c, err := same.Cluster(); err != nil || c != hub.Cluster || same.Node() != hub.Node {
		t.Fatalf("it is node %s of %s (%v)", same.Node().Short(), c.Short(), err)
	}
	if !same.roster.revoked(gone) {
		t.Error("a revocation is forgotten")
	}
	if _, _, err := same.Invite(InviteOptions{Addresses: []string{"192.0.2.1:1"}}); err != nil {
		t.Error(err)
	}
	if err := errors.Join(same.Revoke(crdt.NodeID{2}), same.Close()); err != nil {
		t.Fatal(err)
	}
	if id, err := transport.LoadIdentity(same.dir); err != nil || id.Node() != hub.Node {
		t.Errorf("its files: %v", err)
	}

	device := restored("node.key")
	if c, err := device.Cluster(); err != nil || c != hub.Cluster {
		t.Errorf("it is of %s (%v)", c.Short(), err)
	}
	if _, _, err := device.Invite(InviteOptions{}); !errors.Is(err, ErrNoAuthority) {
		t.Error(err)
	}

	stranger := restored()
	if _, err := stranger.Cluster(); !errors.Is(err, ErrNoCluster) || !strings.Contains(err.Error(), hub.Cluster.Short()) {
		t.Error(err)
	}
	if s, err := stranger.Status(); err != nil || !strings.Contains(s.Parted, "node.crt") {
		t.Errorf("%q %v", s.Parted, err)
	}
}

// The authority's key names the cluster: a node beside it becomes a member.
func TestInitTakesTheAuthorityThatIsThere(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	first, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, dir, to, "authority.key")
	second, err := Init(to)
	if err != nil {
		t.Fatal(err)
	}
	if second.Cluster != first.Cluster || second.Node == first.Node {
		t.Errorf("node %s of %s, want another node of %s", second.Node.Short(), second.Cluster.Short(), first.Cluster.Short())
	}
	a, errA := os.ReadFile(filepath.Join(dir, "cluster.crt"))
	b, errB := os.ReadFile(filepath.Join(to, "cluster.crt"))
	if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
		t.Errorf("the cluster's certificate is another (%v)", err)
	}
}

// What was lost of the files of a member.
func TestAMemberWithoutItsFiles(t *testing.T) {
	dir := t.TempDir()
	member, err := Init(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := openAt(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	for _, lost := range [][]string{{"node.crt"}, {"cluster.crt"}, {"node.crt", "cluster.crt"}} {
		for _, name := range lost {
			removeFile(t, dir, name)
		}
		db := openAt(t, dir)
		if c, err := db.Cluster(); err != nil || c != member.Cluster {
			t.Errorf("without %q: %v", lost, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}

	removeFile(t, dir, "node.key")
	for range 2 {
		_, err := Open(dir, Options{})
		if !errors.Is(err, transport.ErrFile) || !strings.Contains(err.Error(), "node.key is missing") {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "node.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key was made (%v)", err)
	}
	if _, err := Diagnose(t.Context(), dir); !errors.Is(err, transport.ErrFile) {
		t.Error(err)
	}
	removeFile(t, dir, "node.crt")
	if db := openAt(t, dir); db.Node() == member.Node {
		t.Error("it is the same node without its key")
	}
}

func removeFile(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}
