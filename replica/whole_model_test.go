package replica

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/crdttest"
)

// The places that histories write to: few, so that everything collides. The
// second register and the second counter are within the map.
var (
	wholeRegisters = [2]crdt.Register[int64]{crdt.NewRegister[int64]("r"), crdt.NewRegister[int64]("m", "r")}
	wholeCounters  = [2]crdt.Counter{crdt.NewCounter("c"), crdt.NewCounter("m", "c")}
	wholeElements  = crdt.NewSet[int64](crdt.AddWins, "s")
	wholeMap       = crdt.NewMap[crdt.Raw]("m")
)

// wholeOp is one operation of a history.
type wholeOp struct {
	verb, place int
	n           int64
	expires     int64 // of setRegisterFor
}

const (
	setRegister = iota
	setRegisterFor
	deleteRegister
	addToCounter
	addMoreToCounter // as often as everything else that counters meet
	resetCounter
	deleteCounter
	addElement
	removeElement
	deleteMap
	wholeVerbs
)

// apply performs the operation in a transaction.
func (o wholeOp) apply(tx crdt.Tx) (err error) {
	switch o.verb {
	case setRegister:
		return wholeRegisters[o.place].Set(tx, o.n)
	case setRegisterFor:
		return wholeRegisters[o.place].Set(crdt.Until(tx, o.expires), o.n)
	case deleteRegister:
		_, err = wholeRegisters[o.place].Delete(tx)
	case addToCounter, addMoreToCounter:
		return wholeCounters[o.place].Add(tx, o.n)
	case resetCounter:
		_, err = wholeCounters[o.place].Reset(tx)
	case deleteCounter:
		_, err = wholeCounters[o.place].Delete(tx)
	case addElement:
		return wholeElements.Add(tx, int64(o.place))
	case removeElement:
		_, err = wholeElements.Remove(tx, int64(o.place))
	case deleteMap:
		_, err = wholeMap.Delete(tx)
	}
	return err
}

// at returns which operations are one of the verbs at a place.
func at(place int, verbs ...int) func(wholeOp) bool {
	return func(o wholeOp) bool {
		for _, verb := range verbs {
			if o.verb == verb && (o.place == place || verb == deleteMap) {
				return true
			}
		}
		return false
	}
}

// wholeReading returns all that can be read.
func wholeReading(v crdt.View) (string, error) {
	var text string
	for i := range 2 {
		value, err := wholeRegisters[i].Get(v)
		if text += fmt.Sprintf("r%d=%s ", i, orMissing(value, err)); err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
		value, err = wholeCounters[i].Get(v)
		if text += fmt.Sprintf("c%d=%s ", i, orMissing(value, err)); err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
	}
	elements, err := wholeElements.List(v)
	return text + fmt.Sprint("s=", elements), err
}

func orMissing(n int64, err error) string {
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(n)
}

// wholeExpected is the oracle: what can be read at a time by whoever knows a
// history. A value that has expired still supersedes what it saw.
func wholeExpected(h crdttest.History[wholeOp], now int64) (text string) {
	for i := range 2 {
		over := []int{setRegister, setRegisterFor, deleteRegister}
		takes, deletes := []int{resetCounter, deleteCounter}, []int{deleteCounter}
		if i == 1 { // within the map
			over, takes, deletes = append(over, deleteMap), append(takes, deleteMap), append(deletes, deleteMap)
		}
		text += fmt.Sprintf("r%d=%s ", i, expectedRegister(h.Latest(at(i, setRegister, setRegisterFor), at(i, over...)), now))
		adds := at(i, addToCounter, addMoreToCounter)
		sum, there := int64(0), len(h.Latest(adds, at(i, deletes...))) > 0
		for _, s := range h.Latest(adds, at(i, takes...)) {
			sum += s.Op.n
		}
		if there {
			text += fmt.Sprintf("c%d=%d ", i, sum)
		} else {
			text += fmt.Sprintf("c%d=missing ", i)
		}
	}
	var elements []int64
	for i := range 2 {
		if len(h.Latest(at(i, addElement), at(i, removeElement))) > 0 {
			elements = append(elements, int64(i))
		}
	}
	return text + fmt.Sprint("s=", elements)
}

// expectedRegister returns the value that wins among those not superseded that
// are there at a time.
func expectedRegister(latest crdttest.History[wholeOp], now int64) string {
	latest = slices.DeleteFunc(slices.Clone(latest), func(s crdttest.Step[wholeOp]) bool {
		return s.Op.verb == setRegisterFor && s.Op.expires <= now
	})
	if len(latest) == 0 {
		return "missing"
	}
	winner := latest[0]
	for i := range latest {
		if latest[i].Later(&winner) {
			winner = latest[i]
		}
	}
	return fmt.Sprint(winner.Op.n)
}
