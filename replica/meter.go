package replica

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Meter says what may flow over a link on which bytes cost. A peer without one
// is unmetered. Metered is every link with the node that was met at the peer's
// address last, whoever dialed it and from where.
type Meter struct {
	// BytesPerDay is how much may be sent and received in a day, both together,
	// as UDP payload; 0 is any amount. Once it is used up only namespaces of
	// PriorityUrgent flow until the day turns; what was under way is broken off.
	//
	// A day is 24 hours of time that passed. The account outlasts Close, and, if
	// there is a bound, a crash. A step of the wall clock while the node runs
	// neither shortens nor prolongs the day; the time that the node is closed
	// counts by the wall clock.
	BytesPerDay uint64
	// Least is the least priority of the namespaces that flow. The zero value is
	// PriorityNormal: what is PriorityBulk waits for an unmetered link.
	Least Priority
}

// MeterStatus is how a metered link stands.
type MeterStatus struct {
	Meter
	// UsedBytes is what was used of the present day.
	UsedBytes uint64
	// Turns is in how long the day ends.
	Turns time.Duration
	// Flows is the least priority that flows now: PriorityUrgent if the day's
	// bytes are used up, else Least.
	Flows Priority
	// HeldBack are the namespaces here that do not flow, by name.
	HeldBack []string
}

const (
	// meterKey and accountKey are the beginnings of the local values that hold
	// the meters of addresses, and what was used.
	meterKey   = "meter/"
	accountKey = "metered/"
)

// encode returns the meter as it is written down.
func (o Meter) encode() []byte { return fmt.Appendf(nil, "%d %s", o.BytesPerDay, o.Least) }

// parseMeter reads what encode wrote.
func parseMeter(text string) (o Meter, err error) {
	bytes, least, _ := strings.Cut(text, " ")
	if o.BytesPerDay, err = strconv.ParseUint(bytes, 10, 64); err != nil {
		return o, err
	}
	o.Least, err = ParsePriority(least)
	return o, err
}

// PeerOptions say how to keep a link with a peer. The zero value is what AddPeer
// takes for a peer that is new.
type PeerOptions struct {
	// Meter says that bytes cost on the way to the peer, and what may flow.
	// Nil: they do not.
	Meter *Meter
}

// AddPeerWith is AddPeer with options, which take the place of those that the
// peer had. A link that is up stays, and goes by them from now on.
func (d *DB) AddPeerWith(address string, o PeerOptions) error {
	if err := d.checkPeer(address); err != nil {
		return err
	}
	if err := d.setMeter(address, o.Meter); err != nil {
		return err
	}
	return d.AddPeer(address)
}

// setMeter writes down the meter of an address.
func (d *DB) setMeter(address string, o *Meter) error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	d.admin.Lock()
	defer d.admin.Unlock()
	var value []byte
	if o != nil {
		if err := o.validate(); err != nil {
			return err
		}
		value = o.encode()
	}
	if err := d.store.SetLocal(meterKey+address, value); err != nil {
		return fmt.Errorf("write the meter of a peer down: %w", err)
	}
	if d.mesh == nil {
		return nil
	}
	d.mesh.flushMeter(address)
	used, err := d.store.Local(accountKey + address)
	if err == nil {
		d.mesh.setMeter(address, o, used)
	}
	return err
}

func (o *Meter) validate() error {
	_, err := ParsePriority(o.Least.String())
	return err
}

// loadMeters has the mesh count what was written down to be metered.
func (d *DB) loadMeters() error {
	meters := map[string]*Meter{everyPeer: d.options.Meter}
	for e, err := range d.store.LocalScan(meterKey) {
		if err != nil {
			return err
		}
		o, err := parseMeter(string(e.Value))
		if err != nil {
			return fmt.Errorf("the local value %q: %w", e.Key, err)
		}
		meters[strings.TrimPrefix(e.Key, meterKey)] = &o
	}
	for address, o := range meters {
		used, err := d.store.Local(accountKey + address)
		if err != nil {
			return err
		}
		d.mesh.setMeter(address, o, used)
	}
	return nil
}

// describeSaved adds to the status of peers, of a database without a network,
// what is written down of their meters.
func (d *DB) describeSaved(all []PeerStatus) error {
	for i := range all {
		p := &all[i]
		text, err := d.store.Local(meterKey + p.Address)
		if err != nil {
			return err
		}
		if text == nil {
			continue
		}
		o, err := parseMeter(string(text))
		if err != nil {
			return fmt.Errorf("the local value %q: %w", meterKey+p.Address, err)
		}
		used, err := d.store.Local(accountKey + p.Address)
		if err != nil {
			return err
		}
		p.Meter = newAccount(p.Address, o, used, 0, d.options.Now(), nil).status(0)
		if err := p.Meter.hold(d.store.Namespaces(), d.priority); err != nil {
			return err
		}
	}
	return nil
}

// hold notes which namespaces do not flow.
func (s *MeterStatus) hold(namespaces []string, priority func(string) (Priority, error)) error {
	for _, name := range slices.Sorted(slices.Values(namespaces)) {
		p, err := priority(name)
		if err != nil {
			return err
		}
		if p < s.Flows {
			s.HeldBack = append(s.HeldBack, name)
		}
	}
	return nil
}
