package replica

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

// Meter says what may flow over a link on which bytes cost. A peer without one
// is unmetered. Metered is every link with the node that was met at the peer's
// address last, whoever dialed it and from where.
type Meter struct {
	// BytesPerDay is how much may be sent and received in a day, both together,
	// as UDP payload; 0 is any amount. Once it is used up only namespaces of
	// PriorityUrgent flow until the day turns; what was under way is broken off.
	//
	// A day is 24 hours of time that passed, and the account outlasts Close. A
	// step of the wall clock while the node runs neither shortens nor prolongs
	// it; the time that the node is closed counts by the wall clock.
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

	meterDay = 24 * time.Hour
	// meterCheck is how often links that are quiet are looked at.
	meterCheck = time.Minute
	// meterSteps is in how many steps a day's bytes are written down as used,
	// ahead of their use, so that who is killed has not used less than he is
	// said to.
	meterSteps    = 64
	minMeterBytes = 64 << 10
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

// account is what was used of the bytes of an address's day. All times are
// arguments: monotonic ones since the mesh began, and wall clock ones.
type account struct {
	address string
	meter   Meter
	save    func(value []byte)

	mu      sync.Mutex
	node    crdt.NodeID // who was met at the address last; zero: nobody
	used    uint64
	written uint64        // used, as it is on disk
	begun   time.Duration // when the day began; negative: before the mesh did
}

// newAccount goes on with an account as it was written down, if it was.
func newAccount(address string, o Meter, text []byte, now time.Duration, wall time.Time, save func([]byte)) *account {
	a := &account{address: address, meter: o, save: save, begun: now}
	var elapsed, at int64
	fields := strings.Fields(string(text))
	if len(fields) > 3 {
		a.node, _ = nodeOf(fields[3])
	}
	if _, err := fmt.Sscanf(string(text), "%d %d %d", &a.used, &elapsed, &at); err != nil {
		return a
	}
	a.written = a.used
	away := max(0, wall.Sub(time.Unix(at, 0)))
	a.begun = now - min(meterDay, time.Duration(elapsed)*time.Second) - min(meterDay, away)
	return a
}

// charge counts bytes, and reports whether that changes what may flow.
func (a *account) charge(bytes uint64, now time.Duration, wall time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.classLocked()
	if now-a.begun >= meterDay {
		a.used, a.written, a.begun = 0, 0, now
	}
	if a.used += bytes; a.used > a.written || a.begun == now {
		a.write(a.used+max(minMeterBytes, a.meter.BytesPerDay/meterSteps), now, wall)
	}
	after := a.classLocked()
	return before.Flows() != after.Flows()
}

// write writes down that so much is used.
func (a *account) write(used uint64, now time.Duration, wall time.Time) {
	a.written = used
	value := fmt.Appendf(nil, "%d %d %d", used, int64((now-a.begun)/time.Second), wall.Unix())
	if !a.node.IsZero() {
		value = fmt.Appendf(value, " %s", a.node)
	}
	a.save(value)
}

// meet takes note of who is at the address, and reports whether that is news.
func (a *account) meet(node crdt.NodeID) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	news := a.node != node
	a.node = node
	return news
}

// met returns who was met at the address last.
func (a *account) met() crdt.NodeID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.node
}

// close writes down what is used, exactly.
func (a *account) close(now time.Duration, wall time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.write(a.used, now, wall)
}

// set has another meter decide.
func (a *account) set(o Meter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.meter = o
}

// class returns what the protocol is told of the account's links; of no account
// that they are unmetered.
func (a *account) class() protocol.Class {
	if a == nil {
		return protocol.Class{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.classLocked()
}

func (a *account) classLocked() protocol.Class {
	return protocol.Class{Metered: true, Least: a.meter.Least, BytesPerDay: a.meter.BytesPerDay, Used: a.used}
}

// status returns how the account stands; nil of no account.
func (a *account) status(now time.Duration) *MeterStatus {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	class := a.classLocked()
	return &MeterStatus{Meter: a.meter, UsedBytes: a.used, Turns: max(0, meterDay-(now-a.begun)), Flows: class.Flows()}
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
