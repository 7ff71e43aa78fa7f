// Package protocol keeps one invariant: a delta is joined under exactly the
// vector of the snapshot that it was built from, at a node whose vector covers
// all that it builds on.
//
// It is the sync protocol of a node as a pure machine: Step takes an event and
// returns effects. It does no I/O, has no clock and no goroutine. Whoever has
// those, the executor, carries the effects out and reports with events; the
// types Event and Effect are the contract between the two.
//
// # Vocabulary
//
//   - link: an authenticated, ordered, reliable connection to a peer. What is
//     known through it is forgotten with it, so nothing outlives a mistake.
//   - frame: what a link carries whole; each has a number, and a gap or a
//     repetition closes the link.
//   - session: a namespace on a link.
//   - told: what our frames on a session add up to at the peer; theirs: what
//     the peer's add up to here. Each is the other's other end.
//   - known: what the peer covers, or will when the deltas under way arrive.
//   - epoch: a state of the receiver that deltas are built for. It ends when
//     the receiver throws a delta away.
//   - level: the peer is known to cover all that is durable here.
//   - lane: a queue of frames on a link. A session's frames are in one.
//   - class: what may flow on a link, by the priorities of namespaces.
//
// # The protocol on a page
//
// All of it is canonical msgpack, as package crdt encodes it.
//
//	seq      = uint           1, 2, 3, ... per direction, so that loss, replay
//	                          and reordering break a link and never a state
//	number   = uint           a namespace, by its place in the sender's Hello,
//	                          then Announces: short, and never used again
//	epoch    = uint           unique on its link
//	vector   = [*(writer seq)]  ordered by writer; in normal form, so that its
//	                          length follows nodes, not restarts
//	diff     = vector         what differs from what the sender told
//
//	hello    = [1 min max cluster revocations [*(name hash)] [*feature] *later]
//	announce = [2 name]                    a namespace is here now
//	gone     = [3 number]                  it is not here, or not readable
//	vector   = [4 number epoch vector]     all that is durable here
//	have     = [5 number diff]             more is durable here
//	writers  = [6 number [*certificate] [*writer-record]]
//	want     = [7 number]                  send me a delta
//	delta    = [8 number epoch (nil | diff ?floor ?brings) block]
//	refuse   = [9 number epoch reason vector]
//	revoked  = [10 [*statement]]
//	source   = [11 number run vector floor]  compare your snapshot with this one
//	compare  = [12 number run [*range]]    is this the same at your snapshot?
//	answer   = [13 number run last ended verdicts block]
//	addresses = [14 seen [*(node how age places)]]
//	clock    = [15 ?wall]                  what does your clock say, or mine
//	digest   = [16 number stage (hash sum | run vector)]  is your state mine?
//	spare    = [17 number epoch [*node]]   push only what you wrote
//
//	block    = [*writer] [*(key record)]   or, of two records or more, columns:
//	         | count [*writer] columns              (recordblock.go)
//
//	message  = hello | announce | ... | spare
//	put      = mark number time key value  a delta of one value (put.go)
//	frame    = seq message | put
//
// Both ends say Hello first. The version is the greatest that both speak; the
// form of a Hello is for all versions, and if there is no version in common,
// or the cluster is another, the link is closed with a Code that says so.
// What a later release adds is a Feature, which both Hellos have to list before
// a word of it is said on the link.
// Namespaces with equal hashes are in sync without another word. For each
// other that both have, each end sends its Vector, and, knowing the other's,
// the Writers that the other lacks.
//
// Then the rules are these:
//
//   - What became durable is told to every peer: a Have. It acknowledges, and
//     announces.
//   - Whoever lacks what a peer told sends Want, to one peer at a time per
//     namespace, and gets all that this peer has in one delta. After 30
//     seconds without progress, a refusal, or the end of the link, the next
//     is asked. These two rules alone make nodes converge. A node that covers
//     nothing asks a peer whose Hello says that it has something right behind
//     its own Vector.
//   - What this very node wrote is pushed to peers that were level, without a
//     Want. That spares them the question. What others wrote is never pushed,
//     and nothing goes to a peer that told that it has it.
//   - If the node that wrote what is lacking is linked, a Want waits 10 ms for
//     its push. So in a mesh a payload reaches a node once.
//   - A push holds all that the peer was not known to have. While many write
//     that is often what is on its way to it from another. Who gets such twice
//     says Spare. From then on a push holds what its sender wrote and nothing
//     else, and it builds on what the peer gets from the nodes that it named:
//     there it waits for that (hold.go). If it waits in vain it is refused. What
//     depends on other nodes is not pushed, but told.
//   - Writers travel ahead of what mentions them. A receiver that does not
//     know a delta's writers refuses it.
//   - A delta that cannot be applied is answered by Refuse, with the vector
//     that is really there, which replaces what the sender believed, and a new
//     epoch. Deltas of older epochs are thrown away. Nothing is pushed to the
//     refuser before it asks. After 16 refusals in a row the link is closed.
//   - A floor says of which removals some may have been collected. With each
//     delta goes what is new of its snapshot's floor, which the receiver joins
//     into its own. Who asks and does not cover the floor, or lacks nearly
//     everything and has little else, gets a Source in place of a delta, and
//     reconciles.
//   - A namespace that a link may not carry, for what it costs or for what is
//     granted, is not announced on it, or is Gone. So nothing is told of it
//     either way, and no peer of whatever release pushes any.
//   - Who covers the same must hold the same: some minutes after a namespace
//     went quiet, and at most once an hour, who dialed has digests compared
//     (verify.go). Where they differ, both check their stores, and each adds
//     what the other holds beyond it.
//   - Of two links between two nodes both ends keep the same. A node that runs
//     twice, as a copy of a device does, is two: links are told apart by node
//     and Instance, which the transport says.
//
// A message that breaks a rule or a bound (limits.go) closes the link, with a
// Code; package transport lists those that travel.
//
// # Why the join context is exact
//
// The receiver joins a delta under what it was told: theirs and the last
// frame's diff, expanded. Were that more than the sender's snapshot, events
// that the receiver has and the snapshot had not seen would count as
// superseded, and be lost. Were it less, superseded ones would come back.
//
// Let T be told when a Build begins, and S the snapshot's vector. T covers
// only what was durable here, and vectors only grow, so S covers T. The last
// frame carries the entries of S, in normal form, that T lacks. Links keep
// order, Sends are queued before what a later effect's job sends, and from
// Build to Built nothing that changes told is sent (tend returns early). So
// when the last frame arrives, theirs is T. T and the diff together have every
// entry of S's normal form and no entry beyond S: expanded, that is S. Older
// entries that stay in T are implied by S, and do no harm. If frames of the
// Build were lost, so was the link. If the delta is thrown away, its diff is
// taken all the same, since the sender counts it as told.
//
// # Why the receiver covers what a delta builds on
//
// A delta's From is known: what the peer told, which is durable there, and
// what earlier deltas of the same epoch bring. The receiver applies deltas of
// one link in order, and once one fails, throws away all others of its epoch
// (Chain, and then onDelta). A delta that is broken off ends its epoch as
// well. So when a delta is applied, all that it builds on was.
//
// A delta that says what it brings (Spare) builds on more: on all of its
// snapshot's vector but that. The receiver compares with its own vector, and
// applies neither it nor what follows on the session before it covers that. Two
// of them can wait for each other, since each may stand for several
// transactions; time ends that.
//
// Epochs are unique on a link, so a namespace that is dropped and opened again
// never takes a delta that was built for the one before. Jobs carry ids, so an
// event that comes late for an earlier session is ignored.
//
// # The reconcile exchange
//
// A node that lacks removals which its source no longer keeps cannot catch up
// by deltas. It is offered a Source, and compares: each end holds one snapshot
// for the whole run, and the node asks about ranges of keys. A record's id is a
// hash of its key and its dots, and a range adds up to a sum of ids and a count. Where
// these differ the range is split, at most into Fanout parts, and asked about
// again; a range of at most LeafKeys records is listed by ids. The answer to a
// list says which of them the source has, and brings all others that it has
// there: so what is listed, not met and not brought is gone. Where the node
// has nothing, its list is empty, and all comes in one answer.
//
//	range    = [shared suffix count sum]   sum  = uint, 8 bytes of it
//	         | [shared suffix ids]         ids  = bytes, 8 for each
//	         | [shared suffix]             not asked about
//	last     = bool, the last frame of this answer
//	ended    = uint, how many ranges end in this frame
//	verdicts = bytes: a bit for a sum, a bit for each id
//
// Ranges follow each other; each ends at a boundary that is sent as what
// differs from the one before (compare.go, answer.go). The leftmost are asked
// about first. What differs is staged, and merged at once when everything is
// compared. A run that broke goes on with any source: the node then compares
// with what is staged in the place of its own. The source keeps nothing from
// one compare to the next but its snapshot's Summary; a compare costs it one
// scan of the snapshot at most.
//
// What it costs: of n records, d of them changed, about log16(n/16) + 2 rounds
// (more where a compare is full), and for each change the changed record
// itself, 16 ids, and 16 sums for each level that the changes do not share.
//
// # Executor
//
// The executor calls Step from one goroutine and carries out effects in order,
// blocking on none. For each link it has a queue of frames for each lane, and
// sends what is in an earlier lane first; a Stamper numbers them in the order of
// sending. The first lane has what opens and ends namespaces: a Gone that
// overtakes frames of its namespace makes them void. For each link and namespace a queue
// of Learn and Apply effects, with a Chain. It bounds memory by not receiving
// on a link whose queues are long.
//
//	for ev := range events {
//		for _, effect := range machine.Step(clock.Millis(), ev) {
//			execute(effect)
//		}
//	}
//
// # What it does not do
//
// It verifies no signature and opens no connection. It keeps no payload, and
// nothing per peer but vectors. Peers that may write are trusted to tell the
// truth about what they cover: signatures vouch for writers, not for deltas.
// A payload may cross twice; then it is joined once.
package protocol
