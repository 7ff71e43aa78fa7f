package replica

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/anabranch-db/anabranch/transport"
)

// A device is backed up, goes on, breaks, and is replaced: by its backup under
// its own key, and by one under a new key. Neither opens an invite again.
func TestABackupHasNoKeyAndNoInvite(t *testing.T) {
	dir := t.TempDir()
	if _, err := Init(dir); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, dir)
	ns := namespaceOf(t, db, "edge")
	put(t, ns, "a", "x")
	if _, _, err := db.Invite(InviteOptions{Addresses: []string{"192.0.2.1:1"}}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	wantNoKeys(t, dir, b.Bytes())
	if id := db.Node(); !bytes.Contains(b.Bytes(), id[:]) {
		t.Error("not even the node's id is found in the backup: what is it that was searched?")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Backup(t.Context(), &b); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}

	fresh := t.TempDir()
	if err := Restore(t.Context(), fresh, bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	other := openAt(t, fresh)
	if other.Node() == db.Node() {
		t.Error("a restore brought the key along")
	}
	wantRead(t, namespaceOf(t, other, "edge"), "a", "x")

	again := t.TempDir()
	for _, f := range []string{"node.key", "node.crt", "cluster.crt", "authority.key"} {
		copyFile(t, dir, again, f)
	}
	if err := Restore(t.Context(), again, bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	same := openAt(t, again)
	if same.Node() != db.Node() {
		t.Error("it is another node, in spite of its key")
	}
	if open, err := same.store.Local("transport/invites"); err != nil || open != nil {
		t.Errorf("an invite was restored (%v)", err)
	}
	put(t, namespaceOf(t, same, "edge"), "b", "y")
	edge := namespaceOf(t, same, "edge").store
	if v := edge.Visible().Normal(); len(v) != 1 {
		t.Errorf("the node has %d branches", len(v))
	}
}

// A repair is the first to open this one, which nothing is wrong with.
func TestACheckpointThatIsRepairedHasNoInvite(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "noon")
	if _, err := Init(dir); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, dir)
	if _, _, err := db.Invite(InviteOptions{Addresses: []string{"192.0.2.1:1"}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(to); err != nil {
		t.Fatal(err)
	}
	if r, err := Repair(t.Context(), to, RepairOptions{Alone: true}); err != nil || r.Aside != "" {
		t.Fatalf("%+v, error %v", r, err)
	}
	if open, err := openAt(t, to).store.Local(transport.InvitesKey); err != nil || open != nil {
		t.Errorf("the checkpoint has an invite (%v)", err)
	}
}

// A checkpoint is what a backup is: without a key and an invite, and the device
// again with its key.
func TestACheckpointHasNoKeyAndNoInvite(t *testing.T) {
	dir, to := t.TempDir(), filepath.Join(t.TempDir(), "noon")
	if _, err := Init(dir); err != nil {
		t.Fatal(err)
	}
	db := openAt(t, dir)
	put(t, namespaceOf(t, db, "edge"), "a", "x")
	if _, _, err := db.Invite(InviteOptions{Addresses: []string{"192.0.2.1:1"}}); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(to); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(to); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	put(t, namespaceOf(t, db, "edge"), "a", "later")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Checkpoint(to); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	for _, f := range []string{"node.key", "node.crt", "cluster.crt", "authority.key"} {
		if _, err := os.Stat(filepath.Join(to, f)); err == nil {
			t.Errorf("the checkpoint has %s", f)
		}
		copyFile(t, dir, to, f)
	}
	same := openAt(t, to)
	if same.Node() != db.Node() {
		t.Error("it is another node, in spite of its key")
	}
	if open, err := same.store.Local("transport/invites"); err != nil || open != nil {
		t.Errorf("the checkpoint has an invite (%v)", err)
	}
	wantRead(t, namespaceOf(t, same, "edge"), "a", "x")
}

func TestABackupEndsWithItsContext(t *testing.T) {
	db := openAt(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(from, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(to, name), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func openAt(t *testing.T, dir string) *DB {
	t.Helper()
	db, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// wantNoKeys fails the test if a backup has the bytes of a private key of dir.
func wantNoKeys(t *testing.T, dir string, backup []byte) {
	t.Helper()
	for _, name := range []string{"node.key", "authority.key"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		seed := block.Bytes[len(block.Bytes)-ed25519.SeedSize:] // PKCS #8 ends in it
		if bytes.Contains(backup, text) || bytes.Contains(backup, seed) {
			t.Errorf("%s is in the backup", name)
		}
	}
}
