package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestALinkNamesBothEnds(t *testing.T) {
	w := newWorld(t)
	ida, idb := w.identity(), w.identity()
	a, b := w.open(ida, transport.Options{}), w.open(idb, transport.Options{})
	from, to := link(t, a, b)
	if from.Peer().Node != idb.Node() || to.Peer().Node != ida.Node() {
		t.Errorf("the ends see %s and %s", from.Peer().Node.Short(), to.Peer().Node.Short())
	}
	if !from.Dialed() || to.Dialed() {
		t.Error("the ends do not agree on who dialed")
	}
	if got := to.Peer(); !got.Grants.CanWrite("x") || got.Cluster != w.authority.Cluster().ID() || len(got.Certificate()) == 0 {
		t.Errorf("the peer's credential is %+v", got)
	}
	if from.RemoteAddr() != b.Addr() {
		t.Errorf("the remote address is %s, want %s", from.RemoteAddr(), b.Addr())
	}
}

// Whoever is not a member gets no link, whatever it shows.
func TestStrangersGetNoLink(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	n := w.node(transport.Options{})
	key := newKey(t)
	foreign := other.enroll(key)
	mine := w.enroll(key)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecdsaCert, err := x509.CreateCertificate(rand.Reader,
		&x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, p256.Public(), p256)
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]*tls.Config{
		"no certificate":          strangerTLS("anabranch/1"),
		"self-signed":             strangerTLS("anabranch/1", selfSigned(t, key, &x509.Certificate{})),
		"self-signed authority":   strangerTLS("anabranch/1", selfSigned(t, key, &x509.Certificate{IsCA: true, BasicConstraintsValid: true})),
		"other cluster":           strangerTLS("anabranch/1", member(foreign, key)),
		"a member's, not its key": strangerTLS("anabranch/1", member(mine, newKey(t))),
		"chain of two":            strangerTLS("anabranch/1", chain(mine, foreign, key)),
		"other algorithm":         strangerTLS("anabranch/1", tls.Certificate{Certificate: [][]byte{ecdsaCert}, PrivateKey: p256}),
		"wrong protocol":          strangerTLS("h3", member(mine, key)),
		"joining not served":      strangerTLS("anabranch-join/1", member(mine, key)),
	}
	for name, conf := range cases {
		t.Run(name, func(t *testing.T) {
			if _, _, err := w.stranger().dial(n.Addr(), conf, preface("me")); err == nil {
				t.Error("the network answered")
			}
			neverAccepts(t, n)
		})
	}
	t.Run("the same as a member", func(t *testing.T) { // so that the cases fail for their own reasons
		if _, _, err := w.stranger().dial(n.Addr(), strangerTLS("anabranch/1", member(mine, key)), preface("me")); err != nil {
			t.Fatal(err)
		}
		accept(t, n)
	})
}

func chain(a, b *transport.Identity, key any) tls.Certificate {
	ca, cb := a.Credential(), b.Credential()
	return tls.Certificate{Certificate: [][]byte{ca.Certificate(), cb.Certificate()}, PrivateKey: key}
}

func TestADialerRefusesAnotherCluster(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	a, b := w.node(transport.Options{}), other.node(transport.Options{})
	_, err := a.Dial(soon(t), b.Addr())
	wantError(t, err, transport.ErrUntrusted, transport.ErrCluster)
	neverAccepts(t, b)
}

// The dialer's view: its own certificate is what is wrong.
func TestADialerLearnsThatItIsRefused(t *testing.T) {
	w := newWorld(t)
	b := w.node(transport.Options{})
	revoked := w.identity()
	a := w.open(revoked, transport.Options{})
	w.revoke(revoked.Node())
	_, err := a.Dial(soon(t), b.Addr())
	wantError(t, err, transport.ErrRefused)
	wantText(t, err, "refused by the peer: this node was revoked")
	neverAccepts(t, b)
}

func wantText(t *testing.T, err error, text string) {
	t.Helper()
	if !strings.HasSuffix(err.Error(), text) {
		t.Errorf("%v, want %q at its end", err, text)
	}
}

func TestADialerRefusesARevokedNode(t *testing.T) {
	w := newWorld(t)
	id := w.identity()
	a, b := w.node(transport.Options{}), w.open(id, transport.Options{})
	w.revoke(id.Node())
	_, err := a.Dial(soon(t), b.Addr())
	wantError(t, err, transport.ErrUntrusted, transport.ErrRevoked)
}

func TestARevokedNodeLosesItsLinkAndGetsNoOther(t *testing.T) {
	w := newWorld(t)
	id := w.identity()
	a, b := w.open(id, transport.Options{}), w.node(transport.Options{})
	from, to := link(t, a, b)
	exchange(t, from, to)
	w.revoke(id.Node())
	b.CloseRevoked()
	wantEnd(t, from, transport.CodeRevoked, true)
	wantEnd(t, to, transport.CodeRevoked, false)
	_, err := a.Dial(soon(t), b.Addr())
	wantError(t, err, transport.ErrRefused)
	neverAccepts(t, b)
}

// A revocation may be learned at any moment of a handshake, and no moment lets
// the node slip through.
func TestARevocationDuringAHandshakeCounts(t *testing.T) {
	for moment := range 3 {
		bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
			id := w.identity()
			var b *transport.QUIC
			asked := 0
			b = w.node(transport.Options{Revoked: func(node crdt.NodeID) bool {
				revoked := w.revoked.Revoked(node)
				if asked++; asked == moment+1 {
					w.revoke(node)
					defer b.CloseRevoked()
				}
				return revoked
			}})
			if l, err := w.open(id, transport.Options{Revoked: nobody}).Dial(soon(t), b.Addr()); err == nil {
				_, err = l.Receive(soon(t))
				wantError(t, err, transport.CodeRevoked)
			}
			synctest.Wait()
			if b.Held() > 0 {
				t.Errorf("revoked at question %d, the node has a link", moment+1)
			}
		})
	}
}

func nobody(crdt.NodeID) bool { return false }

// A client that keeps everything it is given has nothing to resume with
// (CVE-2025-68121: resumption after a change of trust).
func TestThereIsNothingToResume(t *testing.T) {
	w := newWorld(t)
	n := w.node(transport.Options{})
	key := newKey(t)
	conf := strangerTLS("anabranch/1", member(w.enroll(key), key))
	conf.ServerName = "n"
	cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(8)}
	conf.ClientSessionCache = cache
	for range 2 {
		conn, _, err := w.stranger().dial(n.Addr(), conf, preface("me"))
		if err != nil {
			t.Fatal(err)
		}
		exchange := accept(t, n)
		send(t, exchange, "a frame, behind any ticket")
		if conn.ConnectionState().TLS.DidResume {
			t.Error("the session was resumed")
		}
	}
	if cache.puts > 0 {
		t.Errorf("the server handed out %d tickets", cache.puts)
	}
}

type countingCache struct {
	tls.ClientSessionCache
	puts int
}

func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	if s != nil {
		c.puts++
	}
	c.ClientSessionCache.Put(key, s)
}

// Certificates begin in 1970 and never end unless someone wants them to, so
// that a wrong clock locks nobody out; where they do end, the policy decides.
func TestClocksAreJudgedByPolicy(t *testing.T) {
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name     string
		clock    time.Time
		notAfter time.Time
		ignore   bool
		want     error
	}{
		{name: "1970", clock: time.Unix(10, 0)},
		{name: "ten years ahead", clock: now.AddDate(10, 0, 0)},
		{name: "1970, membership that ends", clock: time.Unix(10, 0), notAfter: now.AddDate(1, 0, 0)},
		{name: "now, membership that ends", clock: now, notAfter: now.AddDate(1, 0, 0)},
		{name: "ended", clock: now, notAfter: now.AddDate(0, 0, -1), want: transport.ErrExpired},
		{name: "ten years ahead, membership that ends", clock: now.AddDate(10, 0, 0), notAfter: now.AddDate(1, 0, 0), want: transport.ErrExpired},
		{name: "ten years ahead, lenient", clock: now.AddDate(10, 0, 0), notAfter: now.AddDate(1, 0, 0), ignore: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			key := newKey(t)
			der, err := w.authority.Issue(transport.NodeOf(key), transport.AllNamespaces(), tc.notAfter)
			if err != nil {
				t.Fatal(err)
			}
			id, err := transport.NewIdentity(key, der, w.authority.Cluster().Certificate())
			if err != nil {
				t.Fatal(err)
			}
			lenient := transport.Options{IgnoreExpiry: true}
			a := w.node(transport.Options{Now: func() time.Time { return tc.clock }, IgnoreExpiry: tc.ignore})
			b := w.open(id, lenient)
			_, err = a.Dial(soon(t), b.Addr())
			if tc.want == nil && err != nil {
				t.Errorf("as a dialer: %v", err)
			} else if tc.want != nil {
				wantError(t, err, transport.ErrUntrusted, tc.want)
			}
			_, err = b.Dial(soon(t), a.Addr())
			if tc.want == nil && err != nil {
				t.Errorf("as an acceptor: %v", err)
			} else if tc.want != nil {
				wantError(t, err, transport.ErrRefused)
				wantText(t, err, "this node's certificate is not valid now, by the peer's clock")
			}
		})
	}
}

func TestANodeThatDialsItselfFindsOut(t *testing.T) {
	w := newWorld(t)
	n := w.node(transport.Options{})
	_, err := n.Dial(soon(t), n.Addr())
	wantError(t, err, transport.ErrSelf)
	neverAccepts(t, n)
}

// Two copies of one device image have one key, and are two nodes' worth of
// branches that must meet.
func TestCopiesOfADeviceMayLink(t *testing.T) {
	w := newWorld(t)
	id := w.identity()
	from, to := link(t, w.open(id, transport.Options{}), w.open(id, transport.Options{}))
	exchange(t, from, to)
}
