package sim

import "slices"

// Kind is a kind of thing that happens to a run from outside.
type Kind string

// The kinds. A and B are nodes.
const (
	Act     Kind = "act"     // the App acts on A
	Cut     Kind = "cut"     // nothing passes between A and B
	Mute    Kind = "mute"    // nothing passes from A to B
	Mend    Kind = "mend"    // A and B can reach each other again
	Break   Kind = "break"   // the links of A and B break, and may be made again
	Twice   Kind = "twice"   // A dials B, linked or not
	Tamper  Kind = "tamper"  // a frame from A to B is lost, or replayed
	Crash   Kind = "crash"   // A loses power, and what was not synced, and starts again
	Clone   Kind = "clone"   // A's disk is copied, and the copy runs
	Backup  Kind = "backup"  // A's backup is taken
	Restore Kind = "restore" // A's disk is lost, and its backup restored
	Drop    Kind = "drop"    // A drops a namespace, or opens it again
	Clock   Kind = "clock"   // A's clock is set, wrong or right, or drifts
	Collect Kind = "collect" // A collects removals and what has expired
	Slow    Kind = "slow"    // A's disk is slow, or as fast as ever
	Fail    Kind = "fail"    // A's disk fails now and then, or not any more
	Urgent  Kind = "urgent"  // A namespace gets another priority at A
	Meter   Kind = "meter"   // A's links cost, and carry less, or do not any more
	Resume  Kind = "resume"  // A goes on from what it was at its backup, with the writers of then
	Revoke  Kind = "revoke"  // A's credential is revoked, and B is the first to hear of it
	Rot     Kind = "rot"     // A's disk loses records, and says nothing
	Grant   Kind = "grant"   // A's credential grants from now on to read a namespace only
)

// Faults are all kinds but Act.
var Faults = []Kind{
	Cut, Mute, Mend, Break, Twice, Tamper, Crash, Clone, Backup, Restore, Drop, Clock, Collect, Slow, Fail, Urgent,
	Meter, Resume, Revoke, Rot, Grant,
}

// rare are the faults that are on in one seed of rareOneIn, not in half of them:
// after them less can be asked of a run. A revoked node drops out of what is
// compared, what rot has touched is not what the history says, and what a reader
// alone has stays with it.
var rare = []Kind{Revoke, Rot, Grant}

const rareOneIn = 8

// Happening is one thing that happens to a run: at a time, in milliseconds from
// its start, with what chance adds to it drawn from N.
type Happening struct {
	At   int64
	Kind Kind
	A, B int
	N    uint64
}

// Plan is all that a run follows from, but for the App.
type Plan struct {
	// Seed is what all chance is drawn from.
	Seed uint64
	// Nodes is how many there are at the start.
	Nodes int
	// Namespaces are their names, ordered.
	Namespaces []string
	// Older is of a thousand nodes and features how many lack one, as nodes of
	// an older release do.
	Older int
	// Partial is of a thousand nodes and namespaces how many go together in part
	// only: the node may not read it, may read it only, or does not subscribe to
	// it. The first node has all.
	Partial int
	// Happenings are ordered by time.
	Happenings []Happening
}

// calm are the kinds after which no link ends and nothing fails. In a tenth of the
// seeds there are no others: then more can be asked of a run.
var calm = []Kind{Backup, Clock, Collect, Urgent}

// maxActs bounds a plan's happenings.
const maxActs = 120

// NewPlan draws a plan from a seed. Of the faults given a half that is drawn
// does not happen (Groce et al., "Swarm Testing", 2012): what a fault hides is
// found where it is missing.
func NewPlan(seed uint64, faults []Kind) *Plan {
	d := newDraw(seed, "plan")
	p := &Plan{Seed: seed, Nodes: pick(&d, 2, 3, 3, 3, 4, 5), Namespaces: []string{"alpha"}}
	if d.In(250) {
		p.Namespaces = append(p.Namespaces, "beta")
	}
	if d.In(200) {
		p.Older = 200
	}
	seldom := newDraw(seed, "rare")
	if seldom.In(200) {
		p.Partial = 300
	}
	var kinds []Kind
	for _, k := range faults {
		if slices.Contains(rare, k) && seldom.IntN(rareOneIn) == 0 || !slices.Contains(rare, k) && d.In(500) {
			kinds = append(kinds, k)
		}
	}
	switch r := seldom.IntN(10); {
	case r == 0:
		kinds = slices.DeleteFunc(kinds, func(k Kind) bool { return !slices.Contains(calm, k) })
	case r < 3 && len(kinds) > 2: // two of them, and so both often
		first := seldom.IntN(len(kinds))
		second := (first + 1 + seldom.IntN(len(kinds)-1)) % len(kinds)
		kinds = []Kind{kinds[first], kinds[second]}
	}
	count := 5 + d.IntN(maxActs/4)
	if d.In(50) {
		count += maxActs // what takes a long story to go wrong
	}
	acts := pick(&d, 300, 500, 800) // of a thousand
	gap := pick(&d, 10, 100, 1000, 20_000)
	at := int64(0)
	for range count {
		at += int64(d.IntN(pick(&d, 10, gap)))
		h := Happening{At: at, Kind: Act, A: d.IntN(p.Nodes + 1), B: d.IntN(p.Nodes + 1), N: d.Uint64()}
		if len(kinds) > 0 && !d.In(acts) {
			h.Kind = kinds[d.IntN(len(kinds))]
		}
		p.Happenings = append(p.Happenings, h)
	}
	return p
}

// without returns the plan less the happenings from one place up to below another.
func (p *Plan) without(from, to int) *Plan {
	q := *p
	q.Happenings = slices.Delete(slices.Clone(p.Happenings), from, to)
	return &q
}

// isCalm reports whether nothing happens that ends a link, or fails.
func (p *Plan) isCalm() bool {
	return p.Partial == 0 && !slices.ContainsFunc(p.Happenings, func(h Happening) bool {
		return h.Kind != Act && !slices.Contains(calm, h.Kind)
	})
}

// has reports whether something of a kind happens.
func (p *Plan) has(k Kind) bool {
	return slices.ContainsFunc(p.Happenings, func(h Happening) bool { return h.Kind == k })
}
