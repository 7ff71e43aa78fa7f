package simnet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// world is a simulated network in fake time with endpoints a, b and c.
type world struct {
	t       *testing.T
	net     *simnet.Net
	a, b, c *simnet.Endpoint
}

func bubble(t *testing.T, o simnet.Options, run func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: simnet.New(o)}
		defer w.net.Close()
		w.a, w.b, w.c = w.listen("a"), w.listen("b"), w.listen("c")
		run(w)
	})
}

func (w *world) listen(addr string) *simnet.Endpoint {
	w.t.Helper()
	e, err := w.net.Listen(transport.Credential{Node: crdt.NodeID{addr[0]}, Grants: transport.AllNamespaces()}, addr)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) link(from, to *simnet.Endpoint) (dialed, accepted transport.Link) {
	w.t.Helper()
	dialed, err := from.Dial(w.t.Context(), to.Addr())
	if err != nil {
		w.t.Fatal(err)
	}
	accepted, err = to.Accept(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return dialed, accepted
}

func (w *world) send(l transport.Link, frame string) {
	w.t.Helper()
	if err := l.Send(w.t.Context(), []byte(frame)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) receive(l transport.Link, want string) {
	w.t.Helper()
	got, err := l.Receive(w.t.Context())
	if err != nil || string(got) != want {
		w.t.Fatalf("received %q, %v, want %q", got, err, want)
	}
}

func (w *world) wantEnd(l transport.Link, code transport.Code, remote bool) {
	w.t.Helper()
	_, err := l.Receive(w.t.Context())
	var end *transport.CloseError
	if !errors.As(err, &end) || end.Code != code || end.Remote != remote {
		w.t.Fatalf("the link ended with %v, want %v, remote %v", err, code, remote)
	}
	if err := l.Send(w.t.Context(), []byte("late")); !errors.Is(err, code) {
		w.t.Errorf("sending on it gave %v", err)
	}
}

func TestFramesTakeTheirTimeAndKeepTheirOrder(t *testing.T) {
	bubble(t, simnet.Options{Seed: 5, Latency: time.Second, Jitter: time.Second}, func(w *world) {
		from, to := w.link(w.a, w.b)
		peer, self := from.Peer(), to.Peer()
		if peer.Node != (crdt.NodeID{'b'}) || self.Node != (crdt.NodeID{'a'}) || !from.Dialed() || to.Dialed() || to.RemoteAddr() != "a" {
			t.Error("the ends do not know each other")
		}
		began := time.Now()
		for i := range 100 {
			w.send(from, fmt.Sprint(i))
		}
		for i := range 100 {
			w.receive(to, fmt.Sprint(i))
		}
		if took := time.Since(began); took < time.Second || took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if s := to.Stats(); s.FramesReceived != 100 || s.BytesReceived == 0 || s.RTT != 2*time.Second {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestACutLosesWhatIsInFlight(t *testing.T) {
	bubble(t, simnet.Options{Latency: time.Second}, func(w *world) {
		from, to := w.link(w.a, w.b)
		aside, _ := w.link(w.a, w.c)
		w.send(from, "arrives")
		time.Sleep(1500 * time.Millisecond)
		w.receive(to, "arrives")
		w.send(from, "is lost")
		w.net.Cut("b", "a")
		w.wantEnd(from, transport.CodeTimeout, false)
		w.wantEnd(to, transport.CodeTimeout, false)
		w.send(aside, "others go on")
		if _, err := w.a.Dial(w.t.Context(), "b"); !errors.Is(err, transport.ErrUnreachable) {
			t.Errorf("dialing over a cut gave %v", err)
		}
		w.net.Heal("a", "b")
		from, to = w.link(w.b, w.a)
		w.send(from, "again")
		w.receive(to, "again")
	})
}

// A cut on the way of a dial loses the request or the answer.
func TestADialCanBeCutAtAnyPoint(t *testing.T) {
	for _, after := range []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond} {
		bubble(t, simnet.Options{Latency: time.Second}, func(w *world) {
			time.AfterFunc(after, func() { w.net.Cut("a", "b") })
			l, err := w.a.Dial(w.t.Context(), "b")
			if err == nil {
				w.wantEnd(l, transport.CodeTimeout, false)
			} else if !errors.Is(err, transport.ErrUnreachable) {
				t.Error(err)
			}
		})
	}
}

func TestAPartitionPartsGroupsAndJoinsWithin(t *testing.T) {
	bubble(t, simnet.Options{}, func(w *world) {
		w.net.Cut("a", "b")
		w.net.Partition([]string{"a", "b"}, []string{"c"})
		w.link(w.a, w.b)
		for _, to := range []string{"a", "b"} {
			if _, err := w.c.Dial(w.t.Context(), to); !errors.Is(err, transport.ErrUnreachable) {
				t.Errorf("c dialed %s: %v", to, err)
			}
		}
		w.net.HealAll()
		w.link(w.c, w.a)
	})
}

func TestABreakEndsLinksAndNoDials(t *testing.T) {
	bubble(t, simnet.Options{}, func(w *world) {
		from, to := w.link(w.a, w.b)
		w.net.Break("a", "b")
		w.wantEnd(from, transport.CodeTimeout, false)
		w.wantEnd(to, transport.CodeTimeout, false)
		w.link(w.a, w.b)
	})
}

func TestClosingArrivesBehindTheFrames(t *testing.T) {
	bubble(t, simnet.Options{Latency: time.Second}, func(w *world) {
		from, to := w.link(w.a, w.b)
		w.send(from, "last words")
		time.Sleep(time.Millisecond) // what is unread at the end is lost
		from.Close(transport.CodeForged, "because")
		from.Close(transport.CodeNone, "again")
		w.wantEnd(from, transport.CodeForged, false)
		w.receive(to, "last words")
		w.wantEnd(to, transport.CodeForged, true)
	})
}

func TestAnEndpointThatClosesSaysGoodbye(t *testing.T) {
	bubble(t, simnet.Options{}, func(w *world) {
		from, to := w.link(w.a, w.b)
		w.a.Close()
		w.a.Close()
		w.wantEnd(from, transport.CodeGoingAway, false)
		w.wantEnd(to, transport.CodeGoingAway, true)
		if _, err := w.a.Accept(w.t.Context()); !errors.Is(err, transport.ErrClosed) {
			t.Error(err)
		}
		if _, err := w.a.Dial(w.t.Context(), "b"); !errors.Is(err, transport.ErrClosed) {
			t.Error(err)
		}
		if _, err := w.net.Listen(transport.Credential{}, "b"); err == nil {
			t.Error("an address was given twice")
		}
		w.link(w.b, w.listen("a"))
	})
}

func TestAnEndpointThatIsKilledDoesNot(t *testing.T) {
	bubble(t, simnet.Options{}, func(w *world) {
		from, to := w.link(w.a, w.b)
		w.net.Kill("a")
		w.net.Kill("a")
		w.wantEnd(from, transport.CodeTimeout, false)
		w.wantEnd(to, transport.CodeTimeout, false)
		w.link(w.b, w.listen("a"))
	})
}

func TestDialingHasItsErrors(t *testing.T) {
	bubble(t, simnet.Options{Latency: time.Second}, func(w *world) {
		if _, err := w.a.Dial(w.t.Context(), "a"); !errors.Is(err, transport.ErrSelf) {
			t.Error(err)
		}
		if _, err := w.a.Dial(w.t.Context(), "nowhere"); !errors.Is(err, transport.ErrUnreachable) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(w.t.Context(), 1500*time.Millisecond)
		defer cancel()
		if _, err := w.a.Dial(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		accepted, err := w.b.Accept(w.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.wantEnd(accepted, transport.CodeGoingAway, true) // nobody waits for it
		for range 64 {
			if _, err := w.a.Dial(w.t.Context(), "b"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.a.Dial(w.t.Context(), "b"); !errors.Is(err, transport.ErrBusy) {
			t.Error(err)
		}
	})
}

func TestAReaderThatIsSlowBlocksItsSender(t *testing.T) {
	bubble(t, simnet.Options{WindowBytes: 100}, func(w *world) {
		from, to := w.link(w.a, w.b)
		frame := strings.Repeat("x", 60)
		w.send(from, frame)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		if err := from.Send(ctx, []byte(frame)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a full window took a frame: %v", err)
		}
		go func() {
			time.Sleep(time.Second)
			to.Receive(w.t.Context())
		}()
		w.send(from, frame)
		w.receive(to, frame)
		w.send(from, strings.Repeat("y", 1000)) // larger than the window: alone
		if _, err := to.Receive(w.t.Context()); err != nil {
			t.Error(err)
		}
		for _, size := range []int{0, transport.MaxFrameBytes + 1} {
			if err := from.Send(w.t.Context(), make([]byte, size)); !errors.Is(err, transport.ErrFrameSize) {
				t.Errorf("a frame of %d bytes: %v", size, err)
			}
		}
	})
}

func TestReceivingCanBeGivenUp(t *testing.T) {
	bubble(t, simnet.Options{Latency: time.Second}, func(w *world) {
		from, to := w.link(w.a, w.b)
		w.send(from, "later")
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := to.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		w.receive(to, "later")
	})
}
