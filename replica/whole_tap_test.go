package replica

import (
	"context"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
)

// tap is what a node sends on its links: it is shown each frame, and may put
// another in its place.
type tap func(l transport.Link, frame []byte) []byte

// tapped opens the node again, on links with a tap.
func (n *wholeNode) tapped(t tap) {
	n.fleet.t.Helper()
	n.listen = func() (transport.Network, error) {
		e, err := n.fleet.net.Listen(n.identity.Credential(), n.address)
		return tappedNetwork{e, t}, err
	}
	n.restart()
}

type tappedNetwork struct {
	transport.Network
	tap tap
}

func (n tappedNetwork) Dial(ctx context.Context, address string) (transport.Link, error) {
	return n.link(n.Network.Dial(ctx, address))
}

func (n tappedNetwork) Accept(ctx context.Context) (transport.Link, error) {
	return n.link(n.Network.Accept(ctx))
}

func (n tappedNetwork) link(l transport.Link, err error) (transport.Link, error) {
	if err != nil {
		return nil, err
	}
	return tappedLink{l, n.tap}, nil
}

type tappedLink struct {
	transport.Link
	tap tap
}

func (l tappedLink) Send(ctx context.Context, frame []byte) error {
	return l.Link.Send(ctx, l.tap(l.Link, frame))
}

// helloAs is a tap that has a node say Hello as one of another release: with
// these versions, further features, ascending and above those of this release,
// and further fields.
func helloAs(lowest, highest uint64, features []uint64, fields ...[]byte) tap {
	return func(_ transport.Link, frame []byte) []byte {
		if _, ok := readReleaseHello(frame); !ok {
			return frame
		}
		r := crdt.NewReader(frame)
		seq, n := r.Uint(), r.Array(64)
		code := r.Uint()
		r.Uint()
		r.Uint()
		said := r.Rest()
		for range 3 { // cluster, revocations, namespaces
			r.Raw()
		}
		said = said[:len(said)-len(r.Rest())]
		known := r.Array(64)

		b := crdt.AppendArray(crdt.AppendUint(nil, seq), n+len(fields))
		b = crdt.AppendUint(crdt.AppendUint(crdt.AppendUint(b, code), lowest), highest)
		b = crdt.AppendArray(append(b, said...), known+len(features))
		b = append(b, r.Rest()...)
		for _, f := range features {
			b = crdt.AppendUint(b, f)
		}
		for _, f := range fields {
			b = append(b, f...)
		}
		return b
	}
}
