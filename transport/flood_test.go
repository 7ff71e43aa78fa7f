package transport_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// A member that keeps dialing has a few links, the newest ones: one process
// has 4, and copies of one device have 16 in all.
func TestOneIdentityHasFewLinks(t *testing.T) {
	for _, c := range []struct{ copies, dials, kept int }{{1, 6, 4}, {6, 6, 6}, {18, 18, 16}, {6, 18, 16}} {
		bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
			id := w.identity()
			n := w.node(transport.Options{})
			var copies []*transport.QUIC
			for range c.copies {
				copies = append(copies, w.open(id, transport.Options{}))
			}
			var links []transport.Link
			for i := range c.dials {
				l, end := link(t, copies[i%c.copies], n)
				if end.Instance() != copies[i%c.copies].Instance() || l.Instance() != n.Instance() {
					t.Error("the ends do not know each other's instance")
				}
				links = append(links, l)
				synctest.Wait()
			}
			for i, l := range links {
				if i < c.dials-c.kept {
					// One process that dialed them all counts them too.
					if end := endOf(t, l); end.Code != transport.CodeDuplicate || !end.Remote && c.copies > 1 {
						t.Errorf("%d copies: link %d of %d ended with %v", c.copies, i+1, c.dials, end)
					}
				} else if err := l.Send(t.Context(), []byte("x")); err != nil {
					t.Errorf("%d copies: link %d of %d: %v", c.copies, i+1, c.dials, err)
				}
			}
		})
	}
}

// A process that starts where another one was takes its place. The one before
// had no time to say goodbye.
func TestARestartedPeerReplacesItsLink(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		id := w.identity()
		n := w.node(transport.Options{})
		before := w.socket("10.9.0.1:1")
		_, end := link(t, w.open(id, transport.Options{Conn: before}), n)
		copied, _ := link(t, w.open(id, transport.Options{}), n)
		before.Close() // and nothing more is heard
		link(t, w.open(id, transport.Options{Listen: "10.9.0.1:1"}), n)
		wantEnd(t, end, transport.CodeDuplicate, false)
		if err := copied.Send(t.Context(), []byte("x")); err != nil {
			t.Errorf("the link of a copy: %v", err)
		}
	})
}

// Copies of one device link with each other as any two nodes do.
func TestCopiesOfOneDeviceLink(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		id := w.identity()
		from, to := link(t, w.open(id, transport.Options{}), w.open(id, transport.Options{}))
		exchange(t, from, to)
	})
}

func TestLinksAreBoundedAndTheirPlacesUsedAgain(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		n := w.node(transport.Options{MaxLinks: 2})
		first, _ := link(t, w.node(transport.Options{}), n)
		link(t, w.node(transport.Options{}), n)
		third := w.node(transport.Options{})
		_, err := third.Dial(soon(t), n.Addr())
		wantError(t, err, transport.ErrBusy)
		first.Close(transport.CodeNone, "")
		time.Sleep(time.Second)
		link(t, third, n)
	})
}

// Handshakes that go nowhere take their own share of places, and end. From
// half of them on an address has to be proved first; members still get in.
func TestAFloodOfHandshakesIsBounded(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		n := w.node(transport.Options{})
		to := udpAddr(t, n.Addr())
		flood := w.socket("10.4.0.1:1")
		defer flood.Close()
		for range 300 {
			flood.WriteTo(firstPacket(t, w), to)
		}
		synctest.Wait()
		from, there := link(t, w.node(transport.Options{}), n)
		exchange(t, from, there)
		time.Sleep(11 * time.Second)
		link(t, w.node(transport.Options{}), n)
	})
}

// Links that nobody accepts are told so in time, and cost no more than their
// number.
func TestLinksThatNobodyAcceptsAreRefused(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		n := w.node(transport.Options{})
		ended := make(chan error)
		const dialers, room = 70, 64
		for range dialers {
			q := w.node(transport.Options{})
			go func() {
				l, err := q.Dial(t.Context(), n.Addr())
				for errors.Is(err, transport.ErrBusy) { // so many handshakes at once
					l, err = q.Dial(t.Context(), n.Addr())
				}
				if err == nil {
					_, err = l.Receive(t.Context())
				}
				ended <- err
			}()
		}
		for range dialers - room {
			wantError(t, <-ended, transport.CodeBusy)
		}
		for range room {
			accept(t, n).Close(transport.CodeNone, "")
			wantError(t, <-ended, transport.CodeNone)
		}
	})
}

// A thousand devices that come back at once all get in, some later.
func TestAThunderingHerdGetsIn(t *testing.T) {
	if testing.Short() {
		t.Skip("a few hundred handshakes take seconds of processor time")
	}
	bubble(t, simnet.Options{Jitter: 20 * time.Millisecond}, func(t *testing.T, w *world) {
		hub := w.node(transport.Options{})
		const herd = 300
		began, up := time.Now(), make(chan error)
		for range herd {
			q := w.node(transport.Options{})
			go func() {
				for wait := 100 * time.Millisecond; ; wait *= 2 {
					_, err := q.Dial(t.Context(), hub.Addr())
					if !errors.Is(err, transport.ErrBusy) && !errors.Is(err, transport.ErrUnreachable) {
						up <- err
						return
					}
					time.Sleep(wait)
				}
			}()
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			for {
				if _, err := hub.Accept(ctx); err != nil {
					return
				}
			}
		}()
		for range herd {
			if err := <-up; err != nil {
				t.Error(err)
			}
		}
		cancel()
		if took := time.Since(began); took > 20*time.Second || hub.Held() != herd {
			t.Errorf("%d of %d got in, in %v", hub.Held(), herd, took)
		}
	})
}

// Opening and closing links leaves nothing behind: bubble fails if a
// goroutine is left, and this test if the network still counts a link.
func TestLinksLeaveNothingBehind(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{MaxLinks: 3})
		for i := range 20 {
			from, to := link(t, a, b)
			exchange(t, from, to)
			if i%2 == 0 {
				from, to = to, from
			}
			from.Close(transport.CodeNone, "")
			wantEnd(t, to, transport.CodeNone, true)
			synctest.Wait()
			if a.Held() > 0 || b.Held() > 0 {
				t.Fatal("a link that has ended is held")
			}
		}
		// A handshake that is given up, at any point of it.
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*5*time.Millisecond)
			if l, err := a.Dial(ctx, b.Addr()); err == nil {
				l.Close(transport.CodeNone, "")
				accept(t, b)
			} else {
				wantError(t, err, context.DeadlineExceeded)
			}
			cancel()
			time.Sleep(11 * time.Second)
		}
		link(t, a, b)
	})
}

func TestAWindowBoundsWhatIsInFlight(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		_, stream, l := w.enrolled(w.node(transport.Options{WindowBytes: 300 << 10}))
		stream.SetWriteDeadline(time.Now().Add(time.Second))
		sent, err := stream.Write(make([]byte, 10<<20))
		if err == nil || sent > 310<<10 {
			t.Errorf("%d bytes went into a window of 300 KiB: %v", sent, err)
		}
		l.Close(transport.CodeNone, "")
	})
}
