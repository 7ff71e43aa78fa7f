package planted

// Rule is something that the system stands on, which mistakes break.
type Rule struct{ Name, Text string }

// Rules are all of them: a mistake names those that it breaks, and a test has
// each broken by one at least.
func Rules() (all []Rule) {
	for _, some := range [][]Rule{designRules, invariants, faults} {
		all = append(all, some...)
	}
	return all
}

// The rules of the algorithm that a model was attacked with: without any of them
// it diverged or lost something.
var designRules = []Rule{
	{"folds-read-no-removal", "No fold reads a removal: nodes collect them at different times."},
	{"losers-are-kept", "A concurrent loser is never pruned, or join is not associative."},
	{"floors-outlive-counters", "A counter that is removed leaves its floor."},
	{"floors-are-not-trimmed", "The entries of a counter's floor stay."},
	{"collected-log-is-covered", "A batch that collects log entries also writes a vector that covers them."},
	{"one-place-commits", "Commits, applies and merges validate and commit atomically."},
	{"floors-travel", "The receiver of a delta joins the sender's floor into its own."},
	{"blind-puts-cover-the-floor", "A record is replaced unread only where what is sent covers the floor."},
	{"ranges-merge-at-the-end", "A range is not merged under a context that the namespace does not have yet."},
	{"equal-ranges-are-remembered", "What came to a range since it compared equal is looked at when all is merged."},
	{"all-floors-are-joined", "A merge joins the floors of all sources that were staged from."},
	{"dropped-is-forgotten", "After a namespace was dropped, a writer has only the parents that came back."},
	{"age-is-from-arrival", "A removal's age counts from its arrival here, by a clock that nobody sets."},
	{"expired-enters-the-floor", "The dot of an expired value that is collected enters the floor."},
	{"writers-come-first", "What names a writer is held back until its records came."},
}

// What always holds.
var invariants = []Rule{
	{"vectors-are-closed", "Who covers an event has all before it, and all that it had seen."},
	{"dots-are-used-once", "A dot is used once, ever: no writer outlives its run."},
	{"join-is-a-join", "Join is commutative, associative and idempotent, by contexts."},
	{"encoding-is-canonical", "Equal state is equal bytes."},
	{"durable-survives", "What anybody was told is durable survives power loss."},
	{"removed-stays-removed", "Nothing removed comes back."},
	{"unknown-is-carried-or-refused", "What a later release made is carried or refused, never mangled."},
	{"memory-is-bounded", "Memory is bounded by configuration."},
	{"causality-beats-clocks", "A write that saw another replaces it, whatever clocks say."},
	{"counters-are-exact", "An increment counts once, unless a reset had seen it."},
	{"negatives-are-values", "Where a negative is to win it is a value."},
	{"divergence-is-healed", "Peers that cover the same compare what they hold, and heal a difference."},
	{"sync-ends", "Peers that can reach each other come to hold the same, and then rest."},
}

// The faults that must be survived.
var faults = []Rule{
	{"copied-device", "Two devices of one image, a restored backup, a lost tail."},
	{"wrong-clock", "A clock that is years off, steps back, or begins in 1970."},
	{"power-cut", "Power that goes at any write, also between two files that must agree."},
	{"failed-fsync", "An fsync that fails."},
	{"full-disk", "A disk without room."},
	{"damaged-file", "A flipped bit or a lost file."},
	{"repair", "A repair from peers, that loses and doubles nothing."},
	{"half-a-transaction", "A receiver that is killed in the middle of a transaction."},
	{"decode-bomb", "Bytes that take memory or stack."},
	{"slow-peer", "A peer that says nothing, or little."},
	{"flooding-peer", "A peer that never stops."},
	{"replay", "Frames that come twice, or in another order."},
	{"hostile-member", "A member that writes what it may not."},
	{"stranger", "Somebody who is no member, or of another cluster."},
	{"revoked-member", "A member that was revoked."},
	{"leaked-secret", "An invite or a key in the wrong hands."},
	{"mixed-fleet", "Releases side by side."},
}
