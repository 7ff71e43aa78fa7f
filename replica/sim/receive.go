package sim

import (
	"errors"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// queue does what came on one link for one namespace, in order. What came is
// done also once the link is gone, unless the machine cancels it.
type queue struct {
	node    *Node
	link    protocol.LinkID
	space   *space
	tasks   []task
	busy    bool
	chain   protocol.Chain
	job     protocol.JobID // the delta that is coming
	decoder protocol.DeltaDecoder
	entries []crdt.Entry
}

// task is one of them.
type task struct {
	apply   *protocol.Apply
	learn   *protocol.Learn
	compare *protocol.Reconcile
	answer  *protocol.TakeAnswer
}

func (n *Node) enqueue(link protocol.LinkID, sp *space, t task) {
	if sp.closed {
		return
	}
	i := slices.IndexFunc(n.queues, func(q *queue) bool { return q.link == link && q.space == sp })
	if i < 0 {
		i = len(n.queues)
		n.queues = append(n.queues, &queue{node: n, link: link, space: sp})
	}
	q := n.queues[i]
	q.tasks = append(q.tasks, t)
	q.next()
}

func (q *queue) next() {
	switch {
	case q.busy:
		return
	case len(q.tasks) == 0:
		if q.node.endOf(q.link) == nil {
			q.node.queues = slices.DeleteFunc(q.node.queues, func(o *queue) bool { return o == q })
		}
		return
	}
	q.busy = true
	d := q.node.job("task")
	q.node.after(int64(d.IntN(5)), func() {
		q.busy = false
		switch {
		case q.space.closed:
			q.tasks = nil // nobody waits for them
		case len(q.tasks) > 0:
			t := q.tasks[0]
			q.tasks = q.tasks[1:]
			q.do(t, d.In(q.node.failing))
		}
		q.next()
	})
}

func (q *queue) do(t task, fails bool) {
	switch {
	case t.learn != nil:
		done := protocol.Learned{Job: t.learn.Job, Err: q.learn(t.learn.Body, fails)}
		q.post(done) // those of one link keep their order: see post
	case t.apply != nil:
		q.take(t.apply, fails)
	case t.compare != nil:
		q.compare(t.compare, fails)
	default:
		q.answered(t.answer, fails)
	}
}

// post posts an event at once, in the order of the tasks.
func (q *queue) post(ev protocol.Event) {
	sp := q.space
	q.node.after(0, func() {
		if !sp.closed {
			q.node.step(ev)
		}
	})
}

func (q *queue) learn(body []byte, fails bool) error {
	if fails {
		return errFailed
	}
	_, recs, err := protocol.DecodeWriters(body)
	for _, rec := range recs {
		if err == nil {
			err = q.space.learn(rec)
		}
	}
	return err
}

// take takes a frame of a delta.
func (q *queue) take(a *protocol.Apply, fails bool) {
	if !q.chain.Admits(*a) {
		return
	}
	if a.First {
		q.job, q.decoder, q.entries = a.Job, protocol.DeltaDecoder{}, nil
	}
	if a.Job != q.job {
		return // cancelled
	}
	done, err := q.apply(a, fails)
	switch sp := q.space; {
	case err != nil:
		if errors.Is(err, crdt.ErrUnknownWriter) && !q.node.world.plan.has(Fail) && !q.node.world.plan.has(Drop) {
			q.node.world.failf("writers", "%s: %s: a delta is ahead of the records of its writers: %v", q.node.name, sp.name, err)
		}
		q.chain.Fail(*a)
		q.job, q.entries = 0, nil
		q.post(protocol.Applied{Job: a.Job, Durable: sp.durable.past, Err: err})
	case done:
		q.job, q.entries = 0, nil
		q.node.world.count.Deltas++
		sp.whenDurable(func() { q.post(protocol.Applied{Job: a.Job, Durable: sp.durable.past}) })
	}
}

func (q *queue) apply(a *protocol.Apply, fails bool) (done bool, err error) {
	if fails {
		return false, errFailed
	}
	for e, err := range q.decoder.Add(a.Body) {
		if err != nil {
			return false, err
		}
		q.entries = append(q.entries, e)
	}
	if !a.Last {
		return false, nil
	}
	if e, ok := q.decoder.Rest(); ok {
		q.entries = append(q.entries, e)
	}
	return true, q.space.merge(a.To, a.Floor, q.entries, false)
}

// rejoin is a comparison of a namespace with a source's snapshot. It outlives
// the link that it began on, as what is staged does.
type rejoin struct {
	began    *state
	staged   *state // began, with what was put
	keys     []crdt.Key
	begun    *protocol.Reconcile
	queue    *queue
	comparer *protocol.Comparer // nil: it waits for a source
}

// compare begins to compare with a source, or goes on with another.
func (q *queue) compare(e *protocol.Reconcile, fails bool) {
	sp := q.space
	r := sp.rejoin
	if e.Heals || r == nil || r.begun.Heals {
		r = &rejoin{began: sp.visible, staged: sp.visible}
		sp.rejoin = r
	}
	r.begun, r.queue, r.comparer = e, q, nil
	q.node.world.count.Reconciles++
	err := errFailed
	if e.Heals && !fails && !sp.lineage.Past(e.Vector).CoversAll(sp.visible.floor) {
		fails, err = true, errBelowFloor
	}
	if !fails {
		sumUp := protocol.NewSummary
		if e.Heals {
			sumUp = protocol.NewContentSummary
		}
		var own *protocol.Summary
		if own, err = sumUp(r.staged); err == nil {
			r.comparer, err = protocol.NewComparer(own, "")
		}
	}
	q.compareOn(r, err)
}

// answered stages what a frame of an answer brings.
func (q *queue) answered(e *protocol.TakeAnswer, fails bool) {
	r := q.space.rejoin
	if r == nil || r.comparer == nil || r.begun.Job != e.Job {
		return // cancelled, or it failed
	}
	var err error
	if fails {
		err = errFailed
	}
	for entry, failed := range r.comparer.Answer(e.Last, e.Body) {
		if err = failed; err != nil {
			break
		}
		entry.Key = crdt.Key(string([]byte(entry.Key)))
		entry.Record = entry.Record.Clone()
		r.staged = r.staged.put(entry)
		if !slices.Contains(r.keys, entry.Key) {
			r.keys = append(r.keys, entry.Key)
		}
	}
	if err != nil || e.Last {
		q.compareOn(r, err)
	}
}

// compareOn sends the next compare, or merges if there is none, unless the
// comparison has failed.
func (q *queue) compareOn(r *rejoin, err error) {
	sp, e := q.space, r.begun
	if err == nil {
		f, more, failed := r.comparer.Next(e.Number, e.Run)
		if err = failed; err == nil && more {
			q.node.send(e.Link, e.Lane, frame{frame: f, machine: true})
			return
		}
	}
	healed := 0
	switch {
	case err != nil:
	case e.Heals:
		healed = sp.heal(r.brought(), e.Vector)
	default:
		err = sp.merge(e.Vector, e.Floor, r.differences(sp, e.Vector), true)
	}
	sp.rejoin = nil
	if err != nil {
		q.post(protocol.Reconciled{Job: e.Job, Durable: sp.durable.past, Err: err})
		return
	}
	sp.whenDurable(func() {
		q.post(protocol.Reconciled{Job: e.Job, Durable: sp.durable.past, Healed: healed > 0})
	})
}

// brought returns what the source holds, and nothing for what it does not.
func (r *rejoin) brought() (all []crdt.Entry) {
	for _, k := range r.keys {
		if rec := r.staged.get(k); len(rec) > 0 {
			all = append(all, crdt.Entry{Key: k, Record: rec})
		}
	}
	return all
}

// differences returns what the source holds at each key at which it differs
// from what is here now. Where both held the same when the comparison began, and
// events have come since that the source covers, it has superseded those.
func (r *rejoin) differences(sp *space, source crdt.Vector) (all []crdt.Entry) {
	theirs := sp.lineage.Past(source)
	for _, k := range r.keys {
		all = append(all, crdt.Entry{Key: k, Record: r.staged.get(k)})
	}
	for _, e := range sp.visible.entries {
		came := slices.ContainsFunc(e.Record, func(ev crdt.Event) bool {
			return !r.began.past.Covers(ev.Dot) && theirs.Covers(ev.Dot)
		})
		if came && !slices.Contains(r.keys, e.Key) {
			held := slices.DeleteFunc(slices.Clone(e.Record), func(ev crdt.Event) bool { return !r.began.past.Covers(ev.Dot) })
			all = append(all, crdt.Entry{Key: e.Key, Record: held})
		}
	}
	return all
}

// pause keeps what is staged of a comparison that broke off.
func (sp *space) pause(job protocol.JobID) {
	if r := sp.rejoin; r != nil && r.begun.Job == job {
		if r.comparer = nil; r.begun.Heals {
			sp.rejoin = nil
		}
	}
}
