package replica

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
)

// The lenses of the release's main namespace: one of every type, at least.
var (
	releaseName    = crdt.NewRegister[string]("model", "name")
	releaseGone    = crdt.NewRegister[int]("gone")
	releaseRun     = crdt.NewRegister[int]("run")
	releaseOwner   = crdt.NewMultiValue[string]("owner")
	releaseSeen    = crdt.NewCounter("seen")
	releaseLabels  = crdt.NewSet[string](crdt.AddWins, "labels")
	releaseBlocked = crdt.NewSet[string](crdt.RemoveWins, "blocked")
	releaseArmed   = crdt.NewFlag(crdt.EnableWins, "armed")
	releaseMuted   = crdt.NewFlag(crdt.DisableWins, "muted")
	releaseConfig  = crdt.NewMap[map[string]any]("config")
	releasePeak    = crdt.NewMax[int]("peak")
	releaseLow     = crdt.NewMin[float64]("low")
	releaseEvents  = crdt.NewLog[string]("events")
	releaseLease   = crdt.NewRegister[string]("leases", "short")
	releaseKept    = crdt.NewRegister[string]("leases", "long")
	releaseGuests  = crdt.NewSet[string](crdt.AddWins, "leases", "guests")
)

// releaseFirst is what both nodes have seen before they part.
func releaseFirst(tx *Tx) error {
	return errors.Join(
		releaseName.Set(tx, "v1"), releaseGone.Set(tx, 1), releaseOwner.Set(tx, "ada"),
		releaseSeen.Add(tx, 5),
		releaseLabels.Add(tx, "a"), releaseLabels.Add(tx, "b"), releaseLabels.Add(tx, "c"),
		releaseBlocked.Add(tx, "x"), releaseBlocked.Add(tx, "y"), releaseBlocked.Add(tx, "z"),
		releaseArmed.Enable(tx), releaseMuted.Enable(tx),
		releaseConfig.Put(tx, map[string]any{"mode": "auto", "old": true, "rate": 10}),
		releasePeak.Set(tx, 7), releaseLow.Set(tx, 3.5),
		releaseEvents.Append(tx, "boot"), releaseEvents.Append(tx, "ready"))
}

// releaseHere and releaseThere are written concurrently, at the node and at
// its peer.
func releaseHere(tx *Tx) error {
	_, reset := releaseSeen.Reset(tx)
	_, removed := releaseBlocked.Remove(tx, "x")
	return errors.Join(reset, removed,
		releaseName.Set(tx, "v2 here"), releaseOwner.Set(tx, "cy"), releaseSeen.Add(tx, 1),
		releaseLabels.Add(tx, "a"), releaseArmed.Enable(tx), releaseMuted.Disable(tx),
		releaseConfig.Put(tx, map[string]any{"mode": "auto", "rate": 20}),
		releasePeak.Set(tx, 9), releaseLow.Set(tx, 3), releaseEvents.Append(tx, "here"))
}

func releaseThere(tx *Tx) error {
	_, label := releaseLabels.Remove(tx, "a")
	_, gone := releaseGone.Delete(tx)
	return errors.Join(label, gone,
		releaseName.Set(tx, "v2 there"), releaseOwner.Set(tx, "bob"), releaseSeen.Add(tx, 7),
		releaseLabels.Add(tx, "d"), releaseBlocked.Add(tx, "x"),
		releaseArmed.Disable(tx), releaseMuted.Enable(tx),
		crdt.NewRegister[string]("config", "mode").Set(tx, "manual"),
		releasePeak.Set(tx, 11), releaseLow.Set(tx, 2), releaseEvents.Append(tx, "there"))
}

// releaseSecond is of the node's second run, and stays in the log.
func releaseSecond(tx *Tx) error {
	_, err := releaseLabels.Remove(tx, "b")
	_, trimmed := releaseEvents.Trim(tx, 3)
	return errors.Join(err, trimmed, releaseRun.Set(tx, 2), releaseSeen.Add(tx, 2))
}

// releaseLater is of the second release's third run.
func releaseLater(tx *Tx) error {
	_, armed := releaseArmed.Delete(tx)
	_, label := releaseLabels.Remove(tx, "c")
	const long = 100 * 365 * 24 * time.Hour
	return errors.Join(armed, label,
		releaseLease.Set(tx.Expiring(time.Minute), "is over"), releaseKept.Set(tx.Expiring(long), "goes on"),
		releaseGuests.Add(tx.Expiring(long), "eve"), releaseSeen.Add(tx, 20))
}

// releaseReading reads all of the above, a line each.
func releaseReading(v crdt.View) (string, error) {
	var out strings.Builder
	var failed error
	line := func(name string, value any, err error) {
		if errors.Is(err, crdt.ErrMissing) {
			value, err = "missing", nil
		}
		fmt.Fprintf(&out, "%s %v\n", name, value)
		failed = errors.Join(failed, err)
	}
	name, err := releaseName.Get(v)
	line("name", name, err)
	conflicts, err := releaseName.Conflicts(v)
	line("conflicts", siblingsText(conflicts), err)
	gone, err := releaseGone.Get(v)
	line("gone", gone, err)
	run, err := releaseRun.Get(v)
	line("run", run, err)
	owners, err := releaseOwner.Siblings(v)
	line("owner", siblingsText(owners), err)
	seen, err := releaseSeen.Get(v)
	line("seen", seen, err)
	labels, err := releaseLabels.List(v)
	line("labels", labels, err)
	blocked, err := releaseBlocked.List(v)
	line("blocked", blocked, err)
	armed, err := releaseArmed.Enabled(v)
	line("armed", armed, err)
	muted, err := releaseMuted.Enabled(v)
	line("muted", muted, err)
	config, err := releaseConfig.Get(v)
	line("config", config, err)
	peak, err := releasePeak.Get(v)
	line("peak", peak, err)
	low, err := releaseLow.Get(v)
	line("low", low, err)
	events, err := releaseEvents.List(v)
	line("events", events, err)
	if kept, err := releaseKept.Get(v); !errors.Is(err, crdt.ErrMissing) { // not of the first release
		line("kept", kept, err)
		lease, err := releaseLease.Get(v)
		line("lease", lease, err)
		guests, err := releaseGuests.List(v)
		line("guests", guests, err)
	}
	return out.String(), failed
}

// siblingsText shows siblings with their writers and times.
func siblingsText(all []crdt.Sibling[string]) (texts []string) {
	for _, s := range all {
		texts = append(texts, fmt.Sprintf("%s(%s %v)", s.Value, s.Writer[:], s.Time))
	}
	return texts
}
