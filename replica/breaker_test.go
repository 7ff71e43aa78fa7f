package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/anabranch-db/anabranch/transport"
)

// Failures that tests of breakers use.
var (
	errSilent = fmt.Errorf("dial: %w", transport.ErrUnreachable)
	errFault  = fmt.Errorf("dial: %w", transport.ErrUntrusted)
	errBusy   = &transport.CloseError{Code: transport.CodeBusy, Remote: true, Reason: "retry after 4s"}
)

// failAll fails a breaker over and over, as soon as it lets an attempt through,
// until some time has passed, and returns the pauses.
func failAll(b *breaker, err error, chance float64, takes, until time.Duration) (pauses []time.Duration) {
	begin := time.Unix(0, 0)
	for now := begin; now.Sub(begin) < until; {
		b.try(now)
		now = now.Add(takes)
		b.fail(now, err, chance)
		pause := b.wait(now)
		pauses = append(pauses, pause)
		now = now.Add(pause)
	}
	return pauses
}

func TestABreakerWaitsATwentiethOfASilence(t *testing.T) {
	for outage := time.Minute; outage < time.Hour; outage *= 3 {
		var b breaker
		pauses := failAll(&b, errSilent, 0.999, 10*time.Second, outage)
		last := pauses[len(pauses)-1]
		if want := min(outage/patient, lastRetry); last > want+time.Second || last < want*8/10 {
			t.Errorf("after %v the pause is %v, want some %v", outage, last, want)
		}
	}
}

func TestABreakerLeavesFaultsAloneForLonger(t *testing.T) {
	var b breaker
	pauses := failAll(&b, errFault, 0, time.Millisecond, 2*time.Hour)
	for i := 1; i < len(pauses); i++ {
		if pauses[i] < pauses[i-1] || pauses[i] > lastFaultRetry {
			t.Fatalf("pauses %v", pauses)
		}
	}
	if len(pauses) > 40 || pauses[len(pauses)-1] != lastFaultRetry/2 {
		t.Errorf("%d attempts within two hours, pauses %v", len(pauses), pauses)
	}
	// That this node moved does not mend it.
	before := b
	b.moved(time.Unix(0, 0).Add(2 * time.Hour))
	if b != before {
		t.Error("a change of the network closed the breaker of a faulty peer")
	}
}

func TestABreakerOpensHalfOpensAndCloses(t *testing.T) {
	var b breaker
	now := time.Unix(1_000_000, 0)
	want := func(state BreakerState) {
		t.Helper()
		if got := b.status(now); got.State != state {
			t.Errorf("%+v, want %s", got, state)
		}
	}
	want(BreakerClosed)
	for range openAfter - 1 {
		b.try(now)
		b.fail(now, errFault, 0.5)
		want(BreakerClosed)
		now = now.Add(b.wait(now))
	}
	b.try(now)
	b.fail(now, errFault, 0.5)
	want(BreakerOpen)
	if until := b.status(now).Until; until.Sub(now) != b.wait(now) || until == now {
		t.Errorf("open until %v", until)
	}
	now = now.Add(b.wait(now))
	want(BreakerHalfOpen)
	b.try(now)
	want(BreakerHalfOpen)
	first := b.wait(now)
	b.fail(now, errFault, 0.5)
	want(BreakerOpen)
	if b.wait(now) <= first {
		t.Error("a half-open try that failed does not prolong the pause")
	}
	// A link that breaks the rules again closes nothing.
	b.ended(now, transport.CodeProtocol, time.Hour, 0.5)
	want(BreakerOpen)
	// One that held does.
	b.ended(now, transport.CodeGoingAway, time.Minute, 0.5)
	want(BreakerClosed)
	if b.wait(now) > firstRetry {
		t.Errorf("the first pause is %v", b.wait(now))
	}
}

func TestABusyPeerIsNoFailureAndPeersSpread(t *testing.T) {
	var b breaker
	now := time.Unix(1_000_000, 0)
	for range 100 {
		b.try(now)
		b.fail(now, errBusy, 0)
	}
	if s := b.status(now); s.State != BreakerClosed || s.Failures != 0 {
		t.Errorf("a busy peer has %+v", s)
	}
	// It said 4 seconds: who was refused comes within 2 to 6.
	for _, chance := range []float64{0, 0.5, 0.999} {
		b.fail(now, errBusy, chance)
		if got, want := b.wait(now), 2*time.Second+time.Duration(chance*4e9); got != want {
			t.Errorf("chance %v: a pause of %v, want %v", chance, got, want)
		}
	}
	// It said nothing: longer each time, up to a bound.
	b = breaker{}
	for range 20 {
		b.fail(now, transport.ErrBusy, 0.5)
	}
	if b.wait(now) != lastBusyRetry {
		t.Errorf("the last pause is %v", b.wait(now))
	}
}

func TestABreakerNeverWaitsForEver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b breaker
		now := time.Unix(1_000_000, 0)
		for _, n := range rapid.SliceOf(rapid.IntRange(0, 9)).Draw(t, "events") {
			chance := rapid.Float64Range(0, 0.999).Draw(t, "chance")
			switch err := []error{errSilent, errFault, errBusy, transport.CodeDuplicate, errors.New("x")}[n/2]; n % 2 {
			case 0:
				b.try(now)
				b.fail(now, err, chance)
			case 1:
				b.ended(now, err, time.Duration(n)*time.Second, chance)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "seconds")) * time.Second)
			if w := b.wait(now); w < 0 || w > lastFaultRetry {
				t.Fatalf("a pause of %v", w)
			}
			if h := b.hedge(now); h < firstHedge {
				t.Fatalf("a hedge of %v", h)
			}
		}
	})
}
