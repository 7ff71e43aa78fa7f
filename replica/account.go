package replica

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
)

const (
	meterDay = 24 * time.Hour
	// meterSteps is in how many steps a day's bytes are written down as used,
	// ahead of their use, so that who is killed has not used less than he is
	// said to.
	meterSteps    = 64
	minMeterBytes = 64 << 10
)

// account is what was used of the bytes of an address's day. All times are
// arguments: monotonic ones since the mesh began, and wall clock ones.
type account struct {
	address string
	save    func(value []byte) // called under saving alone
	saving  sync.Mutex         // taken ahead of mu

	mu      sync.Mutex
	meter   Meter
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
	const day = int64(meterDay / time.Second)
	a.begun = now - time.Duration(max(0, min(elapsed, day)))*time.Second - min(meterDay, away)
	return a
}

// charge counts bytes, and reports whether that changes what may flow. Where the
// day's bytes are bounded it returns once they are written down as used.
func (a *account) charge(bytes uint64, now time.Duration, wall time.Time) bool {
	a.mu.Lock()
	before := a.classLocked()
	if now-a.begun >= meterDay {
		a.used, a.written, a.begun = 0, 0, now
	}
	a.used += bytes
	after := a.classLocked()
	due := a.dueLocked()
	a.mu.Unlock()
	if due {
		a.writeAhead(now, wall)
	}
	return before.Flows() != after.Flows()
}

// dueLocked reports whether more was used than is written down, and that matters.
func (a *account) dueLocked() bool { return a.meter.BytesPerDay > 0 && a.used > a.written }

// writeAhead writes down that some more is used than is, unless another charge
// did so meanwhile.
func (a *account) writeAhead(now time.Duration, wall time.Time) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	due, day := a.dueLocked(), a.begun
	used := a.used + max(minMeterBytes, a.meter.BytesPerDay/meterSteps)
	value := a.valueLocked(used, now, wall)
	a.mu.Unlock()
	if !due {
		return
	}
	a.save(value)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.begun == day {
		a.written = used
	}
}

// close writes down what is used, exactly.
func (a *account) close(now time.Duration, wall time.Time) {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	a.written = a.used
	value := a.valueLocked(a.used, now, wall)
	a.mu.Unlock()
	a.save(value)
}

// valueLocked returns the account as it is written down, with so much used.
func (a *account) valueLocked(used uint64, now time.Duration, wall time.Time) []byte {
	value := fmt.Appendf(nil, "%d %d %d", used, int64((now-a.begun)/time.Second), wall.Unix())
	if !a.node.IsZero() {
		value = fmt.Appendf(value, " %s", a.node)
	}
	return value
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
