package sim

import (
	"slices"

	"github.com/anabranch-db/anabranch/replica/protocol"
)

// build is a delta on its way to a peer, a frame at a time.
type build struct {
	protocol.Build
	node      *Node
	space     *space
	at        *state // nil before it is taken
	frames    []protocol.Frame
	built     protocol.Built
	cancelled bool
	waits     bool // until its snapshot is on disk
	sending   bool // frames, one of which is in a lane
}

func (n *Node) startBuild(e protocol.Build) {
	b := &build{Build: e, node: n, space: e.Namespace.(*space), built: protocol.Built{Job: e.Job}}
	n.builds = append(n.builds, b)
	d := n.job("build")
	n.after(int64(d.IntN(6)), func() {
		if d.In(n.failing) {
			b.end(errFailed)
			return
		}
		b.take()
	})
}

// end posts what became of the build.
func (b *build) end(err error) {
	n := b.node
	n.builds = slices.DeleteFunc(n.builds, func(o *build) bool { return o == b })
	b.built.Err = err
	n.post(func() { n.step(b.built) })
}

// stopped ends the build if nobody waits for it.
func (b *build) stopped() bool {
	if b.cancelled || b.space.closed || b.node.endOf(b.Link) == nil {
		b.end(errCanceled)
		return true
	}
	return false
}

// take takes the snapshot, and sends it once it is on disk.
func (b *build) take() {
	if b.stopped() {
		return
	}
	if far := b.node.endOf(b.Link).far.node.space(b.space.name); far != nil && b.node.world.healed > 0 {
		far.rounds++
	}
	b.at = b.space.visible
	b.waits = true
	b.space.whenDurable(func() {
		b.waits = false
		if b.stopped() {
			return
		}
		if err := b.encode(); err != nil || b.built.Withheld {
			b.end(err)
			return
		}
		b.sendNext()
	})
}

// encode makes the frames.
func (b *build) encode() error {
	sp, w := b.space, b.node.world
	past, floor := b.at.past, b.at.floor
	base, brings, ok := b.Base(past, floor)
	b.built.To, b.built.Floor, b.built.Withheld = past.Normal(), floor, !ok
	if !ok {
		return nil
	}
	if !b.Reconciles && len(floor) > 0 {
		return errFailed
	}
	b.built.Introduced = protocol.Unintroduced(past.Since(b.From), b.Introduced)
	for f := range protocol.EncodeWriters(b.Number, sp.recordsOf(b.built.Introduced), noCertificate) {
		b.frames = append(b.frames, f)
	}
	if b.offers() {
		b.built.Offered = true
		b.node.keep(&offer{end: b.node.endOf(b.Link), space: sp, run: uint64(b.Job), state: b.at})
		b.frames = append(b.frames, protocol.EncodeSource(b.Build, b.built.To, floor))
		w.count.Offers++
		return nil
	}
	enc := protocol.NewDeltaEncoder(b.Build, func(f protocol.Frame) error {
		b.frames = append(b.frames, f)
		return nil
	})
	enc.Bring(brings)
	for _, e := range b.at.since(base) {
		if err := enc.Add(e); err != nil {
			return err
		}
	}
	err := enc.Finish(b.built.To, floor)
	b.built.Sent = enc.Sent()
	return err
}

// offers reports whether a snapshot is offered in the place of a delta: where
// it must be, and by chance where the peer has next to nothing.
func (b *build) offers() bool {
	if !b.Reconciles {
		return false
	}
	if !b.From.Empty() && !b.From.CoversAll(b.at.floor) {
		return true
	}
	d := b.node.job("offer")
	return b.From.Empty() && d.In(200)
}

// sendNext sends a frame, and the next once that is on its way.
func (b *build) sendNext() {
	if b.stopped() {
		return
	}
	f := b.frames[0]
	b.frames = b.frames[1:]
	last := len(b.frames) == 0
	b.sending = !last
	b.node.send(b.Link, b.Lane, frame{frame: f, then: func() {
		if !last {
			b.sendNext()
		}
	}})
	if last {
		b.end(nil)
	}
}
