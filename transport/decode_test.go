package transport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
)

func FuzzToken(f *testing.F) {
	f.Add([]byte(fixedInvite(f).Token()))
	f.Add([]byte("AQ"))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		token := string(b)
		i, err := ParseToken(token)
		switch {
		case err != nil && !errors.Is(err, ErrToken):
			t.Errorf("an error of another kind: %v", err)
		case err == nil && i.Token() != strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(token)):
			t.Errorf("%q became %q", token, i.Token())
		}
	})
}

func FuzzRevocation(f *testing.F) {
	r := fixedRevocation(f)
	c := fixedAuthority(f).cluster
	f.Add(r.Encode())
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		r, err := c.ParseRevocation(b)
		switch {
		case err != nil && !errors.Is(err, ErrCredential) && !errors.Is(err, ErrCluster):
			t.Errorf("an error of another kind: %v", err)
		case err == nil && !bytes.Equal(r.Encode(), b):
			t.Errorf("%x became %x", b, r.Encode())
		}
	})
}

func FuzzGrants(f *testing.F) {
	f.Add(appendGrants(nil, fixedGrants))
	f.Add(appendGrants(nil, Grants{}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		g, err := decodeGrants(b)
		if err != nil {
			return
		}
		normal, err := g.normal()
		if err != nil || !bytes.Equal(appendGrants(nil, normal), b) {
			t.Errorf("%x became %x, %v", b, appendGrants(nil, normal), err)
		}
	})
}

func FuzzCredential(f *testing.F) {
	c := fixedAuthority(f).cluster
	f.Add(fixedCertificate(f, time.Time{}))
	f.Add(c.der)
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		_, err := c.ParseCredential(b)
		if err != nil && !errors.Is(err, ErrCredential) && !errors.Is(err, ErrCluster) {
			t.Errorf("an error of another kind: %v", err)
		}
		_, err = ParseCluster(b)
		if err != nil && !errors.Is(err, ErrCredential) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}

func FuzzQuestion(f *testing.F) {
	f.Add(appendQuestion(nil, [secretBytes]byte{1}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		if secret, err := decodeQuestion(b); err == nil && !bytes.Equal(appendQuestion(nil, secret), b) {
			t.Errorf("%x was taken for a question", b)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, fixedAnswer(f)))
	f.Add(appendAnswer(nil, answer{status: joinUsed}))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		if a, err := decodeAnswer(b); err == nil && !bytes.Equal(appendAnswer(nil, a), b) {
			t.Errorf("%x was taken for an answer", b)
		}
	})
}

func FuzzInvites(f *testing.F) {
	f.Add(appendInvites(nil, fixedInvites()))
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		if open, err := decodeInvites(b); err == nil && !bytes.Equal(appendInvites(nil, open), b) {
			t.Errorf("%x became %x", b, appendInvites(nil, open))
		}
	})
}

func TestATokenSaysWhatIsWrongWithIt(t *testing.T) {
	token := fixedInvite(t).Token()
	mistyped := []byte(token)
	mistyped[20]++
	later := slices.Concat([]byte{tokenVersion + 1}, []byte("fields of a later release"))
	for name, tc := range map[string]struct{ token, want string }{
		"nothing":       {"", "no token"},
		"another thing": {"https://example.com", "no token"},
		"cut":           {token[:len(token)-4], "cut"},
		"mistyped":      {string(mistyped), "checksum"},
		"too long":      {strings.Repeat("A", 9000), "at most"},
		"later release": {sealToken(later), "version 2, this release knows 1"},
		"no address":    {sealToken(fieldsOf(t, (&Invite{}).Token())), "without an address"},
		"year 10000":    {sealToken(fieldsOf(t, (&Invite{Expires: time.Unix(maxSeconds+1, 0), Addrs: []string{"a:1"}}).Token())), "year 9999"},
	} {
		_, err := ParseToken(tc.token)
		if !errors.Is(err, ErrToken) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	if _, err := ParseToken(" " + token + "\n"); err != nil {
		t.Errorf("space around a token: %v", err)
	}
}

// What is signed or stored by a later release is refused, and says so.
func TestLaterVersionsAreRefused(t *testing.T) {
	c := fixedAuthority(t).cluster
	r := fixedRevocation(t)
	for name, tc := range map[string]struct {
		bytes  []byte
		at     int // of the version
		decode func([]byte) error
	}{
		"revocation": {r.Encode(), 1, func(b []byte) error { _, err := c.ParseRevocation(b); return err }},
		"grants":     {appendGrants(nil, fixedGrants), 1, func(b []byte) error { _, err := decodeGrants(b); return err }},
		"question":   {appendQuestion(nil, [secretBytes]byte{}), 1, func(b []byte) error { _, err := decodeQuestion(b); return err }},
		"answer":     {appendAnswer(nil, answer{}), 1, func(b []byte) error { _, err := decodeAnswer(b); return err }},
		"invites":    {appendInvites(nil, nil), 1, func(b []byte) error { _, err := decodeInvites(b); return err }},
	} {
		b := bytes.Clone(tc.bytes)
		b[tc.at]++
		if err := tc.decode(b); err == nil || !strings.Contains(err.Error(), "version 2, this release knows 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARevocationIsTheAuthoritys(t *testing.T) {
	a := fixedAuthority(t)
	r := a.Revoke(crdt.NodeID{7}, time.Unix(5, 0))
	forged := r
	forged.Node = crdt.NodeID{8}
	if _, err := a.cluster.ParseRevocation(forged.Encode()); !errors.Is(err, ErrCredential) {
		t.Errorf("a forged revocation: %v", err)
	}
	other, err := NewAuthority(fixedKey(9))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.cluster.ParseRevocation(r.Encode()); !errors.Is(err, ErrCluster) {
		t.Errorf("another cluster's revocation: %v", err)
	}
}

// Members merge what they know in any order, and agree.
func TestRevocationsMergeInAnyOrder(t *testing.T) {
	a := fixedAuthority(t)
	early, late := a.Revoke(crdt.NodeID{7}, time.Unix(5, 0)), a.Revoke(crdt.NodeID{7}, time.Unix(9, 0))
	other := a.Revoke(crdt.NodeID{1}, time.Unix(7, 0))
	var one, two Revocations
	if one.Hash() != two.Hash() || one.Revoked(crdt.NodeID{7}) {
		t.Error("the empty set is not empty")
	}
	if !one.Add(early) || one.Add(late) || !one.Add(other) || one.Add(other) {
		t.Error("Add does not tell what changed")
	}
	if !two.Add(other) || !two.Add(late) || !two.Add(early) {
		t.Error("Add does not tell what changed")
	}
	if one.Hash() != two.Hash() || !slices.Equal(one.All(), []Revocation{other, early}) || !two.Revoked(crdt.NodeID{7}) {
		t.Errorf("%v and %v", one.All(), two.All())
	}
}

func TestGrantsMatchNamespaces(t *testing.T) {
	g := Grants{Read: []string{"a", "b.*"}, Write: []string{"*"}}
	for name, want := range map[string]bool{"a": true, "ab": false, "b": false, "b.": true, "b.c": true, "": false} {
		if g.CanRead(name) != want {
			t.Errorf("CanRead(%q) is %v", name, !want)
		}
	}
	if !g.CanWrite("anything") || (Grants{}).CanRead("a") || (Grants{}).CanWrite("a") {
		t.Error("grants of everything and of nothing")
	}
	for _, bad := range []string{"", "**", "a*b", "a b", "é", strings.Repeat("x", 129)} {
		if _, err := fixedAuthority(t).Issue(crdt.NodeID{1}, Grants{Read: []string{bad}}, time.Time{}); !errors.Is(err, ErrCredential) {
			t.Errorf("the pattern %q was granted: %v", bad, err)
		}
	}
	for _, lost := range []Grants{{Write: []string{"a"}}, {Read: []string{"a", "c*"}, Write: []string{"a", "b*"}}, {Read: []string{"ab"}, Write: []string{"a"}}} {
		if _, err := fixedAuthority(t).Issue(crdt.NodeID{1}, lost, time.Time{}); !errors.Is(err, ErrCredential) || !strings.Contains(err.Error(), "gets nowhere") {
			t.Errorf("to write and not to read was granted with %v: %v", lost, err)
		}
	}
	for _, kept := range []Grants{{Write: []string{"*"}}, {Read: []string{"a*"}, Write: []string{"ab*", "ac"}}, {Read: []string{"ab"}, Write: []string{"a*"}}} {
		if _, err := fixedAuthority(t).Issue(crdt.NodeID{1}, kept, time.Time{}); err != nil {
			t.Errorf("%v was not granted: %v", kept, err)
		}
	}
	for _, read := range [][]string{{"b", "a"}, {"a", "a"}} { // not in normal form
		if _, err := decodeGrants(appendGrants(nil, Grants{Read: read})); !errors.Is(err, ErrCredential) {
			t.Errorf("grants of %q were decoded: %v", read, err)
		}
	}
	messy, err := Grants{Read: []string{"b", "a", "b"}}.normal()
	if err != nil || !slices.Equal(messy.Read, []string{"a", "b"}) {
		t.Errorf("normal form %v, %v", messy, err)
	}
}

// Certificates that the authority signed, and that are still no node's.
func TestOddCertificatesAreNoCredential(t *testing.T) {
	a := fixedAuthority(t)
	issue := func(c x509.Certificate) []byte {
		c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(5), always(), forever()
		der, err := x509.CreateCertificate(rand.Reader, &c, &x509.Certificate{}, fixedKey(2).Public(), a.key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	grants := pkix.Extension{Id: grantsOID, Value: appendGrants(nil, fixedGrants)}
	unknown := pkix.Extension{Id: []int{2, 25, 1}, Critical: true, Value: []byte{5, 0}}
	for name, tc := range map[string]struct {
		der  []byte
		want string
	}{
		"no grants":         {issue(x509.Certificate{}), "no grants"},
		"bad grants":        {issue(x509.Certificate{ExtraExtensions: []pkix.Extension{{Id: grantsOID, Value: []byte("?")}}}), "grants"},
		"unknown critical":  {issue(x509.Certificate{ExtraExtensions: []pkix.Extension{grants, unknown}}), "2.25.1"},
		"an authority":      {issue(x509.Certificate{IsCA: true, BasicConstraintsValid: true, ExtraExtensions: []pkix.Extension{grants}}), "authority"},
		"the authority":     {a.cluster.der, "authority"},
		"longer than all":   {make([]byte, maxCertificateBytes+1), "at most"},
		"trailing bytes":    {append(fixedCertificate(t, time.Time{}), 0), "trailing"},
		"a flipped bit":     {flip(fixedCertificate(t, time.Time{}), 100), ""},
		"a flipped grant":   {flip(fixedCertificate(t, time.Time{}), bytes.Index(fixedCertificate(t, time.Time{}), []byte("models"))), "not a member"},
		"signature flipped": {flip(fixedCertificate(t, time.Time{}), -1), "not a member"},
	} {
		_, err := a.cluster.ParseCredential(tc.der)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", name, err, tc.want)
		}
	}
	for name, der := range map[string][]byte{
		"a node's": fixedCertificate(t, time.Time{}), "a flipped bit": flip(a.cluster.der, -1), "nothing": nil,
	} {
		if _, err := ParseCluster(der); !errors.Is(err, ErrCredential) {
			t.Errorf("%s was taken for an authority's: %v", name, err)
		}
	}
	if cred, err := a.cluster.ParseCredential(fixedCertificate(t, time.Time{})); err != nil || cred.Node != crdt.NodeID(fixedKey(2).Public().(ed25519.PublicKey)) {
		t.Errorf("a good one: %+v, %v", cred, err)
	}
}

// fieldsOf is what a token was sealed of.
func fieldsOf(t testing.TB, token string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	return b[:len(b)-checksumBytes]
}

func flip(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[(at+len(b))%len(b)] ^= 1
	return b
}
