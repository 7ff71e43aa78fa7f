package replica

import (
	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/store"
)

// reads is what a transaction read. The more there is of it, the longer its
// commit takes to validate it, so beyond maxTxReads it becomes the one span
// around all of it. The zero value is empty.
type reads struct {
	set  store.ReadSet
	cost int
	hull crdt.Span
}

// key adds a record, there or not.
func (r *reads) key(k crdt.Key) {
	if r.add(crdt.Span{From: k, To: after(k)}, 1) {
		r.set.Key(k)
	}
}

// span adds all records in s, and that there are no others.
func (r *reads) span(s crdt.Span) {
	if r.add(s, spanReads) {
		r.set.Span(s)
	}
}

// reset makes it empty.
func (r *reads) reset() {
	r.set.Reset()
	*r = reads{set: r.set}
}

// add widens the hull, and reports whether the set is still kept in parts.
func (r *reads) add(s crdt.Span, cost int) bool {
	if r.cost == 0 {
		r.hull = s
	}
	r.hull.From = min(r.hull.From, s.From)
	if s.To == "" || r.hull.To == "" {
		r.hull.To = ""
	} else {
		r.hull.To = max(r.hull.To, s.To)
	}
	r.cost += cost
	if r.cost <= maxTxReads {
		return true
	}
	r.set = store.ReadSet{}
	r.set.Span(r.hull)
	return false
}
