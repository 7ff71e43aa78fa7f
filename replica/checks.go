package replica

import (
	"slices"
	"time"

	"github.com/anabranch-db/anabranch/replica/protocol"
	"github.com/anabranch-db/anabranch/store"
)

// Where a peer's digest differs the whole store is checked, and it costs a peer
// one message to say so. So the disk must not be kept busy by that: all who ask
// before a check begins share it, and there is a rest behind each.

const (
	// minCheckRest is the least from the end of a check to the next: a
	// difference is known for minutes before it is healed in any case.
	minCheckRest = 10 * time.Minute
	// checkRests is the same in durations of the last check, so that a large
	// store is checked for a tenth of the time at most.
	checkRests = 9
)

// checks are those of the store that digests ask for. Of the loop's goroutine.
type checks struct {
	waiting []suspicion // that came since the last one began
	busy    bool        // one runs, or waits for its time
	next    time.Time   // when the next may begin
}

// suspicion is a namespace whose digest differs from that of a link's peer.
type suspicion struct {
	link protocol.LinkID
	ns   *store.Namespace
}

// checkFor has the store checked, and posts Checked. Who waits is bounded by
// the links that are up.
func (m *mesh) checkFor(one suspicion) {
	c := &m.checks
	c.waiting = slices.DeleteFunc(c.waiting, func(o suspicion) bool { return o == one || m.link(o.link) == nil })
	c.waiting = append(c.waiting, one)
	m.awaitCheck()
}

// awaitCheck begins a check when it may, if one is due.
func (m *mesh) awaitCheck() {
	c := &m.checks
	if c.busy || len(c.waiting) == 0 {
		return
	}
	c.busy = true
	rest := time.NewTimer(time.Until(c.next))
	m.running.Go(func() {
		defer rest.Stop()
		select {
		case <-rest.C:
			m.inbox.ask(m.beginCheck)
		case <-m.ctx.Done():
		}
	})
}

// beginCheck checks the store for all who wait.
func (m *mesh) beginCheck() {
	c := &m.checks
	due := c.waiting
	c.waiting = nil
	m.log.Info("the store is checked", "peers", len(due))
	m.running.Go(func() {
		began := time.Now()
		err := m.check(due)
		took := time.Since(began)
		m.inbox.ask(func() { m.endCheck(due, took, err) })
	})
}

// check ends the writers of the namespaces, and reads the whole store.
func (m *mesh) check(due []suspicion) error {
	renewed := map[*store.Namespace]bool{}
	for _, one := range due {
		if renewed[one.ns] {
			continue
		}
		renewed[one.ns] = true
		// Two processes may write as this one: then they end that here.
		if err := one.ns.Renew(); err != nil && m.ctx.Err() == nil {
			m.log.Warn("the writer goes on", "namespace", one.ns.Name(), "error", err)
		}
	}
	err := m.roster.store.Check(m.ctx)
	if err != nil && m.ctx.Err() == nil {
		m.log.Warn("the store is not whole", "error", err)
	}
	return err
}

// endCheck tells the machine what a check has found.
func (m *mesh) endCheck(due []suspicion, took time.Duration, err error) {
	c := &m.checks
	c.busy, c.next = false, time.Now().Add(max(minCheckRest, checkRests*took))
	for _, one := range due {
		m.step(protocol.Checked{Link: one.link, Namespace: one.ns.Name(), Err: err})
	}
	m.awaitCheck()
}
