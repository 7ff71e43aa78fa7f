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
}

// key adds a record, there or not.
func (r *reads) key(k crdt.Key) {
	if r.cost++; r.cost <= maxTxReads {
		r.set.Key(k)
		return
	}
	r.set.Cover(crdt.Span{From: k, To: after(k)})
}

// span adds all records in s, and that there are no others.
func (r *reads) span(s crdt.Span) {
	if r.cost += spanReads; r.cost <= maxTxReads {
		r.set.Span(s)
		return
	}
	r.set.Cover(s)
}

// reset makes it empty.
func (r *reads) reset() {
	r.set.Reset()
	r.cost = 0
}
