package replica

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A peer that speaks later versions only is refused, and both operators read
// which versions either side speaks. Others go on.
func TestAPeerOfLaterVersionsIsRefusedAndNamed(t *testing.T) {
	inBubble(t, 3, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		old, later, third := f.nodes[0], f.nodes[1], f.nodes[2]
		var log bytes.Buffer
		old.options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		old.restart()
		later.tapped(helloAs(2, 2, nil))
		f.pass(5 * time.Minute)
		const versions = "the peer speaks versions 2 to 2, this node 1 to 1"
		for _, side := range []struct{ here, peer *wholeNode }{{old, later}, {later, old}} {
			p := side.here.peerAt(side.peer.address)
			if !p.Connected.IsZero() || !errors.Is(p.Failure, transport.CodeVersion) || !strings.Contains(p.Failure.Error(), versions) {
				t.Errorf("%s says of %s: %+v", side.here.address, side.peer.address, p)
			}
			if p.Breaker.State != BreakerOpen {
				t.Errorf("%s dials %s on and on: %+v", side.here.address, side.peer.address, p.Breaker)
			}
		}
		if !strings.Contains(log.String(), versions) {
			t.Errorf("the log says\n%s", &log)
		}
		set(t, old, 7)
		later.namespace("edge")
		third.namespace("edge")
		f.pass(time.Minute)
		if got, other := get(t, third), get(t, later); got != 7 || other != 0 {
			t.Errorf("the third node has %d, the refused one %d", got, other)
		}
	})
}

// peerAt returns what a node tells of the peer at an address.
func (n *wholeNode) peerAt(address string) PeerStatus {
	n.fleet.t.Helper()
	peers, err := n.db.Peers()
	if err != nil {
		n.fleet.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Address == address {
			return p
		}
	}
	n.fleet.t.Fatalf("%s knows nobody at %s", n.address, address)
	return PeerStatus{}
}

// A message that no feature of a link announced ends the link, and the reason
// says which it was.
func TestAnUnknownMessageEndsTheLinkAndIsNamed(t *testing.T) {
	inBubble(t, 1, simnet.Options{Latency: time.Millisecond}, func(f *wholeFleet) {
		set(t, f.nodes[0], 7)
		peer, err := f.authority.Enroll(nil, transport.AllNamespaces())
		if err != nil {
			t.Fatal(err)
		}
		link := f.dial(peer.Credential(), "peer:1", f.nodes[0].address)
		f.pass(time.Second)
		hello := f.drain(link)[0]
		if err := link.Send(context.Background(), hello); err != nil { // all that this node can, the other can
			t.Fatal(err)
		}
		f.pass(time.Second)
		f.drain(link)
		frame := crdt.AppendArray(crdt.AppendUint(nil, 2), 3)
		for _, field := range []uint64{99, 1, 2} {
			frame = crdt.AppendUint(frame, field)
		}
		if err := link.Send(context.Background(), frame); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err = link.Receive(ctx)
		end, ok := errors.AsType[*transport.CloseError](err)
		if !ok || !end.Remote || end.Code != transport.CodeProtocol || !strings.Contains(end.Reason, "unknown message 99") {
			t.Errorf("the link ended with %v", err)
		}
		if p := f.nodes[0].db; get(t, f.nodes[0]) != 7 || p.Health() != nil {
			t.Error("the node suffered from it")
		}
	})
}
