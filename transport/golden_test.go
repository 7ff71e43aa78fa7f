package transport

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew; review the diff")

// goldenCase is one encoding that must never change.
type goldenCase struct {
	name  string
	bytes []byte
}

// checkGolden compares encodings with testdata/file, one case a line.
func checkGolden(t *testing.T, file string, cases []goldenCase) {
	t.Helper()
	var got strings.Builder
	for _, c := range cases {
		fmt.Fprintf(&got, "%s: %s\n", c.name, hex.EncodeToString(c.bytes))
	}
	path := filepath.Join("testdata", file)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("%s changed: got\n%swant\n%s", path, &got, want)
	}
}

// everyCut wants a decoder to refuse every beginning of b, and b with more
// behind it.
func everyCut(t *testing.T, b []byte, decode func([]byte) error) {
	t.Helper()
	if err := decode(b); err != nil {
		t.Fatalf("%x: %v", b, err)
	}
	for n := range b {
		if decode(b[:n:n]) == nil {
			t.Errorf("the first %d of %d bytes were decoded", n, len(b))
		}
	}
	if decode(append(bytes.Clone(b), 0)) == nil {
		t.Error("a byte too many was decoded")
	}
}

// fixedKey is a key that is the same in every run.
func fixedKey(fill byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{fill}, ed25519.SeedSize))
}

func fixedAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := NewAuthority(fixedKey(1))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var fixedGrants = Grants{Read: []string{"*"}, Write: []string{"features", "models.*"}}

func fixedCertificate(t testing.TB, notAfter time.Time) []byte {
	t.Helper()
	der, err := fixedAuthority(t).Issue(NodeOf(fixedKey(2)), fixedGrants, notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestCredentialsAreFrozen(t *testing.T) {
	a := fixedAuthority(t)
	ends := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	checkGolden(t, "credential.golden", []goldenCase{
		{"cluster id", a.cluster.id[:]},
		{"cluster certificate", a.cluster.der},
		{"grants", appendGrants(nil, fixedGrants)},
		{"certificate without end", fixedCertificate(t, time.Time{})},
		{"certificate that ends", fixedCertificate(t, ends)},
	})
	for _, notAfter := range []time.Time{{}, ends} {
		der := fixedCertificate(t, notAfter)
		everyCut(t, der, func(b []byte) error {
			_, err := a.cluster.ParseCredential(b)
			return err
		})
		if len(der) > 512 {
			t.Errorf("a certificate of %d bytes travels in every handshake", len(der))
		}
	}
	everyCut(t, a.cluster.der, func(b []byte) error {
		_, err := ParseCluster(b)
		return err
	})
	everyCut(t, appendGrants(nil, fixedGrants), func(b []byte) error {
		_, err := decodeGrants(b)
		return err
	})
}

func fixedRevocation(t testing.TB) Revocation {
	return fixedAuthority(t).Revoke(crdt.NodeID{7}, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
}

func TestRevocationsAreFrozen(t *testing.T) {
	r := fixedRevocation(t)
	checkGolden(t, "revocation.golden", []goldenCase{{"revocation", r.Encode()}})
	everyCut(t, r.Encode(), func(b []byte) error {
		got, err := fixedAuthority(t).cluster.ParseRevocation(b)
		if err == nil && got != r {
			t.Errorf("%+v became %+v", r, got)
		}
		return err
	})
}

func fixedInvite(t testing.TB) *Invite {
	return &Invite{
		Cluster: fixedAuthority(t).cluster.id, Addrs: []string{"hub.example:4433", "[2001:db8::1]:4433"},
		Expires: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), secret: [secretBytes]byte{1, 2, 3},
	}
}

func TestTokensAreFrozen(t *testing.T) {
	i := fixedInvite(t)
	hash := i.secretHash()
	checkGolden(t, "token.golden", []goldenCase{{"token, as text", []byte(i.Token())}, {"hash of the secret", hash[:]}})
	everyCut(t, []byte(i.Token()), func(b []byte) error {
		_, err := ParseToken(string(b))
		return err
	})
}

func fixedAnswer(t testing.TB) answer {
	return answer{joined, Membership{
		Certificate: fixedCertificate(t, time.Time{}), Cluster: fixedAuthority(t).cluster.der,
		Peers: []string{"10.0.0.1:4433", "10.0.0.2:4433"},
	}}
}

func TestJoiningIsFrozen(t *testing.T) {
	question, reply := appendQuestion(nil, [secretBytes]byte{1, 2, 3}), appendAnswer(nil, fixedAnswer(t))
	checkGolden(t, "join.golden", []goldenCase{
		{"question", question},
		{"answer", reply},
		{"refusal", appendAnswer(nil, answer{status: joinUsed})},
	})
	everyCut(t, question, func(b []byte) error {
		_, err := decodeQuestion(b)
		return err
	})
	everyCut(t, reply, func(b []byte) error {
		_, err := decodeAnswer(b)
		return err
	})
	for status := joined; status <= joinFailed; status++ {
		if got := joinStatus(joinError(status)); got != status {
			t.Errorf("status %d becomes %d", status, got)
		}
	}
}

func fixedInvites() []openInvite {
	return []openInvite{
		{hash: [32]byte{1}, expires: time.Unix(1_700_000_000, 0).UTC(), grants: fixedGrants, addrs: []string{"a:1"}},
		{hash: [32]byte{2}, expires: time.Unix(1_700_000_001, 0).UTC(), grants: fixedGrants, addrs: []string{"a:1", "b:2"},
			notAfter: time.Unix(1_800_000_000, 0).UTC(), node: crdt.NodeID{9}},
	}
}

func TestStoredInvitesAreFrozen(t *testing.T) {
	b := appendInvites(nil, fixedInvites())
	checkGolden(t, "invites.golden", []goldenCase{{"none", appendInvites(nil, nil)}, {"two", b}})
	everyCut(t, b, func(b []byte) error {
		open, err := decodeInvites(b)
		if err == nil && !bytes.Equal(appendInvites(nil, open), b) {
			t.Errorf("%x became %+v", b, open)
		}
		return err
	})
}

func TestStreamsAreFrozen(t *testing.T) {
	checkGolden(t, "stream.golden", []goldenCase{
		{"preface", appendPreface(nil, Instance{1, 2, 3, 4, 5, 6, 7, 8})},
		{"frame", append(appendLength(nil, 5), "hello"...)},
		{"frame in anabranch/2", append(appendShortLength(nil, 5), "hello"...)},
		{"the length of a long one", appendShortLength(nil, MaxFrameBytes)},
	})
}

// The application protocols, the extension and what signatures cover are
// formats as well.
func TestNamesAreFrozen(t *testing.T) {
	for got, want := range map[string]string{
		alpnLink: "anabranch/2", alpnOld: "anabranch/1", alpnJoin: "anabranch-join/1",
		grantsOID.String(): "2.25.1634624114", revocationDomain: "anabranch revocation v1",
		resetKeyInfo: "anabranch stateless reset v1",
	} {
		if got != want {
			t.Errorf("%q was %q", got, want)
		}
	}
	for code, number := range map[Code]int{
		CodeNone: 0, CodeGoingAway: 1, CodeProtocol: 2, CodeTimeout: 3, CodeBusy: 4, CodeDuplicate: 5, CodeRevoked: 6,
		CodeSelf: 7, CodeCluster: 8, CodeVersion: 9, CodeForged: 10, CodeRefusals: 11, CodeInternal: 12, CodeRemoved: 13,
	} {
		if int(code) != number || strings.HasPrefix(code.Error(), "code ") {
			t.Errorf("code %d (%v) was %d", int(code), code, number)
		}
	}
	if got := Code(4711).Error(); got != "code 4711" {
		t.Errorf("an unknown code is %q", got)
	}
}
