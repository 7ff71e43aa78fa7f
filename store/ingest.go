package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// tableMerge applies a staged delta by sorted tables: metadata, log and
// records of the result are written to tables, and one DB.Ingest adds all of
// them. It takes memory for a table, not for the delta.
//
// The tables are written while local commits go on. Those with records that
// were overtaken are written again, outside the commit lock as long as that
// helps, and under it in the end.
type tableMerge struct {
	*apply
	stage  *stage
	tables *tableWriter
	at     position // up to which own commits are in the tables
}

func newTableMerge(a *apply, st *stage) (*tableMerge, error) {
	tables, err := a.ns.store.newTableWriter(st.id)
	return &tableMerge{a, st, tables, a.snap.view.at}, err
}

func (m *tableMerge) discard() error { return m.tables.remove() }

// prepare writes the tables, and those again that are overtaken meanwhile.
func (m *tableMerge) prepare() error {
	if err := m.findTouched(m.stage.count); err != nil {
		return err
	}
	if err := m.build(); err != nil {
		return err
	}
	for range stagedRounds {
		overtaken, err := m.catchUp()
		if err != nil {
			return err
		}
		if !overtaken {
			break
		}
	}
	return m.ns.store.engine.sync() // leaves little to sync under the lock
}

// build writes all tables.
func (m *tableMerge) build() error {
	if err := m.putMeta(m.tables.put); err != nil {
		return err
	}
	if err := errors.Join(m.tables.cut(), m.buildLog(), m.tables.cut()); err != nil {
		return err
	}
	if err := m.buildRecords("", "", true); err != nil {
		return err
	}
	if err := errors.Join(m.putFloor(m.tables.put), m.buildExpiry(), m.tables.cut()); err != nil {
		return err
	}
	if m.done.Records != m.stage.count && !m.stage.replace {
		return fmt.Errorf("%w: %d of its records came twice, with others between",
			crdt.ErrDelta, m.stage.count-m.done.Records)
	}
	return nil
}

// buildLog writes the log entries of the transactions that are new here.
func (m *tableMerge) buildLog() (err error) {
	staged, err := m.stage.log.open()
	if err != nil || staged == nil {
		return err
	}
	defer func() { err = errors.Join(err, staged.close()) }()
	for _, s := range m.ns.ahead(m.own, m.to) {
		if err := m.buildLogOf(s, staged); err != nil {
			return err
		}
	}
	return nil
}

// buildLogOf is buildLog for one writer.
func (m *tableMerge) buildLogOf(s stretch, staged *stageLogReader) error {
	w, _ := m.ns.lineage.writer(uint64(s.writer))
	number, ok := m.stage.numbers[w]
	if !ok {
		return nil
	}
	entry := &m.ns.applyBuilder.entry
	var last uint64
	err := staged.scan(number, s.after, func(seq uint64, key crdt.Key) error {
		if seq != last {
			if err := m.endEntry(last); err != nil {
				return err
			}
			entry.start(m.ns.log, s.writer, seq)
			last = seq
		}
		return entry.add(key, m.tables.put)
	})
	return errors.Join(err, m.endEntry(last))
}

// buildExpiry writes the expiry index of the staged records. It comes last in
// the key space.
func (m *tableMerge) buildExpiry() error {
	var key []byte
	return m.stage.scanExpiry(func(suffix []byte) error {
		key = append(append(key[:0], m.ns.expiries[:]...), suffix...)
		return m.tables.put(key, nil)
	})
}

// endEntry ends the log entry of a transaction, if there is one.
func (m *tableMerge) endEntry(seq uint64) error {
	if seq == 0 {
		return nil
	}
	return m.ns.applyBuilder.entry.finish(m.tables.put)
}

// buildRecords writes the tables of the staged records from first to last.
func (m *tableMerge) buildRecords(first, last crdt.Key, check bool) error {
	err := m.stage.scan(first, last, func(e *crdt.Entry) error {
		if check {
			if err := m.admit(e, func(uint32, uint64) {}); err != nil {
				return err
			}
		}
		rec, err := m.merged(e)
		if err != nil {
			return err
		}
		bl := &m.ns.applyBuilder
		bl.key = m.ns.records.record(bl.key[:0], e.Key)
		if len(rec) == 0 {
			return m.tables.putRecord(e.Key, bl.key, nil)
		}
		bl.value = appendRecord(bl.value[:0], rec, m.number)
		return m.tables.putRecord(e.Key, bl.key, bl.value)
	})
	return errors.Join(err, m.tables.cut())
}

// catchUp writes those tables again that have records which own commits wrote
// since, and reports whether there were any.
func (m *tableMerge) catchUp() (bool, error) {
	snap, err := m.ns.snapshot()
	if err != nil {
		return false, err
	}
	m.apply.close()
	m.snap, m.own = snap, snap.Past()
	stale, err := m.stale()
	m.at = snap.view.at
	if err != nil || len(stale) == 0 {
		return false, err
	}
	for _, old := range stale {
		if err := m.tables.discard(old); err != nil {
			return false, err
		}
		if err := m.buildRecords(old.first, old.last, false); err != nil {
			return false, err
		}
	}
	return true, nil
}

// stale returns the tables with records that own commits have written since
// m.at, and adds those records to the ones that must be read.
func (m *tableMerge) stale() ([]table, error) {
	var failed error
	found := map[string]table{}
	err := scanLog(m.snap.view.snap, m.ns.log, m.ns.ownSince(m.at, m.snap.view.at), func(_ uint32, _ uint64, key []byte) bool {
		staged, err := m.stage.has(key)
		if err != nil || !staged {
			failed = err
			return err == nil
		}
		m.touched.add(key)
		at := m.tables.holding(crdt.Key(key))
		found[at.path] = at
		return true
	})
	tables := make([]table, 0, len(found))
	for _, at := range m.tables.tables {
		if _, ok := found[at.path]; ok {
			tables = append(tables, at)
		}
	}
	return tables, errors.Join(err, failed)
}

// ownSince returns the stretch of this run's transactions between two
// positions.
func (ns *Namespace) ownSince(from, to position) []stretch {
	if to.own.Seq == 0 || to.own == from.own {
		return nil
	}
	n, _ := ns.lineage.number(to.own.Writer)
	return []stretch{{n, from.own.Seq, to.own.Seq}}
}

// publish catches up for the last time and ingests. Log and position must not
// cover what is not durable, and tables are durable at once, so the log is
// fsynced first.
func (m *tableMerge) publish() error {
	ns := m.ns
	ns.commits.Lock()
	defer ns.commits.Unlock()
	if _, err := m.catchUp(); err != nil {
		return err
	}
	if err := ns.store.engine.sync(); err != nil {
		return err
	}
	if err := ns.publishTables(m.tables.paths(), m.move()); err != nil {
		return err
	}
	m.settled()
	m.done.Staged = true
	return nil
}

// holding returns the table that has a record which is in one of them.
func (t *tableWriter) holding(k crdt.Key) table {
	for _, at := range t.tables {
		if at.first <= k && k <= at.last && at.first != "" {
			return at
		}
	}
	panic(fmt.Sprintf("store: no table holds the staged key %q", string(k)))
}

// discard removes a table, and forgets it.
func (t *tableWriter) discard(old table) error {
	t.tables = slices.DeleteFunc(t.tables, func(at table) bool { return at == old })
	return t.engine.FS.Remove(old.path)
}
