package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/transport"
)

func TestAnIdentitySurvivesItsFiles(t *testing.T) {
	w, dir := newWorld(t), filepath.Join(t.TempDir(), "deep", "down")
	id := w.identity()
	for range 2 { // saving again changes nothing
		if err := id.Save(dir); err != nil {
			t.Fatal(err)
		}
		if err := w.authority.Save(dir); err != nil {
			t.Fatal(err)
		}
	}
	got, err := transport.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, b := id.Credential(), got.Credential()
	if got.Node() != id.Node() || !bytes.Equal(a.Certificate(), b.Certificate()) {
		t.Errorf("saved %+v and loaded %+v", a, b)
	}
	authority, err := transport.LoadAuthority(dir)
	if err != nil || authority.Cluster().ID() != w.authority.Cluster().ID() {
		t.Errorf("loaded %v, %v", authority, err)
	}
	for name, mode := range map[string]fs.FileMode{"node.key": 0o600, "authority.key": 0o600, "node.crt": 0o644, "cluster.crt": 0o644} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*.new-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	if _, err := transport.LoadKey(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "node.key") {
		t.Errorf("got %v", err)
	}
	first, err := transport.LoadOrMakeKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := transport.LoadOrMakeKey(dir)
	if err != nil || !first.Equal(again) {
		t.Errorf("another key was made: %v", err)
	}
	if _, err := transport.LoadIdentity(dir); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "cluster.crt") {
		t.Errorf("a key alone is no member: %v", err)
	}
}

// Nothing that identifies a node or a cluster is written over.
func TestFilesOfAnotherIdentityAreKept(t *testing.T) {
	w, other, dir := newWorld(t), newWorld(t), t.TempDir()
	key := newKey(t)
	if err := w.enroll(key).Save(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.authority.Save(dir); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	for name, err := range map[string]error{
		"node.key":      w.identity().Save(dir),
		"cluster.crt":   other.enroll(key).Save(dir),
		"authority.key": other.authority.Save(dir),
	} {
		if !errors.Is(err, transport.ErrFile) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if contents(t, dir) != before {
		t.Error("a file was replaced")
	}
}

// Whatever bit of a key's file flips, no other key is read: not even where there
// is no certificate to compare it with. A key of the first release is read.
func TestADamagedKeyIsNoOtherKey(t *testing.T) {
	dir := t.TempDir()
	key, err := transport.LoadOrMakeKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "node.key")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(what string, text []byte) bool {
		if err := os.WriteFile(path, text, 0); err != nil {
			t.Fatal(err)
		}
		got, err := transport.LoadKey(dir)
		if err == nil && !got.Equal(key) {
			t.Errorf("%s: another key is read", what)
		}
		if err != nil && (!errors.Is(err, transport.ErrFile) || !strings.Contains(err.Error(), "node.key")) {
			t.Errorf("%s: %v", what, err)
		}
		return err == nil
	}
	refused := 0
	for at := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[at] ^= 1 << bit
			if !read(fmt.Sprintf("bit %d of byte %d", bit, at), b) {
				refused++
			}
		}
		read(fmt.Sprintf("%d bytes", at), whole[:at])
	}
	if refused < 4*len(whole) {
		t.Errorf("of %d bytes with 8 flips each %d were refused", len(whole), refused)
	}
	if !read("without what it says", whole[bytes.IndexByte(whole, '\n')+1:]) {
		t.Error("a key of the first release is refused")
	}
	t.Attr("fault.flipped", fmt.Sprint(8*len(whole)))
	t.Attr("fault.torn", fmt.Sprint(len(whole)))
}

func contents(t *testing.T, dir string) (all string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all += e.Name() + string(b)
	}
	return all
}

// A membership that was renewed replaces its certificate.
func TestACertificateCanBeRenewed(t *testing.T) {
	w, dir, key := newWorld(t), t.TempDir(), newKey(t)
	if err := w.enroll(key).Save(dir); err != nil {
		t.Fatal(err)
	}
	renewed, err := w.authority.Enroll(key, transport.Grants{Read: []string{"less"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := renewed.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := transport.LoadIdentity(dir)
	if err != nil {
		t.Fatal(err)
	}
	if cred := got.Credential(); cred.Grants.CanWrite("x") || !cred.Grants.CanRead("less") {
		t.Errorf("loaded %+v", cred.Grants)
	}
}

// Each file says what is wrong with it.
func TestBadFilesAreNamed(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	good := t.TempDir()
	key := newKey(t)
	if err := w.enroll(key).Save(good); err != nil {
		t.Fatal(err)
	}
	if err := w.authority.Save(good); err != nil {
		t.Fatal(err)
	}
	strange := t.TempDir()
	if err := other.identity().Save(strange); err != nil {
		t.Fatal(err)
	}
	read := func(dir, name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, tc := range map[string]struct {
		file string
		text []byte
		mode fs.FileMode
		want string
	}{
		"no PEM":                {"node.key", []byte("hello"), 0o600, "PEM"},
		"empty":                 {"node.crt", nil, 0o644, "PEM"},
		"cut":                   {"cluster.crt", read(good, "cluster.crt")[:100], 0o644, "PEM"},
		"of another kind":       {"node.key", read(good, "node.crt"), 0o600, "PRIVATE KEY"},
		"two blocks":            {"node.crt", append(read(good, "node.crt"), read(good, "node.crt")...), 0o644, "PEM"},
		"readable by others":    {"node.key", read(good, "node.key"), 0o640, "mode 0640"},
		"authority open to all": {"authority.key", read(good, "authority.key"), 0o604, "mode 0604"},
		"another node's key":    {"node.key", read(strange, "node.key"), 0o600, "the key"},
		"another cluster's":     {"cluster.crt", read(strange, "cluster.crt"), 0o644, "another cluster"},
		"a certificate as key":  {"node.key", []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600, "asn1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(good)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, tc.file)
			if err := errors.Join(
				os.Chmod(filepath.Join(dir, "node.key"), 0o600), os.Chmod(filepath.Join(dir, "authority.key"), 0o600),
				os.WriteFile(path, tc.text, tc.mode), os.Chmod(path, tc.mode),
			); err != nil {
				t.Fatal(err)
			}
			_, err := transport.LoadIdentity(dir)
			if tc.file == "authority.key" {
				_, err = transport.LoadAuthority(dir)
			}
			if !errors.Is(err, transport.ErrFile) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A directory that cannot be written is an error and not half an identity.
func TestADirectoryThatCannotBeMadeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := newWorld(t).identity().Save(filepath.Join(file, "dir")); err == nil {
		t.Error("saved below a file")
	}
}
