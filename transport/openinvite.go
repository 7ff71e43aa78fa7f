package transport

import (
	"bytes"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// openInvite is what an authority remembers of an invite.
type openInvite struct {
	hash     [32]byte // of the secret
	expires  time.Time
	grants   Grants // in normal form
	notAfter time.Time
	addrs    []string
	node     crdt.NodeID // who used it; zero: nobody
}

func (e openInvite) compare(o openInvite) int { return bytes.Compare(e.hash[:], o.hash[:]) }

// The open invites are stored as one value, in canonical msgpack:
//
//	invites = array(1 + n) version invite ...
//	invite  = array(6) hash(32) expires grants not-after [address ...] node(32)
//
// ordered by hash. Times are in seconds since 1970, not-after 0 for never;
// grants are as in certificates, in a byte string; node is zero for nobody.
const invitesVersion = 1

func appendInvites(dst []byte, open []openInvite) []byte {
	dst = crdt.AppendUint(crdt.AppendArray(dst, 1+len(open)), invitesVersion)
	for _, e := range open {
		dst = crdt.AppendBytes(crdt.AppendArray(dst, 6), e.hash[:])
		dst = crdt.AppendUint(dst, uint64(max(0, e.expires.Unix())))
		dst = crdt.AppendBytes(dst, appendGrants(nil, e.grants))
		dst = crdt.AppendUint(dst, uint64(max(0, e.notAfter.Unix())))
		dst = crdt.AppendArray(dst, len(e.addrs))
		for _, a := range e.addrs {
			dst = crdt.AppendString(dst, a)
		}
		dst = crdt.AppendBytes(dst, e.node[:])
	}
	return dst
}

func decodeInvites(b []byte) (open []openInvite, err error) {
	r := crdt.NewReader(b)
	n := r.Array(1 + maxInvites)
	if r.Err() == nil && n < 1 {
		r.Fail("invites without a version")
	}
	if v := r.Uint(); r.Err() == nil && v != invitesVersion {
		r.Fail(fmt.Sprintf("invites of version %d, this release knows %d", v, invitesVersion))
	}
	for i := 1; i < n && r.Err() == nil; i++ {
		e := readInvite(r)
		if r.Err() == nil && i > 1 && open[i-2].compare(e) >= 0 {
			r.Fail("invite out of order")
		}
		open = append(open, e)
	}
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("the stored invites: %w", err)
	}
	return open, nil
}

func readInvite(r *crdt.Reader) (e openInvite) {
	if n := r.Array(6); r.Err() == nil && n != 6 {
		r.Fail("invite without six fields")
	}
	r.Fixed(e.hash[:])
	e.expires = readTime(r)
	grants, err := decodeGrants(r.Bytes(maxCertificateBytes))
	if r.Err() == nil && err != nil {
		r.Fail(err.Error())
	}
	e.grants = grants
	if at := readTime(r); at.Unix() > 0 {
		e.notAfter = at
	}
	e.addrs = readAddrs(r, maxInviteAddrs)
	e.node = r.Node()
	return e
}
