package crdt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
)

// trial is one random history.
type trial struct {
	rnd     *rand.Rand
	actions []int // what may happen in this history, by code
	ops     []int // what its transactions may do
	rules   rules
	story   *strings.Builder
	history []transaction

	devices   []*device
	images    []image
	mail      []letter
	writers   int
	wall      int64
	collected bool // somebody dropped removals: equal states may differ in bytes
	// agreed is up to when all clocks have agreed that values expired.
	agreed int64
}

// device is a replica, and what the oracle says of it.
type device struct {
	*Replica
	name  string
	known known
	drift int64 // how far its clock is off, in milliseconds
}

// image is a copy of a device, to be restored later.
type image struct {
	*Replica
	known known
}

// letter is a delta on its way.
type letter struct {
	delta Delta
	since known // what its receiver must know
	known known // what its sender knew
}

const maxDevices = 4

var drifts = []int64{0, 0, 0, 10 * year, -hour, -today}

func newTrial(rnd *rand.Rand, r rules, story *strings.Builder) *trial {
	f := &trial{rnd: rnd, rules: r, story: story, wall: today}
	f.actions, f.ops = some(rnd, 100), some(rnd, 22)
	for n := range byte(3) {
		f.addDevice(NewReplica(NodeID{n + 1}, f.newWriter()), 0)
	}
	return f
}

// some returns a few codes below n, or many. Histories in which little
// differs reach what histories of everything do not (swarm testing).
func some(rnd *rand.Rand, n int) []int {
	codes := make([]int, 5+rnd.IntN(n))
	for i := range codes {
		codes[i] = rnd.IntN(n)
	}
	return codes
}

func (f *trial) addDevice(r *Replica, k known) *device {
	d := &device{r, fmt.Sprintf("device %d", len(f.devices)), k, drifts[f.rnd.IntN(len(drifts))]}
	f.devices = append(f.devices, d)
	return d
}

// newWriter returns an id that was not used before, in no order.
func (f *trial) newWriter() WriterID {
	f.writers++
	return WriterID{byte(f.writers * 167), byte(f.writers)}
}

func (f *trial) tell(format string, args ...any) {
	if f.story != nil {
		fmt.Fprintf(f.story, "  "+format+"\n", args...)
	}
}

func (f *trial) pick() *device { return f.devices[f.rnd.IntN(len(f.devices))] }

// step lets one thing happen, and returns the device that it happened to.
func (f *trial) step() (*device, error) {
	d := f.pick()
	switch n := f.actions[f.rnd.IntN(len(f.actions))]; {
	case n < 42:
		return d, f.update(d)
	case n < 66:
		from := f.pick()
		f.tell("%s gets a delta from %s", d.name, from.name)
		return d, f.deliver(d, f.send(from, d.known, d.Vector()))
	case n < 74:
		f.post(d)
		return nil, nil
	case n < 84:
		if len(f.mail) == 0 {
			return nil, nil
		}
		i := f.rnd.IntN(len(f.mail))
		f.tell("%s gets letter %d", d.name, i)
		return d, f.deliver(d, f.mail[i])
	case n < 89:
		f.tell("%s restarts", d.name)
		d.Restart(f.newWriter())
	case n < 92:
		f.tell("image %d is taken of %s", len(f.images), d.name)
		f.images = append(f.images, image{d.Clone(), d.known})
	case n < 95:
		return d, f.restore(d)
	case n < 97:
		if len(f.devices) < maxDevices {
			c := f.addDevice(d.Clone(), d.known)
			c.Restart(f.newWriter())
			f.tell("%s is a clone of %s", c.name, d.name)
		}
	default:
		f.collect(d)
	}
	return d, nil
}

// restore sets a device back to an image, of any device: what it did since is
// lost unless somebody got it.
func (f *trial) restore(d *device) error {
	if len(f.images) == 0 {
		return nil
	}
	i := f.rnd.IntN(len(f.images))
	f.tell("%s is set back to image %d", d.name, i)
	before := d.Replica
	d.Replica, d.known = f.images[i].Clone(), f.images[i].known
	f.rules.restart(d.Replica, before, f.newWriter())
	return nil
}

// post puts a delta into the mail: since what somebody knows now, or knew
// when an image was taken, or since nothing.
func (f *trial) post(from *device) {
	var l letter
	switch n := f.rnd.IntN(3); {
	case n == 0 && len(f.images) > 0:
		im := f.images[f.rnd.IntN(len(f.images))]
		l = f.send(from, im.known, im.Vector())
	case n == 1:
		l = f.send(from, 0, nil)
	default:
		to := f.pick()
		l = f.send(from, to.known, to.Vector())
	}
	if f.rnd.IntN(4) == 0 {
		l.delta.Writers = nil
	}
	f.tell("%s posts letter %d, with %d records and %d writers", from.name, len(f.mail), len(l.delta.Entries), len(l.delta.Writers))
	f.mail = append(f.mail, l)
}

func (f *trial) send(from *device, since known, v Vector) letter {
	return letter{from.Delta(v), since, from.known}
}

// deliver merges a letter and checks that it is refused exactly if it must
// be: because of a gap, or of a writer that nobody introduced.
func (f *trial) deliver(d *device, l letter) error {
	var want error
	switch {
	case !l.since.within(d.known):
		want = ErrGap
	case !f.introduced(l, d):
		want = ErrUnknownWriter
	}
	err := f.rules.merge(d.Replica, l.delta)
	if f.rules.lax {
		want = err // a rule was taken out: let the states tell
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("%s merges with error %v, want %v", d.name, err, want)
	}
	if err == nil {
		d.known |= l.known
	}
	return nil
}

// introduced reports whether d knows the writers of all transactions of l, or
// l brings their records.
func (f *trial) introduced(l letter, d *device) bool {
	met := map[WriterID]bool{}
	for _, rec := range l.delta.Writers {
		met[rec.Writer] = true
	}
	for i := range f.history {
		if d.known.has(i) {
			met[f.history[i].dot.Writer] = true
		}
	}
	for i := range f.history {
		if l.known.has(i) && !met[f.history[i].dot.Writer] {
			return false
		}
	}
	return true
}

// clock returns what a device's clock says.
func (f *trial) clock(d *device) int64 { return max(f.wall+d.drift, f.agreed) }

// collect drops removals, and what has expired by a time that all agree on,
// that everybody has, images included: none is needed any more. (Dropping others takes a floor, which the durable store has.)
func (f *trial) collect(d *device) {
	if f.rnd.IntN(2) == 0 {
		f.agreed = f.wall
	}
	everywhere := d.Vector()
	covered := func(dot Dot) bool {
		for _, o := range f.devices {
			if !o.vector.Covers(dot) {
				return false
			}
		}
		for _, im := range f.images {
			if !im.vector.Covers(dot) {
				return false
			}
		}
		return everywhere.Covers(dot)
	}
	var root *tree
	dropped := 0
	d.root.scan(AllKeys, func(e Entry) bool {
		var left Record
		for _, ev := range e.Record {
			if (ev.Removed || ev.Expired(f.agreed)) && f.rnd.IntN(2) == 0 && covered(ev.Dot) {
				dropped++
				continue
			}
			left = append(left, ev)
		}
		if len(left) > 0 {
			root = root.put(Entry{e.Key, left})
		}
		return true
	})
	d.root, f.collected = root, f.collected || dropped > 0
	f.tell("%s collects %d removals", d.name, dropped)
}
