package replica

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/transport"
)

// ledger is an account, what it wrote down, and two clocks.
type ledger struct {
	*account
	t       *testing.T
	up      time.Duration
	wall    time.Time
	written []byte
	writes  int
}

func openLedger(t *testing.T, bytesPerDay uint64) *ledger {
	b := &ledger{t: t, wall: time.Unix(1_700_000_000, 0)}
	b.open(bytesPerDay)
	return b
}

// open opens the account in a new run: from what the last one wrote down.
func (b *ledger) open(bytesPerDay uint64) {
	b.up = 0
	o := Meter{BytesPerDay: bytesPerDay}
	b.account = newAccount("hub:1", o, b.written, b.up, b.wall, func(value []byte) {
		if !b.mu.TryLock() {
			b.t.Error("it is written down under the lock that all charges take")
		} else {
			b.mu.Unlock()
		}
		b.written = value
		b.writes++
	})
}

// pass lets time pass on both clocks.
func (b *ledger) pass(d time.Duration) {
	b.up += d
	b.wall = b.wall.Add(d)
}

// spend counts bytes and checks what flows then.
func (b *ledger) spend(bytes uint64, want Priority) {
	b.t.Helper()
	b.charge(bytes, b.up, b.wall)
	if got := b.status(b.up).Flows; got != want {
		b.t.Errorf("with %d of %d bytes used, %v flows, want %v", b.used, b.meter.BytesPerDay, got, want)
	}
}

func TestADaysBytesAreUsedUpOnce(t *testing.T) {
	b := openLedger(t, 1<<20)
	b.spend(1<<20-1, PriorityNormal)
	b.spend(1, PriorityUrgent)
	b.pass(meterDay - time.Second)
	b.spend(0, PriorityUrgent)
	b.pass(time.Second)
	b.spend(0, PriorityNormal)
	b.spend(1<<20, PriorityUrgent)
}

func TestAStepOfTheClockOpensNoDay(t *testing.T) {
	b := openLedger(t, 1<<20)
	b.spend(1<<20, PriorityUrgent)
	for _, step := range []time.Duration{100 * meterDay, -200 * meterDay, 300 * meterDay} {
		b.wall = b.wall.Add(step)
		b.spend(0, PriorityUrgent)
		b.pass(time.Hour)
		b.spend(1, PriorityUrgent)
	}
	b.pass(meterDay - 3*time.Hour)
	b.spend(0, PriorityNormal)
}

func TestAnAccountOutlastsARun(t *testing.T) {
	b := openLedger(t, 1<<20)
	b.spend(1<<20, PriorityUrgent)
	b.pass(10 * time.Hour)
	b.close(b.up, b.wall)
	b.wall = b.wall.Add(10 * time.Hour) // it is closed
	b.open(1 << 20)
	b.spend(0, PriorityUrgent)
	b.wall = b.wall.Add(-50 * meterDay) // a clock that was lost
	b.close(b.up, b.wall)
	b.wall = b.wall.Add(-50 * meterDay)
	b.open(1 << 20)
	b.spend(0, PriorityUrgent)
	b.pass(4*time.Hour + time.Second)
	b.spend(0, PriorityNormal)
}

// Who is killed has not used less than is written down.
func TestWhatAKilledNodeUsedIsWrittenDown(t *testing.T) {
	b := openLedger(t, 10<<20)
	for range 1000 {
		b.spend(1<<10, PriorityNormal)
		before := b.used
		killed := &ledger{t: t, up: b.up, wall: b.wall, written: b.written}
		killed.open(10 << 20)
		if killed.used < before || killed.used > before+max(minMeterBytes, 10<<20/meterSteps) {
			t.Fatalf("%d bytes were used, and %d are known after a crash", before, killed.used)
		}
	}
}

// Where nothing ends with the day's bytes nobody needs to know them after a
// crash, and they cost no disk.
func TestAMeterWithoutABoundIsWrittenWhenItCloses(t *testing.T) {
	b := openLedger(t, 0)
	for range 100 {
		b.spend(1<<20, PriorityNormal)
		b.pass(time.Hour)
	}
	if b.writes != 0 {
		t.Errorf("it was written down %d times", b.writes)
	}
	used := b.used
	b.close(b.up, b.wall)
	b.open(0)
	if b.used != used || used != 4<<20 {
		t.Errorf("%d bytes were used, and %d are known", used, b.used)
	}
}

// countedConn is a link that has carried some bytes.
type countedConn struct {
	transport.Link
	bytes atomic.Uint64
}

func (*countedConn) Peer() transport.Credential   { return transport.Credential{} }
func (*countedConn) Instance() transport.Instance { return transport.Instance{} }
func (c *countedConn) Stats() transport.LinkStats {
	return transport.LinkStats{BytesSent: c.bytes.Load()}
}

// What the machine hears last of a link's class is how it is, whoever charges
// and changes it at a time.
func TestTheClassThatIsToldLastHolds(t *testing.T) {
	m := &mesh{
		log: slog.New(slog.DiscardHandler), started: time.Now(), wall: time.Now,
		accounts: map[string]*account{}, links: map[protocol.LinkID]*link{}, setLocal: func(string, []byte) error { return nil },
	}
	m.inbox.ready = make(chan struct{}, 1)
	m.book = newBook(crdt.NodeID{}, "")
	var cancel context.CancelFunc
	m.ctx, cancel = context.WithCancel(t.Context())
	conn := &countedConn{}
	l := newLink(m, 1, conn)
	m.links[1] = l
	day := uint64(0)
	grow := func() { day += 1 << 20; m.setMeter(everyPeer, &Meter{BytesPerDay: day}, nil) }
	grow()
	for i := range 40_000 {
		conn.bytes.Store(day) // it is used up, just when there comes to be more
		var both sync.WaitGroup
		both.Go(func() { m.charge(l) })
		both.Go(grow)
		both.Wait()
		events, _, _ := m.inbox.take()
		last := events[len(events)-1].(protocol.Metered).Class
		if is := l.account.Load().class(); last.Flows() != is.Flows() {
			t.Fatalf("at try %d it was told that %v flows last", i, last.Flows())
		}
	}
	cancel()
	m.running.Wait()
}

func TestWhatIsWrittenOfMetersIsReadAgain(t *testing.T) {
	for _, o := range []Meter{{}, {BytesPerDay: 1<<64 - 1, Least: PriorityUrgent}, {Least: PriorityBulk}} {
		if got, err := parseMeter(string(o.encode())); err != nil || got != o {
			t.Errorf("wrote %+v, read %+v, %v", o, got, err)
		}
	}
	for _, bad := range []string{"", "1", "x normal", "1 never", "-1 normal"} {
		if o, err := parseMeter(bad); err == nil {
			t.Errorf("%q is read as %+v", bad, o)
		}
	}
	if _, err := ParsePriority("high"); !errors.Is(err, ErrOptions) {
		t.Errorf("an unknown priority: %v", err)
	}
}
