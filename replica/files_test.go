package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/transport"
)

// populated returns the directory of a member that keeps the authority: it was
// opened twice, listened, was written to, made an invite, and has what a daemon
// leaves beside. Of what passes the test makes one each.
func populated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := Init(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		db, err := Open(dir, Options{Listen: "127.0.0.1:0", MemTableBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		put(t, namespaceOf(t, db, "edge"), "a", "x")
		_, _, err = db.Invite(InviteOptions{})
		if err := errors.Join(err, db.AddPeer("192.0.2.1:1"), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// filesBelow returns the files in a directory, by their paths in it, but for what
// was put aside.
func filesBelow(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, name)
		if err := errors.Join(err, relErr); err != nil {
			return err
		}
		if e.IsDir() && !strings.HasPrefix(rel, "damaged-") {
			return nil
		}
		all = append(all, filepath.ToSlash(rel))
		if e.IsDir() {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Each file that a directory has, before and after it was repaired, is of a kind
// that damage is done to; and each kind that stays is in this directory.
func TestFileKindsAreAllThereAre(t *testing.T) {
	dir := populated(t)
	seen := map[string]int{}
	look := func() {
		for _, name := range filesBelow(t, dir) {
			kind := fileKindOf(name)
			if kind == nil {
				t.Errorf("%s is a file of no known kind: say in fileKinds what it is, and what damage to it does", name)
				continue
			}
			seen[kind.name]++
		}
	}
	look()
	for _, kind := range fileKinds {
		if !kind.passing && seen[kind.name] == 0 {
			t.Errorf("there is no %s", kind.name)
		}
	}
	if err := os.Remove(filepath.Join(dir, "WITNESS")); err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(t.Context(), dir, RepairOptions{}); err != nil {
		t.Fatal(err)
	}
	look()
	if seen["a store put aside"] == 0 {
		t.Error("a repair put nothing aside")
	}
}

// A file of the identity that is damaged is refused by name, and nothing is
// touched; with the file put back all is as before. A flip that changes nothing
// which counts, as of a space, is harmless: the node is who it was.
func TestADamagedIdentityIsRefused(t *testing.T) {
	dir := populated(t)
	before := openAt(t, dir)
	node := before.Node()
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	flipped, torn := 0, 0
	for _, kind := range fileKinds {
		if !kind.identity {
			continue
		}
		name := filepath.Join(dir, kind.name)
		whole, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		harmless := 0
		for _, h := range harms(whole) {
			if h.text == nil {
				continue // see TestAKeylessDirectory and what Init says
			}
			if h.torn {
				torn++
			} else {
				flipped++
			}
			if err := os.WriteFile(name, h.text, 0); err != nil {
				t.Fatal(err)
			}
			db, err := Open(dir, Options{})
			switch {
			case err == nil && (db.Node() != node || db.identity == nil || db.authority == nil):
				t.Errorf("%s %s: in silence, it is another node", kind.name, h.what)
			case err == nil:
				harmless++
			case !errors.Is(err, transport.ErrFile) || !strings.Contains(err.Error(), kind.name) && !strings.Contains(err.Error(), dir):
				t.Errorf("%s %s: %v", kind.name, h.what, err)
			}
			if err == nil {
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := os.WriteFile(name, whole, 0); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d harmless", kind.name, harmless)
	}
	after := openAt(t, dir)
	wantRead(t, namespaceOf(t, after, "edge"), "a", "x")
	t.Attr("fault.flipped", fmt.Sprint(flipped))
	t.Attr("fault.torn", fmt.Sprint(torn))
}

// A power cut in the middle of Init leaves some of the files of an identity, in
// the order in which they are made durable, and a part of the next beside it.
// Init then goes on with what there is: with the node and the authority, which
// may have been told to others.
func TestInitGoesOnAfterAPowerCut(t *testing.T) {
	whole := populated(t)
	order := []string{"node.key", "authority.key", "cluster.crt", "node.crt"}
	cuts := 0
	for n := range order {
		text, err := os.ReadFile(filepath.Join(whole, order[n]))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []int{0, 1, len(text) / 2, len(text)} {
			dir := t.TempDir()
			for _, name := range order[:n] {
				copyFile(t, whole, dir, name)
			}
			if err := os.WriteFile(filepath.Join(dir, order[n]+".new-123"), text[:part], 0o600); err != nil {
				t.Fatal(err)
			}
			was, err := Init(dir)
			if err != nil {
				t.Fatalf("with %v: %v", order[:n], err)
			}
			db := openAt(t, dir)
			cluster, err := db.Cluster()
			if err != nil || cluster != was.Cluster || db.Node() != was.Node {
				t.Errorf("with %v: %v of %v (%v)", order[:n], db.Node(), cluster, err)
			}
			sameNode, sameCluster := keptBy(t, whole, was)
			if n > 0 && !sameNode || n > 1 && !sameCluster {
				t.Errorf("with %v it became another node (%v) or cluster (%v)", order[:n], !sameNode, !sameCluster)
			}
			cuts++
		}
	}
	t.Attr("crash-points", fmt.Sprint(cuts))
	t.Attr("fault.power-cut", fmt.Sprint(cuts))
}

// keptBy compares a member with who a directory is.
func keptBy(t *testing.T, dir string, m Member) (node, cluster bool) {
	t.Helper()
	id, err := transport.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	return id.Node() == m.Node, id.Cluster().ID() == m.Cluster
}
