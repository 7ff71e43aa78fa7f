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
	staged []table  // of the stage, which are as they are to be
	at     position // up to which own commits are in the tables
}

func newTableMerge(a *apply, st *stage) (*tableMerge, error) {
	tables, err := a.ns.store.newTableWriter(st.id, "merged")
	return &tableMerge{apply: a, stage: st, tables: tables, at: a.snap.view.at}, err
}

func (m *tableMerge) discard() error { return m.tables.remove() }

// prepare writes the tables, and those again that are overtaken meanwhile.
func (m *tableMerge) prepare() error {
	staged, err := m.stage.cutTables()
	if err != nil {
		return err
	}
	overlap := map[string]bool{} // staged tables that keys lie in which both sides wrote
	err = m.findTouched(m.stage.count, func(key []byte) {
		if at, ok := around(staged, crdt.Key(key)); ok {
			overlap[at.path] = true
		}
	})
	if err != nil {
		return err
	}
	if err := m.build(staged, overlap); err != nil {
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
func (m *tableMerge) build(staged []table, overlap map[string]bool) error {
	if err := m.putMeta(m.tables.put); err != nil {
		return err
	}
	if err := errors.Join(m.tables.cut(), m.buildLog(), m.tables.cut()); err != nil {
		return err
	}
	if err := m.takeRecords(staged, overlap); err != nil {
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

// takeRecords takes the staged tables over, and writes those again that are not
// as they are to be; where some of the records are loose, it writes all.
func (m *tableMerge) takeRecords(staged []table, overlap map[string]bool) error {
	if m.stage.loose {
		return m.buildRecords("", "", true)
	}
	if err := m.admitTables(m.stage); err != nil {
		return err
	}
	collected := len(m.snap.view.at.floor) > 0
	for _, at := range staged {
		if !m.touched.all && !overlap[at.path] && !at.absent && !(at.leaves && collected) {
			m.staged = append(m.staged, at)
		} else if err := m.buildRecords(at.first, at.last, false); err != nil {
			return err
		}
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
		if err := m.discardTable(old); err != nil {
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
		at, ok := m.holding(crdt.Key(key))
		if !ok {
			panic(fmt.Sprintf("store: no table holds the staged key %q", string(key)))
		}
		found[at.path] = at
		return true
	})
	tables := make([]table, 0, len(found))
	for _, at := range slices.Concat(m.staged, m.tables.tables) {
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
	if err := ns.publishTables(append(m.tables.paths(), pathsOf(m.staged)...), m.move()); err != nil {
		return err
	}
	m.settled()
	m.done.Staged = true
	return nil
}

// holding returns the table that a staged record is in.
func (m *tableMerge) holding(k crdt.Key) (table, bool) {
	if at, ok := holding(m.staged, k); ok {
		return at, true
	}
	return holding(m.tables.tables, k)
}

// holding returns the one of tables that a record is in which is in one of them.
func holding(tables []table, k crdt.Key) (table, bool) {
	for _, at := range tables {
		if at.first <= k && k <= at.last && at.first != "" {
			return at, true
		}
	}
	return table{}, false
}

// discardTable forgets a table, and removes it, unless it is the stage's, from
// which it is written again.
func (m *tableMerge) discardTable(old table) error {
	before := len(m.staged)
	m.staged = slices.DeleteFunc(m.staged, func(at table) bool { return at == old })
	if len(m.staged) < before {
		return nil
	}
	m.tables.tables = slices.DeleteFunc(m.tables.tables, func(at table) bool { return at == old })
	return m.tables.engine.FS.Remove(old.path)
}
