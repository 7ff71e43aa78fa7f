package replica

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// The last tick comes with the end of the time, and which is first is chance:
// no attempt is begun that has no time.
func TestNoAttemptBeginsAsTheTimeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		defer net.Close()
		endpoint, err := net.Listen(transport.Credential{}, "a")
		if err != nil {
			t.Fatal(err)
		}
		net.Cut("a", "b")
		dials := &dialTimes{Network: endpoint}
		for range 50 {
			began := time.Now()
			if _, err := reach(t.Context(), dials, "b", firstHedge, nil, func() bool { return false }); err == nil {
				t.Fatal("somebody is there")
			}
			synctest.Wait()
			if d := time.Unix(0, dials.last.Load()).Sub(began); d >= dialTimeout {
				t.Errorf("an attempt was begun after %v", d)
			}
		}
	})
}

// dialTimes takes note of when it last dialed.
type dialTimes struct {
	transport.Network
	last atomic.Int64 // nanoseconds of Unix time
}

func (d *dialTimes) Dial(ctx context.Context, address string) (transport.Link, error) {
	d.last.Store(time.Now().UnixNano())
	return d.Network.Dial(ctx, address)
}
