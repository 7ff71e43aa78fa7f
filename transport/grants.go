package transport

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// Grants say what a node may do, as patterns of namespaces: a name, or the
// beginning of one with '*' behind it. "*" is every namespace. Writing does
// not imply reading, but needs it: nodes do not speak of a namespace with one
// that may not read it, so what that wrote would stay there. The zero value
// grants nothing.
//
// They are in the node's certificate, which every member may come to see: who
// names a namespace in them does not keep its name from anybody.
type Grants struct {
	Read  []string
	Write []string
}

// AllNamespaces grants everything.
func AllNamespaces() Grants { return Grants{Read: []string{"*"}, Write: []string{"*"}} }

// CanRead reports whether namespace may be sent to the node.
func (g Grants) CanRead(namespace string) bool { return matchAny(g.Read, namespace) }

// CanWrite reports whether the node's own events in namespace count. They get
// nowhere unless it CanRead it, too.
func (g Grants) CanWrite(namespace string) bool { return matchAny(g.Write, namespace) }

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		if prefix, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(name, prefix)
		}
		return p == name
	})
}

// normal returns g with its patterns in order and once each, so that equal
// grants are equal bytes, or what is wrong with them.
func (g Grants) normal() (Grants, error) {
	g = Grants{Read: slices.Clone(g.Read), Write: slices.Clone(g.Write)}
	for _, ps := range []*[]string{&g.Read, &g.Write} {
		slices.Sort(*ps)
		*ps = slices.Compact(*ps)
		if len(*ps) > maxGrants {
			return Grants{}, fmt.Errorf("%w: %d patterns of namespaces, at most %d are allowed", ErrCredential, len(*ps), maxGrants)
		}
		for _, p := range *ps {
			if err := checkPattern(p); err != nil {
				return Grants{}, err
			}
		}
	}
	return g, nil
}

// useful is normal for grants to be given, and refuses a pattern of what to
// write that matches nothing to read, unless it is "*".
func (g Grants) useful() (Grants, error) {
	g, err := g.normal()
	if err != nil {
		return Grants{}, err
	}
	for _, w := range g.Write {
		if w != "*" && !slices.ContainsFunc(g.Read, func(r string) bool { return overlap(r, w) }) {
			return Grants{}, fmt.Errorf("%w: to write %q it must be granted to read it, too: else what is written gets nowhere", ErrCredential, w)
		}
	}
	return g, nil
}

// overlap reports whether there are names that both patterns match.
func overlap(a, b string) bool {
	beginA, anyA := strings.CutSuffix(a, "*")
	beginB, anyB := strings.CutSuffix(b, "*")
	return a == b || anyA && strings.HasPrefix(beginB, beginA) || anyB && strings.HasPrefix(beginA, beginB)
}

// checkPattern allows what a namespace's name is made of, and a '*' at the
// end.
func checkPattern(p string) error {
	name := strings.TrimSuffix(p, "*")
	bad := strings.IndexFunc(name, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	})
	if p == "" || len(p) > crdt.MaxNamespaceBytes || bad >= 0 {
		return fmt.Errorf("%w: %q is no namespace and no pattern of one", ErrCredential, p)
	}
	return nil
}

// The grants travel in a certificate as an extension of our own:
//
//	grants = array(3) version [read pattern ...] [write pattern ...]
//
// in canonical msgpack, patterns in ascending order. It is critical, so that
// software that does not know it cannot take the certificate for one without
// limits. A later version is refused: what it would restrict is unknown.
const grantsVersion = 1

// grantsOID is under the arc of UUIDs, 2.25, which needs no registration; the
// number is "anbr". Certificates of a cluster are read by its members only.
var grantsOID = asn1.ObjectIdentifier{2, 25, 0x616e6272}

// appendGrants appends the encoding of grants in normal form.
func appendGrants(dst []byte, g Grants) []byte {
	dst = crdt.AppendUint(crdt.AppendArray(dst, 3), grantsVersion)
	for _, ps := range [][]string{g.Read, g.Write} {
		dst = crdt.AppendArray(dst, len(ps))
		for _, p := range ps {
			dst = crdt.AppendString(dst, p)
		}
	}
	return dst
}

// decodeGrants reads what appendGrants wrote. Errors wrap ErrCredential.
func decodeGrants(b []byte) (g Grants, err error) {
	r := crdt.NewReader(b)
	if n := r.Array(3); r.Err() == nil && n != 3 {
		r.Fail("grants without three fields")
	}
	if v := r.Uint(); r.Err() == nil && v != grantsVersion {
		r.Fail(fmt.Sprintf("grants of version %d, this release knows %d", v, grantsVersion))
	}
	g.Read, g.Write = readPatterns(r), readPatterns(r)
	if err := r.Done(); err != nil {
		return Grants{}, fmt.Errorf("%w: grants: %v", ErrCredential, err)
	}
	return g, nil
}

func readPatterns(r *crdt.Reader) (ps []string) {
	n := r.Array(maxGrants)
	for i := 0; i < n && r.Err() == nil; i++ {
		p := r.String(crdt.MaxNamespaceBytes)
		if r.Err() == nil && (checkPattern(p) != nil || i > 0 && p <= ps[i-1]) {
			r.Fail(fmt.Sprintf("pattern %q invalid or out of order", p))
		}
		ps = append(ps, p)
	}
	return ps
}

// grantsOf returns what a certificate grants. One without grants is no
// node's.
func grantsOf(cert *x509.Certificate) (Grants, error) {
	for _, ext := range cert.Extensions {
		if ext.Id.Equal(grantsOID) {
			return decodeGrants(ext.Value)
		}
	}
	return Grants{}, fmt.Errorf("%w: it holds no grants", ErrCredential)
}
