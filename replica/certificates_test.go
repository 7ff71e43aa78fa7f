package replica

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// A fleet whose certificates have all ended: nobody links, and each says why.
// The way out is to have the nodes ignore it, or new certificates for the same
// keys, which the authority issues; either way all state is there as before.
func TestAFleetWhoseCertificatesHaveAllEnded(t *testing.T) {
	authority, err := transport.NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	disks := [2]vfs.FS{vfs.NewMem(), vfs.NewMem()}
	var issue [2]func(notAfter time.Time) *transport.Identity
	for i := range issue {
		key, err := transport.NewKey()
		if err != nil {
			t.Fatal(err)
		}
		issue[i] = func(notAfter time.Time) *transport.Identity {
			der, err := authority.Issue(transport.NodeOf(key), transport.AllNamespaces(), notAfter)
			if err != nil {
				t.Fatal(err)
			}
			id, err := transport.NewIdentity(key, der, authority.Cluster().Certificate())
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
	}
	open := func(i int, notAfter time.Time, ignore bool, peers ...string) *DB {
		db, err := Open("db", Options{
			FS: disks[i], Identity: issue[i](notAfter), Listen: "127.0.0.1:0", Peers: peers, IgnoreExpiry: ignore,
		})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	reg := crdt.NewRegister[string]("k")
	yesterday := time.Now().AddDate(0, 0, -1)
	for _, c := range []struct {
		name     string
		notAfter time.Time
		ignore   bool
		links    bool
	}{
		{"before they end", time.Now().AddDate(0, 0, 1), false, true},
		{"ended", yesterday, false, false},
		{"ended, and ignored", yesterday, true, true},
		{"issued again", time.Now().AddDate(1, 0, 0), false, true},
	} {
		a := open(0, c.notAfter, c.ignore)
		s, err := a.Status()
		if err != nil {
			t.Fatal(err)
		}
		b := open(1, c.notAfter, c.ignore, s.Listen)
		err = namespaceOf(t, a, "edge").Update(t.Context(), func(tx *Tx) error { return reg.Set(tx, c.name) })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if c.links {
			awaitValue(ctx, t, namespaceOf(t, b, "edge"), reg, c.name)
		} else {
			awaitFailure(ctx, t, b, transport.ErrExpired)
		}
		cancel()
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitValue waits until a register has a value.
func awaitValue(ctx context.Context, t *testing.T, ns *Namespace, reg crdt.Register[string], want string) {
	t.Helper()
	for ev, err := range ns.Watch(ctx, WatchOptions{}) {
		if err != nil {
			t.Fatalf("%q did not come: %v", want, err)
		}
		if ev.Kind != Change {
			continue
		}
		if got, err := reg.Get(ev.At); err == nil && got == want {
			return
		}
	}
}

// awaitFailure waits until a link was refused for a reason.
func awaitFailure(ctx context.Context, t *testing.T, db *DB, want error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		peers, err := db.Peers()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range peers {
			if errors.Is(p.Failure, want) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("nothing failed by %v: %+v", want, peers)
		}
	}
}
