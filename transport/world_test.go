package transport

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// patience bounds every wait of a test that could fail by hanging.
const patience = 20 * time.Second

// world is a cluster to test in.
type world struct {
	t         testing.TB
	authority *Authority
	revoked   Revocations
}

func newWorld(t testing.TB) *world {
	t.Helper()
	a, err := NewAuthority(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, authority: a}
}

func (w *world) identity() *Identity {
	w.t.Helper()
	id, err := w.authority.Enroll(nil, AllNamespaces())
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// node opens a network on loopback for a new member, and closes it at the
// end of the test.
func (w *world) node(o Options) *QUIC {
	w.t.Helper()
	return w.open(w.identity(), o)
}

func (w *world) open(id *Identity, o Options) *QUIC {
	w.t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	if o.Revoked == nil {
		o.Revoked = w.revoked.Revoked
	}
	q, err := Listen(id, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := q.Close(); err != nil {
			w.t.Error(err)
		}
	})
	return q
}

// revoke ends a node's membership, as every node of the world sees it.
func (w *world) revoke(node crdt.NodeID) {
	w.revoked.Add(w.authority.Revoke(node, time.Unix(1000, 0)))
}

func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// link dials from one network to another and returns both ends.
func link(t testing.TB, from, to Network) (dialed, accepted Link) {
	t.Helper()
	dialed, err := from.Dial(soon(t), to.Addr())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = to.Accept(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return dialed, accepted
}

func send(t testing.TB, l Link, frame string) {
	t.Helper()
	if err := l.Send(soon(t), []byte(frame)); err != nil {
		t.Fatal(err)
	}
}

func receive(t testing.TB, l Link) string {
	t.Helper()
	frame, err := l.Receive(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(frame)
}

// wantEnd waits for the end of a link and checks how it ended.
func wantEnd(t testing.TB, l Link, code Code, remote bool) *CloseError {
	t.Helper()
	for {
		_, err := l.Receive(soon(t))
		if err == nil {
			continue
		}
		var end *CloseError
		if !errors.As(err, &end) || end.Code != code || end.Remote != remote {
			t.Fatalf("the link ended with %v, want code %v, remote %v", err, code, remote)
		}
		return end
	}
}
