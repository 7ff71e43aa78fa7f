package store

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// witness keeps the WITNESS file true: at any moment, also that of a power
// cut, what the slot written last says holds on disk. So what is said follows
// the fsync that makes it true, and is taken back before a file goes:
//
//   - a MANIFEST is named once its marker's directory was fsynced, and as
//     far as it was itself; the one before it goes later;
//   - a WAL is named as far as it was fsynced, whose name was before that;
//     before one is removed or reused, it and all older ones are let go of.
//     A newer one begins only after those before it are named to their ends.
//
// It is written when the MANIFEST changes, when a WAL begins or goes, and
// twice in Close, which leaves both slots saying the same. A write or fsync of
// a WAL costs it an addition. An error of the file freezes the disk.
//
// A nil witness does nothing.
type witness struct {
	guard *guard
	name  string
	data  string // the directory of Pebble

	mu       sync.Mutex // held while the file is written
	file     vfs.File
	said     testimony      // by the slot written last
	manifest manifestMark   // the current one
	growing  *manifestWatch // the one that was made last
	logs     []*logWatch    // ascending
	replay   []logMark      // while Pebble opens: what its replay must find

	marked atomic.Uint64 // the MANIFEST that the newest marker names
}

// watch is told what happens to a file. What an fsync makes durable is
// determined before it begins. After a write that failed there is no other,
// and no fsync: the disk is frozen.
type watch interface {
	wrote(p []byte) // before it is
	syncing() (upTo uint64)
	synced(upTo uint64)
}

// openWitness reads the file and compares data/ with it.
func openWitness(g *guard, name, data string) (*witness, error) {
	said, err := readWitness(g.FS, name)
	if err != nil {
		return nil, err
	}
	if err := said.check(g.FS, data); err != nil {
		return nil, err
	}
	f, err := g.FS.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	w := &witness{guard: g, name: name, data: data, file: f, said: said, manifest: said.manifest, replay: said.logs}
	for _, l := range said.logs {
		log := &logWatch{number: l.number}
		log.durable.Store(l.bytes)
		w.logs = append(w.logs, log)
	}
	return w, nil
}

// checkLog is called before Pebble reads a file.
func (w *witness) checkLog(name string) error {
	if w == nil {
		return nil
	}
	number := logNumber(w.guard.PathBase(name))
	if number == 0 {
		return nil
	}
	w.mu.Lock()
	replay := w.replay
	w.mu.Unlock()
	for _, l := range replay {
		if l.number == number {
			return l.check(w.guard.FS, name)
		}
	}
	return nil
}

// durable returns how many bytes of a WAL are on disk: all, of one that this run
// did not make.
func (w *witness) durable(number uint64) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.logs {
		if l.number == number {
			return l.durable.Load()
		}
	}
	return math.MaxUint64
}

// opened is called once Pebble has replayed.
func (w *witness) opened() {
	if w != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.replay = nil
	}
}

// beforeLog is called before a WAL is made, or removed: then, and where an
// old one is reused, that is gone.
func (w *witness) beforeLog(gone uint64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs = slices.DeleteFunc(w.logs, func(l *logWatch) bool { return l.number <= gone })
	w.write(false)
}

// made is called for each file that Pebble made, and returns its watch.
func (w *witness) made(base string) watch {
	if w == nil {
		return nil
	}
	if n := markedManifest(base); n > 0 {
		w.marked.Store(n)
	}
	if n := manifestNumber(base); n > 0 {
		m := &manifestWatch{witness: w, written: manifestMark{number: n}}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.growing = m
		return m
	}
	if n := logNumber(base); n > 0 {
		log := &logWatch{number: n}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.logs = append(w.logs, log)
		return log
	}
	return nil
}

// dir returns the watch of a directory: that of Pebble's only, since an fsync
// of another one makes no marker durable.
func (w *witness) dir(name string) watch {
	if w == nil || name != w.data {
		return nil
	}
	return dirWatch{w}
}

// now returns what can be said.
func (w *witness) now() testimony {
	t := testimony{manifest: w.manifest}
	for _, l := range w.logs {
		if n := l.durable.Load(); n > 0 {
			t.logs = append(t.logs, logMark{l.number, n})
		}
	}
	if extra := len(t.logs) - maxWitnessLogs; extra > 0 {
		t.logs = t.logs[extra:]
	}
	return t
}

// write says what is now, if that is new or repeat is set. It is called with
// mu held.
func (w *witness) write(repeat bool) {
	t := w.now()
	if w.guard.faults.frozen.Load() || (t.same(w.said) && !repeat) {
		return
	}
	t.generation = w.said.generation + 1
	_, err := w.file.WriteAt(t.encode(), int64(t.generation%witnessSlots)*witnessSlotBytes)
	if err != nil {
		w.guard.failed("write", w.name, true, err)
	} else if err := w.file.SyncData(); err != nil {
		w.guard.failed("sync", w.name, true, err)
	} else {
		w.said = t
	}
}

// close is called once Pebble is closed, or did not open.
func (w *witness) close(opened bool) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for range witnessSlots {
		if opened {
			w.write(true)
		}
	}
	if err := w.file.Close(); err != nil && !w.guard.faults.frozen.Load() {
		w.guard.failed("close", w.name, true, err)
	}
}

// logWatch is of a WAL. One goroutine at a time writes and fsyncs it.
type logWatch struct {
	number  uint64
	written uint64
	durable atomic.Uint64
}

func (l *logWatch) wrote(p []byte)     { l.written += uint64(len(p)) }
func (l *logWatch) syncing() uint64    { return l.written }
func (l *logWatch) synced(upTo uint64) { l.durable.Store(upTo) }

// manifestWatch is of a MANIFEST, which Pebble writes one edit at a time.
type manifestWatch struct {
	witness *witness
	written manifestMark
	durable manifestMark // under the witness's mu
}

func (m *manifestWatch) wrote(p []byte) {
	m.written.bytes += uint64(len(p))
	m.written.crc = crc32.Update(m.written.crc, castagnoli, p)
}

func (m *manifestWatch) syncing() uint64 { return m.written.bytes }

func (m *manifestWatch) synced(uint64) {
	w := m.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	m.durable = m.written
	if w.manifest.number == m.durable.number {
		w.manifest = m.durable
		w.write(false)
	}
}

// dirWatch is of Pebble's directory: its fsync makes a marker durable.
type dirWatch struct{ witness *witness }

func (d dirWatch) wrote([]byte)    {}
func (d dirWatch) syncing() uint64 { return d.witness.marked.Load() }

func (d dirWatch) synced(marked uint64) {
	w := d.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	if m := w.growing; m != nil && m.durable.number == marked && w.manifest.number < marked {
		w.manifest = m.durable
		w.write(false)
	}
}
