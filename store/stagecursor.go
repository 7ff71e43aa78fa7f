package store

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/crdt"
)

// stageCursor goes through staged records in the order of their keys; one that
// was put again comes once, as it was put last. It holds one table open at a
// time. Not safe for concurrent use.
type stageCursor struct {
	st     *stage
	from   crdt.Key
	upper  []byte // of the keys, without a prefix; nil: none
	tables []table
	at     table
	table  *pebble.Iterator // at the next record of at, or nil: it has none
	loose  *pebble.Iterator // at the next loose record, or nil: there is none

	read, readLoose recordReader
}

// cursor returns one over the records of span in some tables of the stage, in
// order, and those that are loose in r.
func (st *stage) cursor(r pebble.Reader, tables []table, span crdt.Span) (*stageCursor, error) {
	c := &stageCursor{st: st, from: span.From, tables: tables}
	c.read.writers, c.readLoose.writers = st.ns.lineage.writer, st.writer
	if span.To != "" {
		c.upper = []byte(span.To)
	}
	if !st.loose {
		return c, nil
	}
	lower, upper := st.records.bounds(span)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, readError(err)
	}
	if c.loose = it; it.First() {
		return c, nil
	}
	return c, c.endLoose()
}

// next returns the next record; ok is false if there is none.
func (c *stageCursor) next() (e crdt.Entry, ok bool, err error) {
	if c.table == nil && len(c.tables) > 0 {
		if err := c.openTable(); err != nil {
			return e, false, err
		}
	}
	order := -1 // the table's is next
	switch {
	case c.table == nil && c.loose == nil:
		return e, false, nil
	case c.table == nil:
		order = 1
	case c.loose != nil:
		order = bytes.Compare(c.table.Key()[prefixLen:], c.loose.Key()[prefixLen:])
	}
	if order < 0 {
		e, err = c.read.entry(c.table)
	} else {
		e, err = c.readLoose.entry(c.loose)
	}
	if err == nil && order <= 0 && !(c.table.Next() && c.within(c.table)) {
		err = c.endTable()
	}
	if err == nil && order >= 0 && !c.loose.Next() {
		err = c.endLoose()
	}
	return e, err == nil, err
}

// openTable moves to the first record of the span that the tables hold.
func (c *stageCursor) openTable() (err error) {
	for c.table == nil && len(c.tables) > 0 {
		if c.at, c.tables = c.tables[0], c.tables[1:]; c.at.last < c.from {
			continue
		}
		if c.upper != nil && string(c.at.first) >= string(c.upper) {
			c.tables = nil
			return nil
		}
		if c.table, err = c.st.take(c.at); err != nil {
			return err
		}
		if !c.table.SeekGE(c.st.ns.records.record(nil, c.from)) || !c.within(c.table) {
			if err := c.endTable(); err != nil {
				return err
			}
		}
	}
	return nil
}

// within reports whether an iterator is below the end of the span.
func (c *stageCursor) within(it *pebble.Iterator) bool {
	return c.upper == nil || bytes.Compare(it.Key()[prefixLen:], c.upper) < 0
}

func (c *stageCursor) endTable() error {
	it := c.table
	c.table = nil
	return errors.Join(readError(it.Error()), c.st.give(c.at, it))
}

func (c *stageCursor) endLoose() error {
	it := c.loose
	c.loose = nil
	return readError(errors.Join(it.Error(), it.Close()))
}

// close ends the reading.
func (c *stageCursor) close() (err error) {
	if c.table != nil {
		err = c.endTable()
	}
	if c.loose != nil {
		err = errors.Join(err, c.endLoose())
	}
	return err
}
