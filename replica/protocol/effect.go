package protocol

import (
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// Effect is something to be done. The executor takes the effects of a Step in
// order, before the next Step, and blocks on none of them: Send and Introduce
// are queued on their lane at once, so that they go out in order and ahead of
// all that a job of a later effect sends; Build, Apply and Learn are jobs that
// it runs beside the machine and ends with an event.
type Effect interface{ effect() }

// Send queues a frame on a lane of a link.
type Send struct {
	Link  LinkID
	Lane  Lane
	Frame Frame
}

// Introduce queues Writers frames (EncodeWriters) with the records of the given
// writers, in this order, on a lane of a link.
type Introduce struct {
	Link      LinkID
	Lane      Lane
	Namespace Namespace
	// Number is how the frames name the namespace.
	Number  uint64
	Writers []crdt.WriterID
}

// Build has a delta sent on a link. The job
//
//  1. takes a snapshot of Namespace (which covers Told, since Told was durable)
//     and waits until the snapshot is durable;
//  2. queues Writers frames with the records of the writers that the snapshot
//     covers since From, and that are not in Introduced (Unintroduced);
//  3. queues the Delta frames (NewDeltaEncoder) of the records that changed
//     since From (or since what Base says, if OwnOnly is set), the last with the
//     snapshot's vector in normal form;
//  4. posts Built.
//
// If From is not empty and does not cover the snapshot's floor, the job keeps
// the snapshot for the link and namespace until EndServe, in the place of one
// that a Build kept before, and queues a Source (EncodeSource) instead of step 3, whose run is Job. It may do
// so as well if From covers little of it, and there is much to be sent.
//
// It may block on the link, and is cancelled with it. All its frames come from
// one snapshot. The vectors are not to be modified.
type Build struct {
	Job       JobID
	Link      LinkID
	Lane      Lane // of all its frames
	Namespace Namespace
	Number    uint64
	Epoch     uint64
	// From is what the peer is believed to cover.
	From *crdt.Past
	// Told is what the peer was told that we cover, in no special form.
	Told crdt.Vector
	// Introduced are writers whose records were sent already, ordered.
	Introduced []crdt.WriterID
	// Reconciles says that the peer takes floors and Sources. If it does not
	// and the snapshot has a floor, the Build fails.
	Reconciles bool
	// FloorTold is what of our floor earlier deltas told, in no special form.
	FloorTold crdt.Vector
	// OwnOnly says that the delta is to hold what Node, which is this node,
	// wrote, and nothing else, for a peer that gets what Spared nodes write
	// from them. Base says what to do then. Spared is ordered.
	OwnOnly bool
	Node    crdt.NodeID
	Spared  []crdt.NodeID
	// Before is what the last delta to the peer left, for a shorter one.
	Before Sent
	// Columns says that the peer takes records in columns.
	Columns bool
}

// Base returns what the delta of a snapshot is built from, in the place of
// From, and, unless that is From, what the delta brings: for DeltaEncoder's
// Bring. The past and the floor are the snapshot's. If ok is false there is no
// such delta: the job ends with Withheld, and nothing is sent.
//
// In place of From the base is all that others wrote, and From of what Node
// did. Parents are of one node, so that is closed as both are.
func (b *Build) Base(past *crdt.Past, floor crdt.Vector) (base *crdt.Past, brings crdt.Vector, ok bool) {
	if !b.OwnOnly {
		return b.From, nil, true
	}
	brings = crdt.Vector{}
	assumed := false
	for _, v := range past.Beyond(b.From) {
		switch n, known := b.Namespace.NodeOf(v.Writer); {
		case known && n == b.Node:
			brings[v.Writer] = v.After + 1
		case known && hasNode(b.Spared, n):
			assumed = true
		default:
			return nil, nil, false
		}
	}
	if !assumed {
		return b.From, nil, true
	}
	base = past.Clone()
	base.Meet(b.From)
	for w, seq := range past.Normal() {
		if n, _ := b.Namespace.NodeOf(w); n != b.Node {
			base.Advance(w, seq)
		}
	}
	return base, brings, len(brings) > 0 && base.CoversAll(floor)
}

// Cancel says that nobody waits for a job any longer. A Build stops and posts
// its Built, with Err set unless its last frame was queued already. The frames
// of an Apply are thrown away.
type Cancel struct{ Job JobID }

// Apply adds a frame to a delta that is being received. All frames of one
// delta share Job; the first has First set, the last has Last set. Nothing of
// a delta is visible before its last frame is applied.
//
// Order is part of the contract. Learn and Apply effects of one link and
// namespace run in the order given. A delta builds on the ones before it: once
// one has failed, all later ones of the same Link, Namespace and Epoch are
// thrown away unapplied, without an event (Chain does this).
//
// The executor bounds memory by receiving no more from a link while much of
// what came waits to be applied; Want and pushes keep that to one delta at a
// time per namespace, usually. A frame may be of an earlier Received than the
// one that gives its Apply: the machine keeps it until then, and bounds what it
// keeps so itself (MaxHeldBytes).
type Apply struct {
	Job       JobID
	Link      LinkID
	Namespace Namespace
	Epoch     uint64
	First     bool
	Last      bool
	// Body holds the records, for DeltaDecoder; it aliases the frame.
	Body []byte
	// Floor is, with Last, the sender's floor, in no special form.
	Floor crdt.Vector
	// To is, with Last, the sender's vector: the delta's join context once
	// expanded. Exactly its snapshot's. Not to be modified.
	To crdt.Vector
}

// Reconcile begins to compare the namespace with the snapshot that a peer
// offers, or goes on with a comparison that was broken off. The job sends
// compares (Comparer), takes the answers that TakeAnswer brings, and posts
// Reconciled once all that differs was merged and is durable, or at the first
// failure. It runs in order with the Learn and Apply effects of its link and
// namespace. Cancel ends it.
type Reconcile struct {
	Job       JobID
	Link      LinkID
	Lane      Lane // of the compares
	Namespace Namespace
	// Number and Run are for the compares.
	Number, Run uint64
	// Vector and Floor are the snapshot's, in normal form.
	Vector, Floor crdt.Vector
	// Heals says that contents are compared (NewContentSummary), and that what
	// the peer holds beyond this node is added where both cover it: nothing is
	// superseded, and no vector moves.
	Heals bool
}

// TakeAnswer brings a frame of the answer to the last compare of a Reconcile.
// Body is for Comparer.Answer, and aliases the frame.
type TakeAnswer struct {
	Job       JobID
	Link      LinkID
	Namespace Namespace
	Last      bool
	Body      []byte
}

// Serve answers a compare (AnswerCompare) from the snapshot that was kept for
// the link, the namespace and the run, and posts Served. Body aliases the frame.
type Serve struct {
	Job         JobID
	Link        LinkID
	Lane        Lane // of the answer
	Namespace   Namespace
	Number, Run uint64
	Columns     bool // the peer takes records in columns
	Body        []byte
}

// EndServe lets a snapshot go that a Build or an Offer has kept, or, of an Offer
// that is still waiting for its own, would keep. Run is the job of either.
type EndServe struct {
	Link      LinkID
	Namespace Namespace
	Run       uint64
}

// TakeDigest takes the digest (ContentDigest) of a snapshot whose vector, in
// normal form, has that hash, and posts Digested. The snapshot is taken at
// once; if it is at another vector, or if the peer Asked and there was a digest
// not long ago, there is an error in the place of a digest.
type TakeDigest struct {
	Job       JobID
	Namespace Namespace
	Hash      crdt.VectorHash
	Asked     bool
}

// Compared says that digests were compared with the peer. If they differ, the
// store is to be checked, and Checked posted.
type Compared struct {
	Link      LinkID
	Namespace Namespace
	Same      bool
}

// Offer keeps a snapshot, once it is durable, for Serves of that link and
// namespace which name the run Job, with a NewContentSummary, in the place of
// one that an Offer kept before; and then queues an EncodeOffer. If that cannot
// be, nothing is to be done. An EndServe that comes first ends it.
type Offer struct {
	Job       JobID
	Link      LinkID
	Lane      Lane
	Namespace Namespace
	Number    uint64
}

// Learn verifies the writer records of a Writers frame and keeps them. Body is
// for DecodeWriters, and aliases the frame.
type Learn struct {
	Job       JobID
	Link      LinkID
	Namespace Namespace
	Body      []byte
}

// LearnRevocations verifies signed revocations that are new here, keeps those
// that are valid, and posts Revoked for each.
type LearnRevocations struct {
	Link       LinkID
	Statements [][]byte
}

// Greeted says that a peer's Hello came, and that it may be told addresses.
type Greeted struct{ Link LinkID }

// LearnAddresses brings what a peer told of where nodes can be dialed. All of
// it is unproven. Nothing is due.
type LearnAddresses struct {
	Link LinkID
	// Seen is where the peer sees this node; "": it did not say.
	Seen  string
	Nodes []Whereabouts
}

// PeerClock says what the peer's wall clock says at this moment, in
// milliseconds since 1970, and by how much that may be off. What this node's
// says is for the executor to compare.
type PeerClock struct {
	Link                    LinkID
	WallMillis, ErrorMillis int64
}

// Close closes a link. The machine has forgotten it already.
type Close struct {
	Link   LinkID
	Code   Code
	Reason string
}

// SetTimer has a Tick posted at a time, on Step's clock. It replaces the timer
// set before. A Tick that comes early or twice does no harm.
type SetTimer struct{ AtMillis int64 }

// Ahead reports that a peer covers transactions of this very node that are not
// in the store: the store lost its tail or was restored from a backup, or, if
// the writer is the one in use, this process was resumed from a memory
// snapshot and must take a new writer, at the latest with the merge of those
// transactions. A writer is reported once per session. The link over which the
// peer told it may be gone by then.
type Ahead struct {
	Peer      crdt.NodeID
	Namespace Namespace
	Entries   []crdt.Dot
}

func (Send) effect()             {}
func (Introduce) effect()        {}
func (Build) effect()            {}
func (Cancel) effect()           {}
func (Apply) effect()            {}
func (Reconcile) effect()        {}
func (TakeAnswer) effect()       {}
func (Serve) effect()            {}
func (EndServe) effect()         {}
func (TakeDigest) effect()       {}
func (Compared) effect()         {}
func (Offer) effect()            {}
func (Learn) effect()            {}
func (LearnRevocations) effect() {}
func (Greeted) effect()          {}
func (LearnAddresses) effect()   {}
func (PeerClock) effect()        {}
func (Close) effect()            {}
func (SetTimer) effect()         {}
func (Ahead) effect()            {}

// Code says why a link was closed. Codes travel in the transport's close
// frame, so their values are frozen.
type Code uint8

// The codes.
const (
	CodeProtocol  Code = iota + 1 // a frame broke the rules
	CodeVersion                   // no version in common
	CodeCluster                   // a peer of another cluster
	CodeDuplicate                 // another link to the same node is kept
	CodeSelf                      // the other end is this node
	CodeRevoked                   // the peer's credential was revoked
	CodeForged                    // a writer record that its node did not sign
	CodeRefused                   // the peer refused too many deltas in a row
	CodeTimeout                   // no Hello in time, or our numbers are used up
	CodeLimit                     // a bound of limits.go was exceeded
)

var codeNames = [...]string{
	CodeProtocol: "protocol violation", CodeVersion: "no common version", CodeCluster: "another cluster",
	CodeDuplicate: "duplicate link", CodeSelf: "link to itself", CodeRevoked: "revoked",
	CodeForged: "forged record", CodeRefused: "too many refusals", CodeTimeout: "timeout", CodeLimit: "limit exceeded",
}

// String returns the code's meaning, for people.
func (c Code) String() string {
	if int(c) < len(codeNames) && codeNames[c] != "" {
		return codeNames[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}
