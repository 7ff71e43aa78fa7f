package protocol

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

var (
	errSimStore    = errors.New("the disk is full")
	errSimCanceled = errors.New("canceled")
)

// simNode is a node: a machine, and an executor that does what it says, later.
type simNode struct {
	world    *simWorld
	id       crdt.NodeID
	copies   string // of how many it is one more: a prime each
	at       Instance
	m        *Machine
	spaces   map[string]*simSpace
	timerAt  int64
	posts    []Event // ends of jobs that the machine was not told of
	builds   []*simBuild
	queues   []*simQueue
	truths   map[*byte]*simTruth // of the frames received, by their last byte
	puts     map[simPut]*simTruth
	features []Feature
	class    Class          // of its links
	failing  map[string]int // how many jobs of a kind are to fail, by script
}

// fails draws whether a job fails, unless a script has said so.
func (n *simNode) fails(kind string, perMille int) bool {
	if n.failing[kind] > 0 {
		n.failing[kind]--
		return true
	}
	return perMille > 0 && n.world.rng.IntN(1000) < perMille
}

func (n *simNode) name() string { return n.world.namer.node(n.id) + n.copies }

// begin makes the machine of a process that starts.
func (n *simNode) begin() {
	n.world.instances++
	n.at = Instance{byte(n.world.instances >> 8), byte(n.world.instances)}
	n.m = New(Config{Node: n.id, Instance: n.at, Cluster: [32]byte{1}, Features: n.features})
}

func (n *simNode) post(ev Event) { n.posts = append(n.posts, ev) }

// step steps the machine and starts what it asks for.
func (n *simNode) step(ev Event) {
	if n.world.trace != nil {
		n.world.tracef("%d %s <- %s", n.world.now, n.name(), n.world.namer.event(ev))
	}
	for _, e := range n.m.Step(n.world.now, ev) {
		if n.world.trace != nil {
			n.world.tracef("    %s", n.world.namer.effect(e))
		}
		n.execute(e)
	}
	n.checkMachine()
}

func (n *simNode) execute(e Effect) {
	switch e := e.(type) {
	case Send:
		if l, end := n.linkOf(e.Link); l != nil {
			l.queue(end, simFrame{frame: e.Frame, machine: true, lane: e.Lane})
		}
	case Introduce:
		l, end := n.linkOf(e.Link)
		for f := range EncodeWriters(e.Number, e.Namespace.(*simSpace).recordsOf(e.Writers), func(crdt.NodeID) []byte { return nil }) {
			l.queue(end, simFrame{frame: f, machine: true, lane: e.Lane})
		}
	case Build:
		n.builds = append(n.builds, &simBuild{node: n, b: e, told: e.Told.Clone(), from: e.From.Expand()})
	case Cancel:
		n.cancel(e.Job)
	case Apply:
		n.enqueue(e.Link, e.Namespace.(*simSpace), simTask{apply: &e, truth: n.truthOf(&e)})
	case Learn:
		n.enqueue(e.Link, e.Namespace.(*simSpace), simTask{learn: &e})
	case Close:
		if l, end := n.linkOf(e.Link); l != nil {
			n.world.closes[e.Code]++
			if n.world.strict && (e.Code == CodeForged || e.Code == CodeProtocol || e.Code == CodeLimit) {
				n.world.failf("%s: %s", n.name(), n.world.namer.effect(e))
			}
			l.down[end] = true
			l.cut()
		}
	case SetTimer:
		n.timerAt = e.AtMillis
	case LearnRevocations:
		for _, s := range e.Statements {
			var r Revocation
			fmt.Sscanf(string(s), "out: n%d", &r.Node[0])
			r.Statement = s
			n.post(Revoked{r})
		}
	case Ahead:
		n.world.stats.ahead++
	}
}

func (n *simNode) cancel(id JobID) {
	for _, b := range n.builds {
		if b.b.Job == id {
			b.cancelled = true
		}
	}
	for _, q := range n.queues {
		q.tasks = slices.DeleteFunc(q.tasks, func(t simTask) bool { return t.apply != nil && t.apply.Job == id })
		if q.job == id {
			q.job, q.entries = 0, nil
		}
	}
}

func (n *simNode) enqueue(link LinkID, sp *simSpace, t simTask) {
	for _, q := range n.queues {
		if q.link == link && q.sp == sp {
			q.tasks = append(q.tasks, t)
			return
		}
	}
	n.queues = append(n.queues, &simQueue{node: n, link: link, sp: sp, tasks: []simTask{t}})
}

// restart ends the process and starts it again, from disk, or from an older
// state of the disk if restore is set.
func (n *simNode) restart(restore bool) {
	for _, l := range n.world.links {
		for end := range l.nodes {
			if l.nodes[end] == n {
				l.up[end], l.down[end] = true, true
				l.cut()
			}
		}
	}
	n.begin()
	n.posts, n.builds, n.queues, n.timerAt = nil, nil, nil, 0
	for _, name := range n.world.names {
		if sp := n.spaces[name]; sp != nil {
			to := sp.disk
			if restore && sp.older != nil {
				to = sp.older
			}
			sp.crash(to)
			n.step(Opened{n.spaces[name], n.spaces[name].durable()})
		}
	}
}

func (n *simNode) open(name string) {
	n.spaces[name] = n.newSpace(name)
	n.step(Opened{n.spaces[name], n.spaces[name].Past(nil)})
}

func (n *simNode) drop(name string) {
	n.spaces[name].closed = true
	delete(n.spaces, name)
	n.step(Closed{name})
}

// simBuild is a Build that goes on frame by frame.
type simBuild struct {
	node       *simNode
	b          Build
	told, from crdt.Vector // as they were when the Build began
	cancelled  bool
	started    bool
	frames     []simFrame
	built      Built
	vector     crdt.Vector
	changes    int // of the namespace, at the snapshot
}

// ready reports whether the build can go on: its snapshot is durable.
func (b *simBuild) ready() bool {
	sp := b.b.Namespace.(*simSpace)
	return !b.started || b.cancelled || sp.closed || sp.synced >= b.changes
}

// run does the next piece of a build, and reports whether it is over.
func (b *simBuild) run() bool {
	w, sp := b.node.world, b.b.Namespace.(*simSpace)
	l, end := b.node.linkOf(b.b.Link)
	switch {
	case l == nil || l.dead || b.cancelled:
		return b.end(errSimCanceled)
	case sp.closed || b.node.fails("build", w.buildFails):
		return b.end(errSimStore)
	case !b.started:
		b.start(sp)
		return false
	case len(b.frames) > 0:
		l.queue(end, b.frames[0])
		b.frames = b.frames[1:]
		return len(b.frames) == 0 && b.end(nil)
	}
	return b.end(nil)
}

func (b *simBuild) end(err error) bool {
	b.built.Job, b.built.Err = b.b.Job, err
	b.node.post(b.built)
	return true
}

// start takes the snapshot and encodes it.
func (b *simBuild) start(sp *simSpace) {
	w := b.node.world
	b.started, b.vector, b.changes = true, sp.visible.Vector(), sp.changes
	if behind := b.vector.Behind(sp.Expand(b.b.Told)); len(behind) > 0 {
		w.failf("%s: told %v, which the snapshot does not cover", b.node.name(), behind)
	}
	base, brings, ok := b.b.Base(sp.Past(b.vector), nil)
	b.built.To, b.built.Withheld = sp.Past(b.vector).Normal(), !ok
	if !ok {
		w.stats.withheld++
		return
	}
	b.built.Introduced = Unintroduced(sp.Past(b.vector).Since(b.b.From), b.b.Introduced)
	for f := range EncodeWriters(b.b.Number, sp.recordsOf(b.built.Introduced), func(crdt.NodeID) []byte { return nil }) {
		b.frames = append(b.frames, simFrame{frame: f, lane: b.b.Lane})
	}
	truth := &simTruth{from: base.Expand(), to: b.vector}
	enc := NewDeltaEncoder(b.b, func(f Frame) error {
		b.frames = append(b.frames, simFrame{frame: f, truth: truth, lane: b.b.Lane})
		return nil
	})
	enc.target = w.target
	enc.Bring(brings)
	for _, e := range sp.visible.Delta(truth.from).Entries {
		must(w, enc.Add(e))
		truth.put = e.Record[0].Dot
	}
	must(w, enc.Finish(b.built.To, nil))
	b.built.Sent = enc.Sent()
}

// truthOf returns the truth about the delta that a frame is part of.
func (n *simNode) truthOf(a *Apply) *simTruth {
	if truth := n.truths[&a.Body[len(a.Body)-1]]; truth != nil {
		return truth
	}
	e, _ := onlyEvent(a.Body)
	return n.puts[simPut{a.Link, e.Dot}]
}

// simQueue applies what came on one link for one namespace, in order.
type simQueue struct {
	node    *simNode
	link    LinkID
	sp      *simSpace
	tasks   []simTask
	chain   Chain
	job     JobID // the delta being received
	decoder DeltaDecoder
	entries []crdt.Entry
}

type simTask struct {
	apply *Apply
	learn *Learn
	truth *simTruth
}

// run does the next task.
func (q *simQueue) run() {
	t := q.tasks[0]
	q.tasks = q.tasks[1:]
	switch {
	case q.sp.closed:
	case t.learn != nil:
		q.node.post(Learned{t.learn.Job, q.learn(t.learn.Body)})
	case q.chain.Admits(*t.apply):
		if done, err := q.apply(t.apply, t.truth); err != nil {
			q.chain.Fail(*t.apply)
			q.job, q.entries = 0, nil
			q.node.post(Applied{Job: t.apply.Job, Err: err})
		} else if done {
			q.sp.waiting = append(q.sp.waiting, Applied{Job: t.apply.Job})
		}
	}
}

func (q *simQueue) learn(body []byte) error {
	if w := q.node.world; q.node.fails("learn", w.learnFails) {
		return errSimStore
	}
	_, recs, err := DecodeWriters(body)
	if q.madeUp() {
		return cmp.Or(err, q.node.world.madeUp)
	}
	for _, rec := range recs {
		if err == nil {
			err = q.sp.learn(rec)
		}
	}
	return err
}

func (q *simQueue) apply(a *Apply, truth *simTruth) (done bool, err error) {
	w := q.node.world
	if q.node.fails("apply", w.applyFails) {
		return false, errSimStore
	}
	if q.madeUp() {
		return a.Last, w.madeUp
	}
	if a.First {
		q.job, q.decoder, q.entries = a.Job, DeltaDecoder{}, nil
	}
	if a.Job != q.job {
		w.failf("%s: a frame of job %d in the middle of %d", q.node.name(), a.Job, q.job)
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
	return true, q.merge(a, truth)
}

// madeUp reports whether what comes on the link is a hostile node's.
func (q *simQueue) madeUp() bool {
	l, end := q.node.linkOf(q.link)
	return q.node.world.hostile != nil && (l == nil || l.nodes[1-end] == q.node.world.hostile)
}

// merge joins a delta, after checking what the protocol promises about it.
func (q *simQueue) merge(a *Apply, truth *simTruth) error {
	w, sp := q.node.world, q.sp
	q.job = 0
	if unknown := sp.lineage.Unknown(a.To); len(unknown) > 0 {
		w.stats.unknown++
		return fmt.Errorf("%w: %v", crdt.ErrUnknownWriter, unknown)
	}
	to := sp.Expand(a.To)
	if !to.Equal(truth.to) {
		w.failf("%s: the join context %v is not the snapshot's vector %v", q.node.name(), to, truth.to)
	}
	before := sp.visible.Vector()
	w.stats.count(q.entries, before)
	err := sp.visible.Merge(crdt.Delta{
		From: truth.from, To: a.To, Entries: q.entries,
		Writers: sp.recordsOf(sp.Past(to).Since(sp.Past(before))),
	})
	if err != nil {
		w.failf("%s: merge: %v", q.node.name(), err)
	}
	q.entries = nil
	sp.changes++
	if !to.Equal(before) && !before.CoversAll(to) {
		w.lastMerge = w.now
	}
	return nil
}

// readOnly are the grants of a node that may not write.
type readOnly struct{}

func (readOnly) MayRead(string) bool  { return true }
func (readOnly) MayWrite(string) bool { return false }

func must(w *simWorld, err error) {
	if err != nil {
		w.failf("%v", err)
	}
}
