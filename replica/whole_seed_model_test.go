package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
)

// The places of the types that histories of frames do not write to.
var (
	seedFlags      = [2]crdt.Flag{crdt.NewFlag(crdt.EnableWins, "f"), crdt.NewFlag(crdt.DisableWins, "g")}
	seedValues     = crdt.NewMultiValue[int64]("v")
	seedExtremes   = [2]crdt.Extremum[int64]{crdt.NewMax[int64]("max"), crdt.NewMin[int64]("min")}
	seedRemoveWins = crdt.NewSet[int64](crdt.RemoveWins, "t")
	seedLog        = crdt.NewLog[int64]("l")
	seedBrief      = crdt.NewRegister[int64]("brief") // which nobody reads
)

const (
	enable = wholeVerbs + iota
	disable
	setValue
	deleteValue
	setExtreme
	addToRemoveWins
	removeFromRemoveWins
	appendToLog
	deleteLog
	setBrief
	seedVerbs
)

// applySeed performs the operation in a transaction.
func (o wholeOp) applySeed(tx crdt.Tx) (err error) {
	switch o.verb {
	case enable:
		return seedFlags[o.place].Enable(tx)
	case disable:
		return seedFlags[o.place].Disable(tx)
	case setValue:
		return seedValues.Set(tx, o.n)
	case deleteValue:
		_, err = seedValues.Delete(tx)
	case setExtreme:
		return seedExtremes[o.place].Set(tx, o.n)
	case addToRemoveWins:
		return seedRemoveWins.Add(tx, int64(o.place))
	case removeFromRemoveWins:
		_, err = seedRemoveWins.Remove(tx, int64(o.place))
	case appendToLog:
		return seedLog.Append(tx, o.n)
	case deleteLog:
		_, err = seedLog.Delete(tx)
	case setBrief:
		return seedBrief.Set(crdt.Until(tx, o.expires), o.n)
	default:
		return o.apply(tx)
	}
	return err
}

// seedReading returns all that can be read.
func seedReading(v crdt.View) (string, error) {
	text, err := wholeReading(v)
	if err != nil {
		return "", err
	}
	for i := range 2 {
		on, err := seedFlags[i].Enabled(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
		text += fmt.Sprintf(" f%d=%v", i, on)
		n, err := seedExtremes[i].Get(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
		text += fmt.Sprintf(" x%d=%s", i, orMissing(n, err))
	}
	values, err := seedValues.Get(v)
	if err != nil && !errors.Is(err, crdt.ErrMissing) {
		return "", err
	}
	elements, err := seedRemoveWins.List(v)
	if err != nil {
		return "", err
	}
	entries, err := seedLog.List(v)
	slices.Sort(values)
	slices.Sort(entries)
	return text + fmt.Sprint(" v=", values, " t=", elements, " l=", entries), err
}

// seedExpected is the oracle: what can be read at a time by whoever knows a
// history.
func seedExpected(h crdttest.History[wholeOp], now int64) string {
	text := wholeExpected(h, now)
	for i := range 2 {
		set := h.Latest(at(i, enable, disable), at(i, enable, disable))
		on := len(of(set, enable)) > 0
		if i == 1 { // where disabling wins
			on = on && len(of(set, disable)) == 0
		}
		text += fmt.Sprintf(" f%d=%v", i, on)
		x := "missing"
		if all := amounts(h.Latest(at(i, setExtreme), at(i))); len(all) > 0 {
			x = fmt.Sprint(all[(1-i)*(len(all)-1)])
		}
		text += fmt.Sprintf(" x%d=%s", i, x)
	}
	var elements []int64
	for i := range 2 {
		in, out := at(i, addToRemoveWins), at(i, removeFromRemoveWins)
		if len(h.Latest(in, out)) > 0 && len(h.Latest(out, in)) == 0 {
			elements = append(elements, int64(i))
		}
	}
	values := amounts(h.Latest(anywhere(setValue), anywhere(setValue, deleteValue)))
	entries := amounts(h.Latest(anywhere(appendToLog), anywhere(deleteLog)))
	return text + fmt.Sprint(" v=", values, " t=", elements, " l=", entries)
}

// anywhere returns which operations are one of the verbs.
func anywhere(verbs ...int) func(wholeOp) bool {
	return func(o wholeOp) bool { return slices.Contains(verbs, o.verb) }
}

// of returns the steps with a verb.
func of(h crdttest.History[wholeOp], verb int) crdttest.History[wholeOp] {
	return h.Latest(anywhere(verb), anywhere())
}

// amounts returns the numbers of all steps, in order.
func amounts(h crdttest.History[wholeOp]) (all []int64) {
	for i := range h {
		all = append(all, h[i].Op.n)
	}
	slices.Sort(all)
	return all
}
