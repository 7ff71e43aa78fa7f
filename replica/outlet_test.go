package replica

import (
	"context"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// slowConn is a link that sends a frame each time that somebody takes it.
type slowConn struct {
	transport.Link
	sent chan []byte
}

func (c slowConn) Send(ctx context.Context, frame []byte) error {
	select {
	case c.sent <- append([]byte(nil), frame...):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// deltaFrames returns n frames that can be told apart by their sizes.
func deltaFrames(t *testing.T, n int) (frames []protocol.Frame) {
	t.Helper()
	for i := range n {
		enc := protocol.NewDeltaEncoder(protocol.Build{Number: 1}, func(f protocol.Frame) error {
			frames = append(frames, f)
			return nil
		})
		to := crdt.Vector{}
		for w := range byte(i) {
			to[crdt.WriterID{w}] = 1
		}
		if err := enc.Finish(to, nil); err != nil {
			t.Fatal(err)
		}
	}
	return frames
}

// An announcement that is made once a delta is built tells of more than the
// delta holds: overtaking the delta's last frame it would make the receiver
// believe that it has what it never got.
func TestNoFrameOvertakesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		conn := slowConn{sent: make(chan []byte)}
		o := newOutlet(conn, func(protocol.Lane) {})
		o.begin(func() { go func() { _ = o.run(ctx) }() })
		frames := deltaFrames(t, 5)
		var sizes []int
		for _, f := range frames {
			sizes = append(sizes, f.Len()+1) // and a sequence number
		}
		o.queue(1, frames[0])
		synctest.Wait() // it is about to be sent
		for _, f := range frames[1:3] {
			if err := o.send(ctx, 1, f, nil); err != nil {
				t.Fatal(err)
			}
		}
		o.queue(1, frames[3])
		blocked := make(chan error, 1)
		go func() { blocked <- o.send(ctx, 1, frames[4], nil) }()
		synctest.Wait()
		select {
		case <-blocked:
			t.Error("a third frame of a delta did not have to wait")
		default:
		}
		for i, want := range sizes {
			if got := len(<-conn.sent); got != want {
				t.Errorf("frame %d has %d bytes, want %d: the order changed", i, got, want)
			}
		}
		if err := <-blocked; err != nil {
			t.Error(err)
		}
		cancel()
	})
}

// Something urgent waits for one frame of something bulky, and no more, however
// much of that waits.
func TestTheUrgentWaitsForOneFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		conn := slowConn{sent: make(chan []byte)}
		flushed := make(chan protocol.Lane, 10)
		o := newOutlet(conn, func(at protocol.Lane) { flushed <- at })
		o.begin(func() { go func() { _ = o.run(ctx) }() })
		frames := deltaFrames(t, 8)
		go func() {
			for _, f := range frames[:4] {
				_ = o.send(ctx, 3, f, nil)
			}
		}()
		synctest.Wait() // one is about to be sent, and another waits
		o.queue(3, frames[4])
		o.queue(1, frames[5])
		if err := o.send(ctx, 1, frames[6], nil); err != nil {
			t.Fatal(err)
		}
		o.queue(0, frames[7])
		for i, f := range []int{0, 7, 5, 6, 1, 4, 2, 3} {
			if got, want := len(<-conn.sent), frames[f].Len()+1; got != want {
				t.Errorf("at place %d came a frame of %d bytes, want the %d of frame %d", i, got, want, f)
			}
			synctest.Wait()
		}
		cancel()
		for _, want := range []protocol.Lane{0, 1, 3} {
			if got := <-flushed; got != want {
				t.Errorf("lane %d was flushed, want %d", got, want)
			}
		}
	})
}

// deafConn is a link on which nothing goes out, and whose end is counted.
type deafConn struct {
	transport.Link
	closed *int
}

func (c deafConn) Close(transport.Code, string) error { *c.closed++; return nil }

// However small the frames are that a peer does not take, they cost no more
// memory than is allowed before it loses the link.
func TestSmallFramesCostTheirMemory(t *testing.T) {
	heap := func() uint64 {
		var s runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	closed := 0
	before := heap()
	o := newOutlet(deafConn{closed: &closed}, func(protocol.Lane) {})
	for i := 0; closed == 0; i++ {
		if i > maxQueuedBytes/32 {
			t.Fatalf("%d frames wait, and the link is up", i)
		}
		o.queue(0, deltaFrames(t, 1)[0])
	}
	if grown := int64(heap()) - int64(before); grown > maxQueuedBytes {
		t.Errorf("what waits takes %d bytes, at most %d are allowed", grown, maxQueuedBytes)
	}
	runtime.KeepAlive(o)
}

// What is read when it is due goes out in its place, in order, is read by who
// sends, and lets something urgent through between its frames.
func TestWhatIsReadWhenItIsDueKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		conn := slowConn{sent: make(chan []byte)}
		flushed := make(chan protocol.Lane, 10)
		o := newOutlet(conn, func(at protocol.Lane) { flushed <- at })
		frames, reads := deltaFrames(t, 6), 0
		o.queue(2, frames[0])
		o.queueLoad(2, 10, func() ([]protocol.Frame, error) { reads++; return frames[1:3], nil })
		o.queueLoad(2, 10, func() ([]protocol.Frame, error) { reads++; return nil, nil })
		if err := o.send(ctx, 2, frames[3], nil); err != nil {
			t.Fatal(err)
		}
		o.queue(2, frames[4])
		if reads != 0 {
			t.Error("it was read when it was queued")
		}
		o.begin(func() { go func() { _ = o.run(ctx) }() })
		for i, f := range []int{0, 1, 2, 5, 3, 4} {
			synctest.Wait() // the next is about to be sent
			if i == 2 {
				o.queue(1, frames[5])
			}
			if got, want := len(<-conn.sent), frames[f].Len()+1; got != want {
				t.Errorf("at place %d came a frame of %d bytes, want the %d of frame %d", i, got, want, f)
			}
		}
		synctest.Wait()
		cancel()
		if first, second := <-flushed, <-flushed; first != 1 || second != 2 || len(flushed) > 0 || o.bytes != 0 {
			t.Errorf("lanes %d and %d were flushed, %d more, and %d bytes wait", first, second, len(flushed), o.bytes)
		}
	})
}
