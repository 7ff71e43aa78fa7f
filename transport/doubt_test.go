package transport_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// doubted reports whether a link's peer is doubted to answer.
func doubted(l transport.Link) bool { return l.(transport.Doubtful).Doubted() }

// A device that changes networks keeps its links: they move to the new path.
func TestALinkMovesWithItsNode(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		from, to := link(t, a, b)
		exchange(t, from, to)
		for _, at := range []string{"10.7.0.1:1", "10.7.0.2:1", "10.7.0.3:1", "10.7.0.4:1", "10.7.0.5:1", "10.7.0.6:1"} {
			time.Sleep(time.Minute)
			if err := w.net.Rebind(a.Addr(), at); err != nil {
				t.Fatal(err)
			}
			moved := time.Now()
			a.NetworkChanged()
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			if got := to.RemoteAddr(); got != at {
				t.Errorf("the peer sends to %s, and the node is at %s", got, at)
			}
			// Nothing was said on the link since: the peer can speak first.
			send(t, to, "news")
			if got := receive(t, from); got != "news" {
				t.Errorf("received %q", got)
			}
			exchange(t, from, to)
			if took := time.Since(moved); took > time.Second || doubted(from) {
				t.Errorf("it took %v, doubted %v", took, doubted(from))
			}
		}
	})
}

// What was under way when the path went is sent again at once on the next, and
// goes on at a rate that is learned there.
func TestATransferMovesWithItsNode(t *testing.T) {
	for name, dialerSends := range map[string]bool{"sending": true, "receiving": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				a, b := w.node(transport.Options{}), w.node(transport.Options{})
				dialer, acceptor := link(t, a, b)
				exchange(t, dialer, acceptor)
				time.Sleep(time.Minute)
				from, to := dialer, acceptor
				if !dialerSends {
					from, to = acceptor, dialer
				}
				go func() {
					time.Sleep(65 * time.Millisecond)
					w.net.Cut(a.Addr(), b.Addr())
				}()
				go from.Send(soon(t), make([]byte, transport.MaxFrameBytes))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if !doubted(from) {
					t.Error("a link whose packets go unanswered is not doubted")
				}
				if err := w.net.Rebind(a.Addr(), "10.7.0.1:1"); err != nil {
					t.Fatal(err)
				}
				moved := time.Now()
				a.NetworkChanged()
				if got := receive(t, to); len(got) != transport.MaxFrameBytes {
					t.Errorf("received %d bytes", len(got))
				}
				// Without migrating it takes 300 ms.
				if took := time.Since(moved); took > 250*time.Millisecond {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A path that works again is found within a second, though nobody tells, and
// the repeats of QUIC are far apart by then.
func TestAStalledLinkIsBackWithinASecond(t *testing.T) {
	for _, outage := range []time.Duration{3 * time.Second, 7 * time.Second, 13 * time.Second} {
		t.Run(outage.String(), func(t *testing.T) {
			bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
				var changes atomic.Int32
				a := w.node(transport.Options{Doubts: func() { changes.Add(1) }})
				b := w.node(transport.Options{})
				from, to := link(t, a, b)
				exchange(t, from, to)
				time.Sleep(time.Minute)
				w.net.Cut(a.Addr(), b.Addr())
				send(t, from, "one")
				time.Sleep(outage)
				if !doubted(from) || changes.Load() != 1 {
					t.Errorf("doubted %v, %d changes", doubted(from), changes.Load())
				}
				w.net.Heal(a.Addr(), b.Addr())
				healed := time.Now()
				if got := receive(t, to); got != "one" {
					t.Errorf("received %q", got)
				}
				if took := time.Since(healed); took > time.Second {
					t.Errorf("it took %v", took)
				}
				time.Sleep(2 * time.Second)
				if doubted(from) || changes.Load() != 2 {
					t.Errorf("doubted %v, %d changes", doubted(from), changes.Load())
				}
			})
		})
	}
}

// A link that is lost with the network is doubted soon, so that its node can
// be dialed elsewhere; and silence after an exchange is no reason to doubt.
func TestALinkIsDoubtedForAReason(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		var changes atomic.Int32
		counted := transport.Options{Doubts: func() { changes.Add(1) }}
		a, b := w.node(counted), w.node(counted)
		from, to := link(t, a, b)
		for range 10 {
			exchange(t, from, to)
			time.Sleep(10 * time.Second)
			a.NetworkChanged()
			b.NetworkChanged()
			time.Sleep(10 * time.Second)
		}
		if changes.Load() != 0 {
			t.Fatalf("a link that works was doubted, %d changes", changes.Load())
		}
		w.net.Cut(a.Addr(), b.Addr())
		time.Sleep(time.Minute)
		a.NetworkChanged()
		time.Sleep(time.Second)
		if !doubted(from) {
			t.Error("a link that is lost is not doubted")
		}
		wantEnd(t, from, transport.CodeTimeout, false)
	})
}

// A change of the network answers no packet: a link that was dialed from
// elsewhere, and is doubted since packets went unanswered, stays so.
func TestAChangeOfTheNetworkIsNoAnswer(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::]:0"} {
		t.Run(at, func(t *testing.T) {
			var changes atomic.Int32
			w := newWorld(t)
			a, b := w.node(transport.Options{}), w.node(transport.Options{Listen: at, Doubts: func() { changes.Add(1) }})
			to := udpAddr(t, b.Addr())
			if _, err := a.Dial(soon(t), fmt.Sprintf("127.0.0.1:%d", to.Port)); err != nil {
				t.Fatal(err)
			}
			l := accept(t, b)
			b.NetworkChanged()
			if doubted(l) {
				t.Error("a link at an address that is there is doubted")
			}
			transport.SetDoubt(l, true)
			for range 3 {
				b.NetworkChanged()
			}
			if !doubted(l) || changes.Load() != 1 {
				t.Errorf("doubted %v, after %d changes", doubted(l), changes.Load())
			}
		})
	}
}

// An address that is gone is a reason for doubt until it is back.
func TestALinkIsDoubtedWhileItsAddressIsGone(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		_, l := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
		for i, step := range []struct{ local, want bool }{{true, false}, {false, true}, {false, true}, {true, false}} {
			if transport.SetLocal(l, step.local); doubted(l) != step.want {
				t.Errorf("step %d: doubted %v", i, doubted(l))
			}
		}
		transport.SetDoubt(l, true)
		if transport.SetLocal(l, true); !doubted(l) {
			t.Error("another doubt is over")
		}
	})
}
