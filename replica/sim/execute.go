package sim

import (
	"errors"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

var (
	errNoNamespace = errors.New("the namespace is not open here")
	errFailed      = errors.New("the disk failed")
	errCanceled    = errors.New("canceled")
	errNoOffer     = errors.New("the snapshot is gone")
)

func durableEvent(sp *space) protocol.Event {
	return protocol.Durable{Namespace: sp.name, Past: sp.durable.past}
}

// step steps the machine, does what it says, and checks what must hold.
func (n *Node) step(ev protocol.Event) {
	w := n.world
	w.count.Steps++
	if w.trace != nil {
		w.tracef("%s <- %s", n.name, describe(ev))
	}
	effects := n.machine.Step(w.schedule.now+1, ev)
	w.hash.number(uint64(w.schedule.now)<<20 | uint64(n.number)<<10 | uint64(len(effects)))
	for _, e := range effects {
		if w.trace != nil {
			w.tracef("    %s", describe(e))
		}
		n.execute(e)
	}
	w.check(n)
}

// execute carries out an effect, as Executor in package protocol says.
func (n *Node) execute(e protocol.Effect) {
	switch e := e.(type) {
	case protocol.Send:
		n.send(e.Link, e.Lane, frame{frame: e.Frame, machine: true})
	case protocol.Introduce:
		for f := range protocol.EncodeWriters(e.Number, e.Namespace.(*space).recordsOf(e.Writers), noCertificate) {
			n.send(e.Link, e.Lane, frame{frame: f, machine: true})
		}
	case protocol.Build:
		n.mayRead(n.endOf(e.Link), e.Namespace.Name())
		n.startBuild(e)
	case protocol.Cancel:
		n.cancel(e.Job)
	case protocol.Apply:
		n.mayWrite(n.endOf(e.Link), e.Namespace.Name())
		n.enqueue(e.Link, e.Namespace.(*space), task{apply: &e})
	case protocol.LearnRevocations:
		n.learnRevocations(e)
	case protocol.Learn:
		n.enqueue(e.Link, e.Namespace.(*space), task{learn: &e})
	case protocol.Reconcile:
		n.enqueue(e.Link, e.Namespace.(*space), task{compare: &e})
	case protocol.TakeAnswer:
		n.enqueue(e.Link, e.Namespace.(*space), task{answer: &e})
	case protocol.Serve:
		n.serve(e)
	case protocol.EndServe:
		n.offers = slices.DeleteFunc(n.offers, func(o *offer) bool { return o.run == e.Run })
	case protocol.Offer:
		n.offer(e)
	case protocol.TakeDigest:
		n.takeDigest(e)
	case protocol.Compared:
		n.compared(e)
	case protocol.SetTimer:
		n.setTimer(e.AtMillis)
	case protocol.Close:
		n.closeLink(e)
	case protocol.Ahead:
		n.ahead(e)
	}
}

func noCertificate(crdt.NodeID) []byte { return nil }

func (n *Node) send(id protocol.LinkID, lane protocol.Lane, f frame) {
	if e := n.endOf(id); e != nil {
		e.queue(lane, f)
	}
}

func (n *Node) setTimer(at int64) {
	n.timer++
	mine := n.timer
	n.after(at-n.world.schedule.now-1, func() {
		if n.timer == mine {
			n.step(protocol.Tick{})
		}
	})
}

// closeLink closes a link, for a reason that must be one that can be.
func (n *Node) closeLink(e protocol.Close) {
	at := n.endOf(e.Link)
	if at == nil {
		return
	}
	w := n.world
	w.count.Closes[e.Code]++
	switch e.Code {
	case protocol.CodeProtocol, protocol.CodeForged, protocol.CodeLimit:
		if !at.link.forged {
			w.failf("links", "%s closes a link of which no frame was tampered with: %v, %s", n.name, e.Code, e.Reason)
		}
	}
	at.close()
}

// ahead hears that others have more of this node than it has itself.
func (n *Node) ahead(e protocol.Ahead) {
	sp := e.Namespace.(*space)
	n.world.count.Ahead++
	for _, d := range e.Entries {
		if d.Writer == sp.writer && !sp.closed {
			sp.newWriter()
		}
	}
}

// cancel ends a job that nobody waits for.
func (n *Node) cancel(job protocol.JobID) {
	for _, b := range n.builds {
		if b.Job == job {
			b.cancelled = true
		}
	}
	for _, q := range n.queues {
		q.tasks = slices.DeleteFunc(q.tasks, func(t task) bool { return t.apply != nil && t.apply.Job == job })
		if q.job == job {
			q.job, q.entries = 0, nil
		}
		q.space.pause(job)
	}
}

// takeDigest takes a digest of what is there now.
func (n *Node) takeDigest(e protocol.TakeDigest) {
	sp := e.Namespace.(*space)
	done := protocol.Digested{Job: e.Job}
	at := sp.visible
	if at.past.Normal().Hash() != e.Hash {
		done.Err = errCanceled
	} else {
		done.Sum, done.Err = protocol.ContentDigest(at, 1<<20, func() error { return nil })
	}
	n.post(func() {
		if !sp.closed {
			n.step(done)
		}
	})
}

// compared hears whether digests agreed: they must.
func (n *Node) compared(e protocol.Compared) {
	n.world.count.Digests++
	switch {
	case e.Same:
	case n.world.rots(e.Namespace.Name()):
		n.checkStore(e)
	default:
		n.world.failf("digests", "%s: %s: equal vectors and other contents than a peer", n.name, e.Namespace.Name())
	}
}

// offer keeps a snapshot that a peer may heal from.
func (n *Node) offer(e protocol.Offer) {
	at, sp := n.endOf(e.Link), e.Namespace.(*space)
	if at == nil {
		return
	}
	kept := &offer{end: at, space: sp, run: uint64(e.Job), state: sp.visible, contents: true}
	n.keep(kept)
	sp.whenDurable(func() {
		if slices.Contains(n.offers, kept) {
			n.send(e.Link, e.Lane, frame{frame: protocol.EncodeOffer(e, kept.state.past.Normal()), machine: true})
		}
	})
}

// keep keeps a snapshot in the place of one kept before.
func (n *Node) keep(o *offer) {
	n.offers = slices.DeleteFunc(n.offers, func(p *offer) bool {
		return p.end == o.end && p.space == o.space && p.contents == o.contents
	})
	n.offers = append(n.offers, o)
}

// offer is a snapshot that the peer of a link may compare with.
type offer struct {
	end      *end
	space    *space
	run      uint64
	state    *state
	contents bool
	summary  *protocol.Summary
}

// serve answers a compare, at once, or after all of a long snapshot was read.
func (n *Node) serve(e protocol.Serve) {
	d := n.job("serving")
	n.after(int64(d.IntN(pick(&d, 3, 3, 3000))), func() {
		at := n.endOf(e.Link)
		if at == nil {
			return
		}
		n.step(protocol.Served{Job: e.Job, Err: n.answer(at, e)})
	})
}

func (n *Node) answer(at *end, e protocol.Serve) error {
	i := slices.IndexFunc(n.offers, func(o *offer) bool {
		return o.end == at && o.space == e.Namespace && o.run == e.Run
	})
	if d := n.job("serve"); i < 0 || d.In(n.failing) {
		return errNoOffer
	}
	o := n.offers[i]
	if o.summary == nil {
		sumUp := protocol.NewSummary
		if o.contents {
			sumUp = protocol.NewContentSummary
		}
		var err error
		if o.summary, err = sumUp(o.state); err != nil {
			return err
		}
	}
	return protocol.AnswerCompare(o.summary, e, func(f protocol.Frame) error {
		at.queue(e.Lane, frame{frame: f})
		return nil
	})
}
