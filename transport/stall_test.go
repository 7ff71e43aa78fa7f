package transport_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A partition is noticed by the end that dialed, while it sends something.
func TestAStalledLinkEnds(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		from, to := link(t, a, b)
		exchange(t, from, to)
		time.Sleep(time.Minute)
		w.net.Cut(a.Addr(), b.Addr())
		time.Sleep(time.Minute)
		cut := time.Now()
		send(t, from, "into the void")
		wantEnd(t, from, transport.CodeTimeout, false)
		if took := time.Since(cut); took < 15*time.Second || took > 31*time.Second {
			t.Errorf("it took %v", took)
		}
		w.net.Heal(a.Addr(), b.Addr())
		from, to = link(t, a, b)
		exchange(t, from, to)
	})
}

// A reader that pauses is no stall; a cut is one, whichever way things move.
func TestATransferThatStallsInTheMiddleEnds(t *testing.T) {
	for name, dialerSends := range map[string]bool{"sending": true, "receiving": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				small := transport.Options{WindowBytes: 256 << 10}
				a, b := w.node(small), w.node(small)
				dialer, acceptor := link(t, a, b)
				from, to := dialer, acceptor
				if !dialerSends {
					from, to = acceptor, dialer
				}
				sent, received := make(chan error, 1), make(chan error, 1)
				go func() { sent <- from.Send(t.Context(), make([]byte, transport.MaxFrameBytes)) }()
				time.Sleep(40 * time.Second)
				synctest.Wait() // the window is full
				go func() {
					_, err := to.Receive(t.Context())
					received <- err
				}()
				time.Sleep(55 * time.Millisecond)
				cut := time.Now()
				w.net.Cut(a.Addr(), b.Addr())
				ended := received
				if dialerSends {
					ended = sent
				}
				wantError(t, <-ended, transport.CodeTimeout)
				if took := time.Since(cut); took < 15*time.Second || took > 76*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A peer that reads nothing for a minute is as good as gone; one that reads a
// little now and then is not.
func TestAPeerThatReadsNothingIsGivenUp(t *testing.T) {
	for name, reads := range map[string]bool{"nothing": false, "a little": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				dialer, acceptor := link(t, w.node(transport.Options{}), w.node(transport.Options{WindowBytes: 256 << 10}))
				began := time.Now()
				if reads {
					go func() {
						for range 10 {
							time.Sleep(50 * time.Second)
							acceptor.Receive(t.Context())
						}
					}()
				}
				var err error
				for err == nil {
					err = dialer.Send(t.Context(), make([]byte, 100<<10))
				}
				wantError(t, err, transport.CodeTimeout)
				if took := time.Since(began); reads != (took > 9*time.Minute) || took < time.Minute || took > 10*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// The end that did not dial cannot dial again, perhaps: it keeps trying, and so
// the peer hears at the latest a minute after the network is back.
func TestTheEndThatDidNotDialKeepsTrying(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		dialer, acceptor := link(t, a, b)
		w.net.Cut(a.Addr(), b.Addr())
		send(t, acceptor, "news")
		time.Sleep(3 * time.Minute)
		w.net.Heal(a.Addr(), b.Addr())
		healed := time.Now()
		got, err := dialer.Receive(t.Context())
		if err != nil || string(got) != "news" {
			t.Errorf("received %q, %v", got, err)
		}
		if took := time.Since(healed); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
