package transport_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// desk is a member that admits others.
type desk struct {
	*transport.QUIC
	invites *transport.Invites
	store   *shelf
}

// shelf is a store that lasts longer than the process.
type shelf struct {
	value []byte
	fail  error
}

func (s *shelf) Local(string) ([]byte, error) { return s.value, nil }

func (s *shelf) SetLocal(_ string, value []byte) error {
	if s.fail == nil {
		s.value = bytes.Clone(value)
	}
	return s.fail
}

func (w *world) desk(o transport.Options) *desk {
	w.t.Helper()
	d := &desk{store: &shelf{}}
	d.invites = w.invites(d.store)
	o.Registrar, o.Authority = d.invites, w.authority
	d.QUIC = w.node(o)
	return d
}

func (w *world) invites(s *shelf) *transport.Invites {
	w.t.Helper()
	i, err := transport.NewInvites(w.authority, transport.InvitesOptions{Store: s})
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (d *desk) invite(t testing.TB, o transport.InviteOptions) string {
	t.Helper()
	if o.Addrs == nil {
		o.Addrs = []string{d.Addr()}
	}
	i, err := d.invites.Invite(o)
	if err != nil {
		t.Fatal(err)
	}
	return i.Token()
}

// join joins from an address of its own.
func (w *world) join(token string, key ed25519.PrivateKey) (*transport.Identity, []string, error) {
	w.t.Helper()
	var o transport.JoinOptions
	if w.net != nil {
		conn := w.socket("")
		defer conn.Close()
		o.Conn = conn
	}
	return transport.Join(soon(w.t), token, key, o)
}

func TestAnInviteMakesAMember(t *testing.T) {
	run := func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		token := d.invite(t, transport.InviteOptions{Grants: transport.Grants{Read: []string{"b", "a*"}}})
		key := newKey(t)
		id, peers, err := w.join(token, key)
		if err != nil {
			t.Fatal(err)
		}
		cred := id.Credential()
		if id.Node() != transport.NodeOf(key) || !cred.Grants.CanRead("abc") || cred.Grants.CanWrite("abc") {
			t.Errorf("joined as %+v", cred)
		}
		if !slices.Equal(peers, []string{d.Addr()}) {
			t.Errorf("the peers to begin with are %q", peers)
		}
		from, to := link(t, w.open(id, transport.Options{}), d) // over the same socket
		exchange(t, from, to)
	}
	t.Run("loopback", func(t *testing.T) { run(t, newWorld(t)) })
	t.Run("lossy", func(t *testing.T) {
		bubble(t, simnet.Options{Seed: 3, Loss: 0.1}, func(t *testing.T, w *world) { run(t, w) })
	})
}

// One invite, one node: it may ask again, also after the desk's restart and
// also when the authority's disk failed in between; another node may not.
func TestAnInviteIsForOneNode(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		token := d.invite(t, transport.InviteOptions{})
		key, thief := newKey(t), newKey(t)
		d.store.fail = errors.New("disk on fire")
		if _, _, err := w.join(token, key); err == nil || strings.Contains(err.Error(), "fire") {
			t.Errorf("joined with an invite that could not be marked as used, or told about the disk: %v", err)
		}
		d.store.fail = nil
		first, _, err := w.join(token, key)
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = w.join(token, thief)
		wantError(t, err, transport.ErrInviteUsed)
		again, _, err := w.join(token, key)
		if err != nil {
			t.Fatal(err)
		}
		a, b := first.Credential(), again.Credential()
		if !bytes.Equal(a.Certificate(), b.Certificate()) {
			t.Error("a retry was given another certificate")
		}
		later := w.invites(d.store)
		hash := secretHash(t, d.store)
		m, err := later.Redeem(t.Context(), transport.NodeOf(key), hash)
		if err != nil || !bytes.Equal(m.Certificate, a.Certificate()) {
			t.Errorf("after a restart a retry was answered %v", err)
		}
		_, err = later.Redeem(t.Context(), transport.NodeOf(thief), hash)
		wantError(t, err, transport.ErrInviteUsed)
	})
}

// secretHash reads the hash of the only invite in a store.
func secretHash(t testing.TB, s *shelf) (hash [32]byte) {
	t.Helper()
	r := crdt.NewReader(s.value)
	r.Array(2)
	r.Uint()
	r.Array(6)
	r.Fixed(hash[:])
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	return hash
}

func TestWhatIsNoInviteIsRefused(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		key := newKey(t)

		expired := d.invite(t, transport.InviteOptions{TTL: time.Minute})
		time.Sleep(2 * time.Minute)
		_, _, err := w.join(expired, key)
		wantError(t, err, transport.ErrInviteExpired)

		elsewhere, err := w.invites(&shelf{}).Invite(transport.InviteOptions{Addrs: []string{d.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = w.join(elsewhere.Token(), key)
		wantError(t, err, transport.ErrInviteUnknown)

		w.revoke(transport.NodeOf(key))
		_, _, err = w.join(d.invite(t, transport.InviteOptions{}), key)
		wantError(t, err, transport.ErrRevoked)

		_, _, err = w.join(d.invite(t, transport.InviteOptions{Addrs: []string{"10.9.9.9:9"}}), newKey(t))
		wantError(t, err, transport.ErrUnreachable)

		plain := w.node(transport.Options{})
		_, _, err = w.join(d.invite(t, transport.InviteOptions{Addrs: []string{plain.Addr()}}), newKey(t))
		wantError(t, err, transport.ErrRefused)

		both := d.invite(t, transport.InviteOptions{Addrs: []string{plain.Addr(), d.Addr()}})
		if _, _, err = w.join(both, newKey(t)); err != nil {
			t.Errorf("the second address: %v", err)
		}
	})
}

// The secret is told to nobody but the authority: not to another cluster's,
// and not to a member that sits at the invite's address.
func TestTheSecretIsForTheAuthorityOnly(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		other := newWorld(t)
		other.net = w.net
		other.hosts = 100
		imposter := other.desk(transport.Options{})
		token := w.desk(transport.Options{}).invite(t, transport.InviteOptions{Addrs: []string{imposter.Addr()}})
		_, _, err := w.join(token, newKey(t))
		wantError(t, err, transport.ErrUntrusted, transport.ErrCluster)

		// A member serves joining with its own certificate.
		memberKey := newKey(t)
		conf := strangerTLS("anabranch-join/1", member(w.enroll(memberKey), memberKey))
		conn := w.socket("")
		tr := &quic.Transport{Conn: conn}
		listener, err := tr.Listen(conf, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			tr.Close()
			conn.Close()
		})
		token = w.desk(transport.Options{}).invite(t, transport.InviteOptions{Addrs: []string{conn.LocalAddr().String()}})
		_, _, err = w.join(token, newKey(t))
		wantError(t, err, transport.ErrUntrusted)
		listener.Close()
	})
}

// Guessing gets an address nowhere, and harms no other one.
func TestGuessingIsLimited(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		wrong, err := w.invites(&shelf{}).Invite(transport.InviteOptions{Addrs: []string{d.Addr()}})
		if err != nil {
			t.Fatal(err)
		}
		guesser := w.socket("10.3.0.1:1")
		defer guesser.Close()
		guess := func() error {
			_, _, err := transport.Join(soon(t), wrong.Token(), newKey(t), transport.JoinOptions{Conn: guesser})
			return err
		}
		began, heard := time.Now(), 0
		for range 60 {
			err := guess()
			if errors.Is(err, transport.ErrInviteUnknown) {
				heard++
			} else {
				wantError(t, err, transport.ErrBusy)
			}
		}
		if most := 32 + int(time.Since(began)/(6*time.Second)); heard > most {
			t.Errorf("%d guesses were answered in %v, want at most %d", heard, time.Since(began), most)
		}
		if _, _, err := w.join(d.invite(t, transport.InviteOptions{}), newKey(t)); err != nil {
			t.Errorf("another address: %v", err)
		}
		time.Sleep(time.Minute) // it grows back
		wantError(t, guess(), transport.ErrInviteUnknown)
	})
}

// A roomful of devices behind one address joins without a wait.
func TestJoiningIsNotLimited(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d, room := w.desk(transport.Options{}), w.socket("10.3.0.1:1")
		defer room.Close()
		for range 40 {
			token := d.invite(t, transport.InviteOptions{})
			if _, _, err := transport.Join(soon(t), token, newKey(t), transport.JoinOptions{Conn: room}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A stranger that asks nothing, or nonsense, is gone soon, and strangers are
// few at a time.
func TestAStrangerAtTheDeskIsBounded(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		conf := strangerTLS("anabranch-join/1", selfSignedKey(t))
		for _, said := range [][]byte{frame(65, ""), frame(0, ""), frame(3, "abc"), frame(19, "\x92\x02\xc4\x100123456789abcdef")} {
			conn, _, err := w.stranger().dial(d.Addr(), conf, said)
			if err == nil {
				t.Error("the desk answered")
			}
			wantCode(t, conn, transport.CodeProtocol)
		}
		began := time.Now()
		conn, _, err := w.stranger().dial(d.Addr(), conf, frame(19, ""))
		if err == nil {
			t.Error("the desk answered")
		}
		wantCode(t, conn, transport.CodeTimeout)
		if took := time.Since(began); took > 11*time.Second {
			t.Errorf("a stranger stayed %v", took)
		}
		neverAccepts(t, d)
	})
}

func TestStrangersAreFewAtATime(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		d := w.desk(transport.Options{})
		conf := strangerTLS("anabranch-join/1", selfSignedKey(t))
		for range 16 {
			s := w.stranger()
			go s.dial(d.Addr(), conf, frame(19, "")) // and no more
		}
		time.Sleep(time.Second)
		synctest.Wait()
		_, _, err := w.join(d.invite(t, transport.InviteOptions{}), newKey(t))
		wantError(t, err, transport.ErrBusy)
		time.Sleep(10 * time.Second)
		if _, _, err := w.join(d.invite(t, transport.InviteOptions{}), newKey(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestInvitesAreBounded(t *testing.T) {
	w := newWorld(t)
	i := w.invites(&shelf{})
	for _, addrs := range [][]string{nil, make([]string, 17), {""}, {strings.Repeat("x", 261)}} {
		if _, err := i.Invite(transport.InviteOptions{Addrs: addrs}); err == nil {
			t.Errorf("an invite to %q was made", addrs)
		}
	}
	if _, err := i.Invite(transport.InviteOptions{Addrs: []string{"a:1"}, Grants: transport.Grants{Read: []string{"*x"}}}); err == nil {
		t.Error("an invite with a grant of nothing was made")
	}
	for range 1024 {
		if _, err := i.Invite(transport.InviteOptions{Addrs: []string{"a:1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Invite(transport.InviteOptions{Addrs: []string{"a:1"}}); err == nil {
		t.Error("there is no end to invites")
	}
}

// A failing store fails an invite, and leaves what was there.
func TestAnInviteIsStoredBeforeItIsShown(t *testing.T) {
	w := newWorld(t)
	s := &shelf{fail: errors.New("disk on fire")}
	i := w.invites(s)
	if _, err := i.Invite(transport.InviteOptions{Addrs: []string{"a:1"}}); !errors.Is(err, s.fail) {
		t.Errorf("got %v", err)
	}
	if _, err := transport.NewInvites(w.authority, transport.InvitesOptions{Store: &shelf{value: []byte("?")}}); err == nil {
		t.Error("a store of something else was read")
	}
	_, err := i.Redeem(context.Background(), crdt.NodeID{1}, [32]byte{2})
	wantError(t, err, transport.ErrInviteUnknown)
}
