package replica

import (
	"context"
	"time"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
	"github.com/anabranch-db/anabranch/transport"
)

// loop steps the machine with what was posted, until the mesh closes.
func (m *mesh) loop() {
	for {
		select {
		case <-m.inbox.ready:
		case <-m.ctx.Done():
			m.shutDown()
			return
		}
		events, marked, asked := m.inbox.take()
		for _, ev := range events {
			m.step(ev)
		}
		for _, ns := range marked {
			if m.appliers[ns] == nil {
				continue // dropped, and its name may be another's by now
			}
			m.step(protocol.Durable{Namespace: ns.Name(), Past: ns.Durable()})
		}
		for _, fn := range asked {
			fn()
		}
	}
}

// shutDown ends the jobs.
func (m *mesh) shutDown() {
	for _, a := range m.appliers {
		a.close()
	}
}

// step carries one event through the machine, and its effects out.
func (m *mesh) step(ev protocol.Event) {
	switch ev := ev.(type) {
	case protocol.Opened:
		if m.quarantined {
			return
		}
		m.startApplier(ev.Namespace.(*store.Namespace))
	case protocol.Closed:
		defer m.stopApplier(ev.Namespace)
	case protocol.LinkDown:
		// Behind all that came from there, which may build on each other.
		for _, a := range m.appliersInOrder() {
			a.enqueue(task{forget: ev.Link})
		}
	case protocol.Built:
		m.jobs[ev.Job]() // releases its context
		delete(m.jobs, ev.Job)
	}
	if _, ok := ev.(protocol.Received); ok {
		m.tellWall()
	}
	effects := m.machine.Step(m.now(), ev)
	release := func() {}
	if ev, ok := ev.(protocol.Received); ok {
		if l := m.link(ev.Link); l != nil {
			release = func() { l.budget.Release(l.weight(ev.Frame)) }
		}
	}
	if !m.execute(effects, release) {
		release()
	}
}

// tellWall tells the machine what the wall clock says. It runs in the loop.
func (m *mesh) tellWall() {
	if effects := m.machine.Step(m.now(), protocol.WallClock{Millis: m.clocks.wall()}); len(effects) > 0 {
		m.execute(effects, func() {})
	}
}

// execute carries effects out, in order. One among them that reads the frame
// which was received, of which there is at most one, keeps it: then it is done
// with when release is called, and execute reports so. A frame that the machine
// holds back is released at once, since the machine bounds those itself, and
// comes with the effects of some later event.
func (m *mesh) execute(effects []protocol.Effect, release func()) (kept bool) {
	n := m.beginBuilds(effects)
	for _, e := range effects {
		switch e := e.(type) {
		case protocol.Send:
			m.send(e.Link, e.Lane, e.Frame)
		case protocol.Introduce:
			m.queueIntroduction(e)
		case protocol.Build:
			n++
			m.startBuild(e, n)
		case protocol.Cancel:
			m.cancelJob(e.Job)
		case protocol.Apply:
			kept = m.enqueue(e.Namespace, task{apply: &e, release: release})
		case protocol.Learn:
			kept = m.enqueue(e.Namespace, task{learn: &e, release: release})
		case protocol.Reconcile:
			m.enqueue(e.Namespace, task{compare: &e})
		case protocol.TakeAnswer:
			kept = m.enqueue(e.Namespace, task{answer: &e, release: release})
		case protocol.Serve:
			kept = m.startServe(e, release)
		case protocol.EndServe:
			if l := m.link(e.Link); l != nil {
				l.offers.end(e.Namespace.(*store.Namespace), e.Run)
			}
		case protocol.TakeDigest:
			m.takeDigest(e)
		case protocol.Compared:
			m.compared(e)
		case protocol.Offer:
			m.offer(e)
		case protocol.LearnRevocations:
			m.revocations.put(e.Statements)
		case protocol.Greeted:
			m.acquaint(e.Link)
		case protocol.LearnAddresses:
			m.hear(e)
		case protocol.PeerClock:
			if l := m.link(e.Link); l != nil {
				m.clocks.note(l.remote(), e.WallMillis, e.ErrorMillis)
			}
		case protocol.Close:
			m.closeLink(e)
		case protocol.SetTimer:
			m.timer.Reset(time.Duration(max(0, e.AtMillis-m.now())) * time.Millisecond)
		case protocol.Ahead:
			m.reportAhead(e)
		}
	}
	return kept
}

func (m *mesh) send(id protocol.LinkID, at protocol.Lane, f protocol.Frame) {
	if l := m.link(id); l != nil {
		l.outlet.queue(at, f)
	}
}

// enqueue gives a task to the applier of its namespace. A namespace that was
// dropped has none: nobody waits for the task any more.
func (m *mesh) enqueue(ns protocol.Namespace, t task) bool {
	a := m.appliers[ns.(*store.Namespace)]
	if a == nil {
		return false
	}
	a.enqueue(t)
	return true
}

// beginBuilds counts the Builds in, so that each knows of those of the others
// that it can share with.
func (m *mesh) beginBuilds(effects []protocol.Effect) uint64 {
	builds := 0
	for _, e := range effects {
		if _, ok := e.(protocol.Build); ok {
			builds++
		}
	}
	return m.fanout.begin(builds)
}

// startBuild runs a Build, the n-th, beside the machine.
func (m *mesh) startBuild(b protocol.Build, n uint64) {
	l := m.link(b.Link)
	if l == nil {
		m.jobs[b.Job] = func() {}
		m.inbox.post(protocol.Built{Job: b.Job, Err: transport.ErrClosed})
		return
	}
	ctx, cancel := context.WithCancel(l.ctx)
	m.jobs[b.Job] = cancel
	m.crew.do(func() { m.inbox.post(m.build(ctx, l, b, n)) })
}

// cancelJob ends a Build, or throws away what an Apply has collected.
func (m *mesh) cancelJob(job protocol.JobID) {
	if cancel, ok := m.jobs[job]; ok {
		cancel()
		return
	}
	for _, a := range m.appliersInOrder() {
		a.enqueue(task{cancel: job})
	}
}

// closeCodes say in the transport's words why the machine closes a link.
var closeCodes = map[protocol.Code]transport.Code{
	protocol.CodeProtocol:  transport.CodeProtocol,
	protocol.CodeVersion:   transport.CodeVersion,
	protocol.CodeCluster:   transport.CodeCluster,
	protocol.CodeDuplicate: transport.CodeDuplicate,
	protocol.CodeSelf:      transport.CodeSelf,
	protocol.CodeRevoked:   transport.CodeRevoked,
	protocol.CodeForged:    transport.CodeForged,
	protocol.CodeRefused:   transport.CodeRefusals,
	protocol.CodeTimeout:   transport.CodeTimeout,
	protocol.CodeLimit:     transport.CodeProtocol,
}

func (m *mesh) closeLink(e protocol.Close) {
	l := m.link(e.Link)
	if l == nil {
		return
	}
	if e.Code != protocol.CodeDuplicate {
		m.log.Warn("closing a link", "peer", l.peer.Short(), "code", e.Code, "reason", e.Reason)
	}
	_ = l.conn.Close(closeCodes[e.Code], e.Reason)
}
