package transport_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestCloseCodesArrive(t *testing.T) {
	w := newWorld(t)
	a, b := w.node(transport.Options{}), w.node(transport.Options{})
	for _, code := range []transport.Code{transport.CodeNone, transport.CodeDuplicate, transport.CodeForged, 4711} {
		from, to := link(t, a, b)
		if err := from.Close(code, "because"); err != nil {
			t.Fatal(err)
		}
		if err := from.Close(transport.CodeInternal, "another reason"); err != nil {
			t.Errorf("closing again: %v", err)
		}
		if end := wantEnd(t, from, code, false); end.Reason != "because" {
			t.Errorf("the reason here is %q", end.Reason)
		}
		end := wantEnd(t, to, code, true)
		if end.Reason != "because" {
			t.Errorf("the reason there is %q", end.Reason)
		}
		wantError(t, end, transport.ErrClosed, code)
		if errors.Is(end, transport.CodeRevoked) {
			t.Errorf("%v is another code's error", end)
		}
		wantError(t, to.Send(soon(t), []byte("late")), code)
		wantError(t, from.Send(soon(t), []byte("late")), code)
	}
}

func TestAReasonIsCutToWhatIsAllowed(t *testing.T) {
	w := newWorld(t)
	from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
	from.Close(transport.CodeInternal, strings.Repeat("é", 200)+"x")
	end := wantEnd(t, to, transport.CodeInternal, true)
	if want := strings.Repeat("é", 128); end.Reason != want {
		t.Errorf("the reason is %q of %d bytes", end.Reason, len(end.Reason))
	}
}

func TestClosingANetworkSaysGoodbye(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		from, to := link(t, a, b)
		waiting := make(chan error)
		go func() {
			_, err := a.Accept(context.Background())
			waiting <- err
		}()
		synctest.Wait()
		closeNetwork(t, a)
		wantError(t, <-waiting, transport.ErrClosed)
		wantEnd(t, from, transport.CodeGoingAway, false)
		wantEnd(t, to, transport.CodeGoingAway, true)
		_, err := a.Dial(soon(t), b.Addr())
		wantError(t, err, transport.ErrClosed)
		closeNetwork(t, a) // again
	})
}

func TestBothMayDialAtOnce(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		fromA, fromB := dialing(t, a, b), dialing(t, b, a)
		exchange(t, <-fromA, accept(t, b))
		exchange(t, <-fromB, accept(t, a))
	})
}

// dialing dials in the background.
func dialing(t *testing.T, from, to transport.Network) <-chan transport.Link {
	got := make(chan transport.Link, 1)
	go func() {
		l, err := from.Dial(soon(t), to.Addr())
		if err != nil {
			t.Error(err)
		}
		got <- l
	}()
	return got
}

func TestFramesToSendHaveBounds(t *testing.T) {
	w := newWorld(t)
	from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
	wantError(t, from.Send(soon(t), nil), transport.ErrFrameSize)
	wantError(t, from.Send(soon(t), make([]byte, transport.MaxFrameBytes+1)), transport.ErrFrameSize)
	exchange(t, from, to) // no harm done
}

// A peer that does not read blocks its sender, and costs it nothing else.
func TestSendBlocksOnAPeerThatDoesNotRead(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{WindowBytes: 256 << 10}))
		frame := bytes.Repeat([]byte("x"), 100<<10)
		sent := 0
		for from.Stats().FramesSent < 100 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			err := from.Send(ctx, frame)
			cancel()
			if err != nil {
				wantError(t, err, context.DeadlineExceeded)
				break
			}
			sent++
		}
		if sent != 2 {
			t.Errorf("%d frames of 100 KiB went into a window of 256 KiB", sent)
		}
		// Half a frame went out: the link is of no use any more.
		wantEnd(t, from, transport.CodeNone, false)
		wantEnd(t, to, transport.CodeNone, true)
	})
}

func TestASendThatNeverBeganLeavesTheLinkWhole(t *testing.T) {
	bubble(t, simnet.Options{}, func(t *testing.T, w *world) {
		from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{WindowBytes: 256 << 10}))
		big := bytes.Repeat([]byte("x"), transport.MaxFrameBytes)
		first := make(chan error)
		go func() { first <- from.Send(t.Context(), big) }()
		synctest.Wait() // it fills the window
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, from.Send(ctx, big), context.DeadlineExceeded)
		if got := receive(t, to); got != string(big) {
			t.Errorf("received %d bytes", len(got))
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		exchange(t, from, to)
	})
}

// Receive can be given up at any point of a frame, and goes on there.
func TestReceiveGoesOnWhereItStopped(t *testing.T) {
	bubble(t, simnet.Options{Latency: 50 * time.Millisecond}, func(t *testing.T, w *world) {
		from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
		want := bytes.Repeat([]byte("0123456789"), 100_000)
		go func() {
			for range 3 {
				send(t, from, string(want))
			}
		}()
		interrupted := 0
		for n := 0; n < 3; {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			got, err := to.Receive(ctx)
			cancel()
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				interrupted++
			case err != nil:
				t.Fatal(err)
			case !bytes.Equal(got, want):
				t.Fatalf("received %d bytes that were not sent", len(got))
			default:
				n++
			}
		}
		if interrupted < 3 {
			t.Errorf("%d interruptions prove nothing", interrupted)
		}
	})
}

func TestConcurrentSendsDoNotMix(t *testing.T) {
	w := newWorld(t)
	from, to := link(t, w.node(transport.Options{}), w.node(transport.Options{}))
	const senders, each = 8, 50
	for s := range senders {
		go func() {
			frame := strings.Repeat(string(rune('a'+s)), 1+s*5000)
			for range each {
				send(t, from, frame)
			}
		}()
	}
	for range senders * each {
		frame := receive(t, to)
		if strings.Trim(frame, frame[:1]) != "" || len(frame) != 1+int(frame[0]-'a')*5000 {
			t.Fatalf("a frame of %d bytes, beginning with %q, is mixed", len(frame), frame[:1])
		}
	}
	stats := to.Stats()
	if stats.FramesReceived != senders*each || stats.BytesReceived == 0 || stats.RTT <= 0 {
		t.Errorf("stats are %+v", stats)
	}
}

// A release that frames in the older way and one that knows both link, and
// frames of any size arrive both ways.
func TestAnOlderReleaseLinks(t *testing.T) {
	for _, old := range []bool{false, true} {
		w := newWorld(t)
		a, b := w.node(transport.Options{}), w.node(transport.Options{})
		if old {
			a.AsOld()
		}
		from, to := link(t, a, b)
		for _, size := range []int{1, 127, 128, 1 << 14, 1 << 20} {
			frame := bytes.Repeat([]byte{7}, size)
			for _, way := range [][2]transport.Link{{from, to}, {to, from}} {
				sent := make(chan error, 1)
				go func() { sent <- way[0].Send(soon(t), frame) }()
				got, err := way[1].Receive(soon(t))
				if err = errors.Join(err, <-sent); err != nil || !bytes.Equal(got, frame) {
					t.Errorf("old %v: of %d bytes %d arrived: %v", old, size, len(got), err)
				}
			}
		}
		length := from.Stats().FrameBytesSent - uint64(1+127+128+1<<14+1<<20)
		if want := map[bool]uint64{false: 1 + 1 + 2 + 3 + 3, true: 5 * 4}[old]; length != want || to.Stats().FrameBytesReceived != from.Stats().FrameBytesSent {
			t.Errorf("old %v: lengths took %d bytes, want %d", old, length, want)
		}
	}
}
