package sim

import (
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// differences says how what a node holds differs from what the history wants,
// of what it covers. Each is "" or tells of one.
type differences struct {
	lacks   string // of a transaction that is covered something is missing
	revived string // what was superseded is there
	altered string // contents are not those that were written, or nobody wrote them
}

func (d *differences) none() bool { return *d == differences{} }

// comparison compares a namespace's state with the history.
type comparison struct {
	differences
	ledger *spaceLedger
	at     *state
	floor  *crdt.Past
	// forgives says that at keys of which some node lost records in silence
	// only what nobody wrote is asked about.
	forgives bool
}

func (l *spaceLedger) compare(sp *space, forgives bool) *comparison {
	return &comparison{ledger: l, at: sp.visible, floor: sp.lineage.Past(sp.visible.floor), forgives: forgives}
}

// all compares all that is there, and all that was ever written.
func (c *comparison) all() *comparison {
	for _, k := range c.ledger.keys {
		c.key(k)
	}
	for _, e := range c.at.entries {
		if c.ledger.events[e.Key] == nil {
			c.altered = fmt.Sprintf("key %q, which nobody wrote", string(e.Key))
		}
	}
	return c
}

// since compares the keys at which something is held, or wanted, that was not at
// a state before: at all others it is as it was then, when it was compared.
func (c *comparison) since(before *state, news []crdt.Interval) *comparison {
	done := map[crdt.Key]bool{}
	once := func(k crdt.Key) {
		if !done[k] {
			done[k] = true
			c.key(k)
		}
	}
	for _, v := range news {
		for seq := v.After + 1; seq <= v.Last; seq++ {
			for _, k := range c.ledger.touched[crdt.Dot{Writer: v.Writer, Seq: seq}] {
				once(k)
			}
		}
	}
	a, b := before.entries, c.at.entries
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].Key < b[0].Key:
			once(a[0].Key)
			a = a[1:]
		case len(a) == 0 || b[0].Key < a[0].Key:
			once(b[0].Key)
			b = b[1:]
		default:
			if !sameRecord(a[0].Record, b[0].Record) {
				once(b[0].Key)
			}
			a, b = a[1:], b[1:]
		}
	}
	return c
}

// sameRecord reports whether two records are one in memory: nobody modifies one.
func sameRecord(a, b crdt.Record) bool { return len(a) == len(b) && &a[0] == &b[0] }

// key compares the record at k. Only removals and expired values that the floor
// covers may be missing.
func (c *comparison) key(k crdt.Key) {
	if c.ledger.events[k] == nil {
		c.altered = fmt.Sprintf("key %q, which nobody wrote", string(k))
		return
	}
	held, want := c.at.get(k), c.ledger.expect(k, c.at.past)
	rotten := c.forgives && c.ledger.rotten[k]
	for i := range held {
		e := &held[i]
		if !c.at.past.Covers(e.Dot) {
			c.altered = fmt.Sprintf("key %q holds %s:%d, which is not covered", string(k), e.Writer, e.Seq)
		}
		j := slices.IndexFunc(want, func(w crdt.Event) bool { return w.Dot == e.Dot })
		switch {
		case j >= 0:
			if !sameContent(e, &want[j]) {
				c.altered = fmt.Sprintf("key %q holds %s:%d with other contents", string(k), e.Writer, e.Seq)
			}
			want = slices.Delete(want, j, j+1)
		case !rotten:
			c.revived = fmt.Sprintf("key %q holds %s:%d, which was superseded", string(k), e.Writer, e.Seq)
		}
	}
	for _, e := range want {
		if !rotten && !((e.Removed || e.Expires != 0) && c.floor.Covers(e.Dot)) {
			c.lacks = fmt.Sprintf("key %q lacks %s:%d, which is covered", string(k), e.Writer, e.Seq)
		}
	}
}

func sameContent(a, b *crdt.Event) bool {
	return a.Time == b.Time && a.Removed == b.Removed && a.Expires == b.Expires && string(a.Value) == string(b.Value)
}
