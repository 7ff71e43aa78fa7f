package replica

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// An answer that the peer does not read ends with the offer, and does not go on
// beside the one that took its place.
func TestAnAnswerEndsWithItsOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, build := fanOutMesh(t)
		ns := build.Namespace.(*store.Namespace)
		l := newLink(m, 1000, sink{}) // whose outlet nobody runs
		for range deltaPlaces {
			if err := l.outlet.send(l.ctx, 0, protocol.EncodeSource(build, nil, nil), nil); err != nil {
				t.Fatal(err)
			}
		}
		snap, err := ns.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		l.offers.add(ns, &offer{run: 7, snap: snap})
		served := make(chan error, 1)
		all := []byte{0x91, 0x94, 0, 0xa0, 0, 0} // is asked about
		go func() { served <- m.serve(l, protocol.Serve{Namespace: ns, Number: 1, Run: 7, Body: all}) }()
		synctest.Wait()
		l.offers.end(ns, 7)
		synctest.Wait()
		select {
		case err := <-served:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("the answer ended with %v", err)
			}
		default:
			t.Error("the answer goes on")
			l.cancel()
		}
	})
}
