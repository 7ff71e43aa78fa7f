package transport

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestAdmissionCountsTheYoungAndTheOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAdmission(defaultMaxHandshakes+2, defaultMaxHandshakes)
		var tickets []*ticket
		admit := func(want bool) (end context.CancelFunc) {
			t.Helper()
			ctx, cancel := context.WithCancel(t.Context())
			ctx, err := a.admit(ctx, nil)
			if (err == nil) != want {
				t.Fatalf("with %d open and %d young: %v", a.open, a.young, err)
			}
			if err == nil {
				tickets = append(tickets, ctx.Value(ticketKey{}).(*ticket))
			}
			return cancel
		}
		end := admit(true)
		for i := range defaultMaxHandshakes - 1 {
			if got, want := a.suspicious(nil), i+1 >= defaultMaxHandshakes/2; got != want {
				t.Fatalf("with %d young, suspicious is %v", i+1, got)
			}
			admit(true)
		}
		admit(false) // as many young as may be
		tickets[0].grow()
		tickets[0].grow() // once is enough
		admit(true)
		admit(false)
		tickets[1].grow()
		admit(true)
		tickets[2].grow()
		admit(false) // as many open as may be
		end()
		synctest.Wait()
		admit(true)
	})
}

func TestAttemptsGrowBackAndAddressesAreForgotten(t *testing.T) {
	now := time.Unix(0, 0)
	a := newAttempts()
	a.now = func() time.Time { return now }
	host := func(n int) net.Addr { return &net.UDPAddr{IP: net.IPv4(10, 0, byte(n>>8), byte(n)), Port: n} }
	for i := range attemptBurst {
		if !a.take(host(1)) {
			t.Fatalf("attempt %d was refused", i)
		}
	}
	if a.take(host(1)) || !a.take(host(2)) || !a.take(host(2)) {
		t.Error("the limit is per address")
	}
	a.giveBack(host(1)) // it was a success after all
	if !a.take(host(1)) || a.take(host(1)) {
		t.Error("a success costs nothing")
	}
	now = now.Add(attemptInterval)
	if !a.take(host(1)) || a.take(host(1)) {
		t.Error("one attempt grows back in an interval")
	}
	for n := range maxAttemptAddrs - 2 {
		if !a.take(host(10 + n)) {
			t.Fatalf("address %d was refused", n)
		}
	}
	if a.take(host(9999)) {
		t.Error("there is no end to addresses")
	}
	now = now.Add(attemptInterval)
	if !a.take(host(9999)) || len(a.buckets) > 3 {
		t.Errorf("%d addresses are remembered", len(a.buckets))
	}
}

// What one party controls counts as one.
func TestAnAddressIsAPrefix(t *testing.T) {
	for addr, want := range map[string]string{
		"10.0.0.1":           "10.0.0.1/32",
		"::ffff:10.0.0.1":    "10.0.0.1/32",
		"2001:db8:1:2:3::4":  "2001:db8:1:2::/64",
		"2001:db8:1:2:5::99": "2001:db8:1:2::/64",
	} {
		if got := prefixOf(&net.UDPAddr{IP: net.ParseIP(addr), Port: 5}); got.String() != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
	if prefixOf(&net.UnixAddr{}).IsValid() || prefixOf(&net.UDPAddr{}).IsValid() {
		t.Error("something else counts as an address")
	}
}
