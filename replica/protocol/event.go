package protocol

import "github.com/anabranch-db/anabranch/crdt"

// LinkID names a link, from its LinkUp on. The executor gives it and never
// uses one again.
type LinkID uint64

// JobID names work that the executor does beside the machine. The machine
// gives it, and the event that ends the work quotes it. An event for a job
// that no longer matters is ignored, so the executor need not know which do.
type JobID uint64

// Event is something that happened. Machine.Step takes one at a time.
type Event interface{ event() }

// Namespace is an open namespace of the local store, and answers questions of
// lineage. Answers cover at least what the last Durable event covered. It must
// be safe for use from any goroutine; Step calls it, so it must not block on
// anything that waits for Step. Results are the caller's.
type Namespace interface {
	Name() string
	// Past returns all that v covers and implies, of one Lineage always.
	Past(v crdt.Vector) *crdt.Past
	// NodeOf returns the node that w is a run of.
	NodeOf(w crdt.WriterID) (crdt.NodeID, bool)
}

// Grants says what a peer's credential allows. A nil Grants allows all.
type Grants interface {
	MayRead(namespace string) bool
	MayWrite(namespace string) bool
}

// Instance names one opening of a node. It is random, and not kept: two copies
// of one device differ in it, where nothing else tells them apart.
type Instance [8]byte

// LinkUp says that an authenticated link is up, and nothing was sent on it.
type LinkUp struct {
	Link LinkID
	// Peer is the verified identity of the other end, and Instance the one
	// that is there.
	Peer     crdt.NodeID
	Instance Instance
	// Dialed is whether this side dialed.
	Dialed bool
	Grants Grants
	Class  Class
}

// LinkDown says that a link is gone. It is optional after a Close effect.
type LinkDown struct{ Link LinkID }

// Received is one frame, as it came. The machine keeps it.
type Received struct {
	Link  LinkID
	Frame []byte
}

// WallClock says what this node's wall clock says, in milliseconds since 1970,
// right or wrong. With FeatureClocks it is due ahead of each Received, and now
// and then while there is none, so that it is seen when it was set.
type WallClock struct{ Millis int64 }

// Flushed says that all frames of Send and Introduce effects on a lane were
// handed to the transport. It is due each time that the lane's queue runs
// empty: the machine holds announcements back until then, and so they coalesce
// in place of queueing up before a slow peer.
type Flushed struct {
	Link LinkID
	Lane Lane
}

// Metered says that the class of a link is another, or more of its bytes used.
type Metered struct {
	Link  LinkID
	Class Class
}

// Prioritized says which priority a namespace has, if it is not the normal one
// or no longer. For one that is not here yet it comes ahead of Opened.
type Prioritized struct {
	Namespace string
	Priority  Priority
}

// Opened says that a namespace is here, and what is durable of it. It comes at
// the start for each namespace that exists (before any LinkUp, so that Hello
// names them), and for each that is created later.
type Opened struct {
	Namespace Namespace
	Durable   *crdt.Past
}

// Closed says that a namespace was dropped. Its name may be opened again.
type Closed struct{ Namespace string }

// Durable says that more of the namespace is durable: all that Past covers.
// Only the latest matters: an executor that is behind posts one event for many
// commits.
type Durable struct {
	Namespace string
	Past      *crdt.Past
}

// Built ends a Build: exactly one for each, cancelled or not, also of a
// namespace that is Closed.
type Built struct {
	Job JobID
	// To is the snapshot's vector in normal form.
	To crdt.Vector
	// Floor is the snapshot's.
	Floor crdt.Vector
	// Offered says that a Source was queued in the place of the delta, and that
	// its snapshot is kept; not if Err is set.
	Offered bool
	// Withheld says that nothing was sent, as Build.Base had it.
	Withheld bool
	// Sent is what the delta leaves for the next one, as its encoder says; the
	// zero value is always right.
	Sent Sent
	// Introduced are the writers whose records were sent, even if Err is set.
	Introduced []crdt.WriterID
	// Err is nil if, and only if, the last frame of the delta was queued on
	// the link.
	Err error
}

// Applied ends a delta that was received: exactly one for each Job of Apply
// effects, after its last frame was applied and is durable, or at its first
// failure. None is due for a delta that a Chain does not admit, that was
// cancelled, or whose namespace is Closed; one that comes does no harm.
type Applied struct {
	Job JobID
	// Durable is what is durable of the namespace after it.
	Durable *crdt.Past
	// Err says why nothing of the delta was applied. If only a faulty peer
	// causes it (see ErrMalformed) the link is closed, else the delta is
	// refused, and asked for again later.
	Err error
}

// Reconciled ends a Reconcile: exactly one for each that was not cancelled,
// unless its namespace is Closed; one that comes late does no harm.
type Reconciled struct {
	Job JobID
	// Durable is what is durable of the namespace after it.
	Durable *crdt.Past
	// Healed says, if it Heals, that something was added, also before an Err.
	Healed bool
	// Err says why nothing was merged. If only a faulty peer causes it the
	// link is closed.
	Err error
}

// Served ends a Serve: exactly one for each, unless the link is gone. Err says
// why not all of the answer was queued; if only a faulty peer causes it the
// link is closed, else another snapshot is offered.
type Served struct {
	Job JobID
	Err error
}

// Learned ends a Learn: exactly one for each, unless its namespace is Closed.
// Those of one link and namespace come in the order of their Learns, so that a
// record whose parents could not be kept is not taken for a forged one.
type Learned struct {
	Job JobID
	// Err closes the link if only a faulty peer causes it (see ErrMalformed).
	// After any other the records count as not received.
	Err error
}

// Digested ends a TakeDigest: exactly one for each, unless its namespace is
// Closed. Err says why there is no digest.
type Digested struct {
	Job JobID
	Sum [32]byte
	Err error
}

// Checked says what a check of the store found, which Compared asked for: nil
// if it is whole.
type Checked struct {
	Link      LinkID
	Namespace string
	Err       error
}

// Revoked says that a node's credential was revoked, and gives the signed
// statement for others to check. A statement that is known already is ignored.
type Revoked struct{ Revocation Revocation }

// Revocation is a statement of the cluster's authority that a node is out.
type Revocation struct {
	Node      crdt.NodeID
	Statement []byte
}

// TellAddresses tells a peer where nodes can be dialed: at most MaxWhereabouts,
// ordered by node, with 1 to MaxPlaces places each. It may come at any time
// after a Greeted, and is nothing on a link without one.
type TellAddresses struct {
	Link LinkID
	// Seen is where this node sees the peer; "": it does not say.
	Seen  string
	Nodes []Whereabouts
}

// Tick says that time has passed: the timer of SetTimer fired.
type Tick struct{}

func (LinkUp) event()        {}
func (LinkDown) event()      {}
func (Received) event()      {}
func (WallClock) event()     {}
func (Flushed) event()       {}
func (Metered) event()       {}
func (Prioritized) event()   {}
func (Opened) event()        {}
func (Closed) event()        {}
func (Durable) event()       {}
func (Built) event()         {}
func (Applied) event()       {}
func (Reconciled) event()    {}
func (Served) event()        {}
func (Learned) event()       {}
func (TellAddresses) event() {}
func (Digested) event()      {}
func (Checked) event()       {}
func (Revoked) event()       {}
func (Tick) event()          {}
