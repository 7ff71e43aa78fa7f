package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/crdt/history"
)

// Everything is an App that writes what can be written, all in few places so
// that it collides, and computes in the end what must be read from the history
// alone.
type Everything struct {
	done     map[string]history.History[operation] // by namespace
	appended int64                                 // to logs
}

// NewEverything returns one for one run.
func NewEverything() *Everything {
	return &Everything{done: map[string]history.History[operation]{}}
}

// The places that it writes to. The second register and the second counter are
// within the map.
var (
	registers  = [2]crdt.Register[int64]{crdt.NewRegister[int64]("r"), crdt.NewRegister[int64]("m", "r")}
	counters   = [2]crdt.Counter{crdt.NewCounter("c"), crdt.NewCounter("m", "c")}
	addWins    = crdt.NewSet[int64](crdt.AddWins, "s")
	removeWins = crdt.NewSet[int64](crdt.RemoveWins, "t")
	fields     = crdt.NewMap[crdt.Raw]("m")
)

// operation is one of a history.
type operation struct {
	verb, place int
	n           int64
}

const (
	setRegister = iota
	deleteRegister
	setShortLived // a register that nobody is asked about
	addToCounter
	addMoreToCounter // as often as all else that counters meet
	resetCounter
	deleteCounter
	addElement
	removeElement
	deleteMap
	verbs // of those above one is drawn
	appendToLog
	deleteLog
)

var shortLived = crdt.NewRegister[int64]("e")

// Act performs one transaction of a few operations.
func (a *Everything) Act(n *Node, d *Draw) error {
	names := n.Namespaces()
	if len(names) == 0 {
		return nil
	}
	name := pick(d, names...)
	var ops []operation
	for range 1 + d.IntN(3) {
		ops = append(ops, operation{d.IntN(verbs), d.IntN(2), int64(1 + d.IntN(9))})
	}
	ops = a.addToLog(ops, d)
	c, err := n.Update(name, func(tx crdt.Tx) error {
		for _, o := range ops {
			if err := o.apply(tx, n.WallMillis()); err != nil {
				return fmt.Errorf("%+v: %w", o, err)
			}
		}
		return nil
	})
	if err != nil || c.Dot.Seq == 0 {
		return err
	}
	h := a.done[name]
	h.Record(c.Dot, c.Time, c.Seen, ops...)
	a.done[name] = h
	return nil
}

func (o operation) apply(tx crdt.Tx, now int64) (err error) {
	switch o.verb {
	case setRegister:
		return registers[o.place].Set(tx, o.n)
	case deleteRegister:
		_, err = registers[o.place].Delete(tx)
	case setShortLived:
		return shortLived.Set(crdt.Until(tx, now+o.n*1000), o.n)
	case addToCounter, addMoreToCounter:
		return counters[o.place].Add(tx, o.n)
	case resetCounter:
		_, err = counters[o.place].Reset(tx)
	case deleteCounter:
		_, err = counters[o.place].Delete(tx)
	case addElement:
		return errors.Join(addWins.Add(tx, int64(o.place)), removeWins.Add(tx, int64(o.place)))
	case removeElement:
		_, err = addWins.Remove(tx, int64(o.place))
		if err == nil {
			_, err = removeWins.Remove(tx, int64(o.place))
		}
	case deleteMap:
		_, err = fields.Delete(tx)
	case appendToLog:
		return entries.Append(tx, o.n)
	case deleteLog:
		_, err = entries.Delete(tx)
	}
	return err
}

// Settled compares what is read at each node with what the history gives.
func (a *Everything) Settled(nodes []*Node) error {
	for _, n := range nodes {
		for _, name := range n.Namespaces() {
			if !n.Whole(name) {
				continue
			}
			covered := a.done[name].CoveredBy(n.Vector(name))
			want := expected(covered)
			var got string
			err := n.View(name, func(v crdt.View) (err error) {
				if got, err = reading(v); err == nil {
					err = checkLog(v, covered)
				}
				return err
			})
			if err != nil || got != want {
				return fmt.Errorf("%s: %s reads %q (%v), and must read %q", n.Name(), name, got, err, want)
			}
		}
	}
	return nil
}

// reading returns all that is read.
func reading(v crdt.View) (text string, err error) {
	for i := range 2 {
		r, err := registers[i].Get(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
		text += fmt.Sprintf("r%d=%s ", i, orMissing(r, err))
		c, err := counters[i].Get(v)
		if err != nil && !errors.Is(err, crdt.ErrMissing) {
			return "", err
		}
		text += fmt.Sprintf("c%d=%s ", i, orMissing(c, err))
	}
	adds, err := addWins.List(v)
	if err != nil {
		return "", err
	}
	removes, err := removeWins.List(v)
	return text + fmt.Sprint("s=", adds, " t=", removes), err
}

func orMissing(n int64, err error) string {
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(n)
}

// at returns which operations are one of some verbs at a place.
func at(place int, verbs ...int) func(operation) bool {
	return func(o operation) bool {
		return slices.Contains(verbs, o.verb) && (o.place == place || o.verb == deleteMap)
	}
}

// expected is what must be read by who knows a history.
func expected(h history.History[operation]) (text string) {
	for i := range 2 {
		over, takes, deletes := []int{setRegister, deleteRegister}, []int{resetCounter, deleteCounter}, []int{deleteCounter}
		if i == 1 { // within the map
			over, takes, deletes = append(over, deleteMap), append(takes, deleteMap), append(deletes, deleteMap)
		}
		r := "missing"
		if latest := h.Latest(at(i, setRegister), at(i, over...)); len(latest) > 0 {
			winner := latest[0]
			for j := range latest {
				if latest[j].Later(&winner) {
					winner = latest[j]
				}
			}
			r = fmt.Sprint(winner.Op.n)
		}
		text += fmt.Sprintf("r%d=%s ", i, r)
		adds := at(i, addToCounter, addMoreToCounter)
		c := "missing"
		if len(h.Latest(adds, at(i, deletes...))) > 0 {
			sum := int64(0)
			for _, s := range h.Latest(adds, at(i, takes...)) {
				sum += s.Op.n
			}
			c = fmt.Sprint(sum)
		}
		text += fmt.Sprintf("c%d=%s ", i, c)
	}
	adds, removes := []int64{}, []int64{}
	for i := range 2 {
		if len(h.Latest(at(i, addElement), at(i, removeElement))) > 0 {
			adds = append(adds, int64(i))
		}
		if len(h.Latest(at(i, addElement), at(i, removeElement))) > 0 && len(h.Latest(at(i, removeElement), at(i, addElement))) == 0 {
			removes = append(removes, int64(i))
		}
	}
	return text + fmt.Sprint("s=", adds, " t=", removes)
}
