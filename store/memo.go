package store

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/anabranch-db/anabranch/crdt"
)

// memos remembers folds: what a reader made of the records in a span, and which
// of them commits have written since. A commit tells of its keys before it is
// visible, so a snapshot that shows it finds no fold from before without them;
// and a fold counts from its snapshot on, so an older one never finds it. Safe
// for concurrent use.
type memos struct {
	pool *memoPool

	mu     sync.Mutex
	commit uint64  // the last one that was told of
	spans  []*memo // in order; none has a key in common with another
	gone   bool    // the namespace is; nothing is remembered any more
}

// memo is a fold, or the wait for one.
type memo struct {
	span    crdt.Span
	fold    any       // nil: not known
	size    int       // of fold, in bytes
	since   uint64    // of fold, the commit that it was read at; else the last that wrote in span
	changed []written // what commits wrote in span since, if there is a fold; few
	used    bool      // since memos were last dropped
}

// written is a key, and the last commit that wrote it.
type written struct {
	key    crdt.Key
	commit uint64
}

// memoBytes is what a memo takes beside its span and fold, and writtenBytes what
// a key does beside itself.
const memoBytes, writtenBytes = 128, 24

func (m *memo) bytes() int64 {
	n := memoBytes + len(m.span.From) + len(m.span.To) + m.size
	for _, w := range m.changed {
		n += writtenBytes + len(w.key)
	}
	return int64(n)
}

// wrote takes note of what a commit writes, which is not visible yet and may
// never be: then the next one has its number.
func (ms *memos) wrote(commit uint64, w *writes) {
	if w.none() {
		return
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.commit = commit
	if w.any {
		for _, m := range ms.spans {
			ms.forget(m, commit)
		}
		return
	}
	if len(ms.spans) == 0 {
		return
	}
	for k := range w.all {
		if m := ms.holding(k); m != nil {
			ms.change(m, written{k, commit})
		}
	}
}

// change takes note of a key of m that is written.
func (ms *memos) change(m *memo, w written) {
	if m.fold == nil {
		m.since = w.commit
		return
	}
	for i := range m.changed {
		if m.changed[i].key == w.key {
			m.changed[i].commit = w.commit
			return
		}
	}
	if len(m.changed) == memoChanges {
		ms.forget(m, w.commit)
		return
	}
	was := m.bytes()
	m.changed = append(m.changed, w)
	ms.pool.used.Add(m.bytes() - was)
}

func (ms *memos) forget(m *memo, commit uint64) {
	was := m.bytes()
	m.fold, m.size, m.since, m.changed = nil, 0, commit, nil
	ms.pool.used.Add(m.bytes() - was)
}

// after returns how many spans begin at or before k.
func (ms *memos) after(k crdt.Key) int {
	i, found := slices.BinarySearchFunc(ms.spans, k, func(m *memo, k crdt.Key) int { return cmp.Compare(m.span.From, k) })
	if found {
		i++
	}
	return i
}

// holding returns the memo of the span that has k.
func (ms *memos) holding(k crdt.Key) *memo {
	if i := ms.after(k); i > 0 && ms.spans[i-1].span.Contains(k) {
		return ms.spans[i-1]
	}
	return nil
}

// recall returns the fold of a span, and what changed since, for a snapshot of
// a commit.
func (ms *memos) recall(s crdt.Span, commit uint64) (fold any, changed []crdt.Key) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.holding(s.From)
	if m == nil || m.span != s || m.fold == nil || commit < m.since {
		return nil, nil
	}
	m.used = true
	for _, w := range m.changed {
		changed = append(changed, w.key)
	}
	return m.fold, changed
}

// remember takes the fold of a span as it is in a snapshot of a commit. Of a
// span that is new it is not known what commits wrote in it since: then the
// next fold will be kept.
func (ms *memos) remember(s crdt.Span, commit uint64, fold any, size int) {
	fresh := &memo{span: s, fold: fold, size: size, since: commit}
	if fresh.bytes() > ms.pool.limit/memoShare {
		return
	}
	ms.mu.Lock()
	grown := ms.put(fresh)
	ms.mu.Unlock()
	if ms.pool.used.Add(grown) > ms.pool.limit {
		ms.pool.trim()
	}
}

// put puts a memo in its place, and returns how many bytes it adds. The caller
// holds mu.
func (ms *memos) put(fresh *memo) (grown int64) {
	if ms.gone {
		return 0
	}
	i := ms.after(fresh.span.From)
	if i > 0 && ms.spans[i-1].span == fresh.span {
		m := ms.spans[i-1]
		if fresh.since < m.since {
			return 0
		}
		was := m.bytes()
		m.fold, m.size, m.since = fresh.fold, fresh.size, fresh.since
		m.changed = slices.DeleteFunc(m.changed, func(w written) bool { return w.commit <= m.since })
		return m.bytes() - was
	}
	if i > 0 && overlap(ms.spans[i-1].span, fresh.span) || i < len(ms.spans) && overlap(fresh.span, ms.spans[i].span) {
		return 0
	}
	if fresh.since < ms.commit {
		fresh.fold, fresh.size, fresh.since = nil, 0, ms.commit
	}
	ms.spans = slices.Insert(ms.spans, i, fresh)
	return fresh.bytes()
}

// overlap reports whether two spans, in order, have keys in common.
func overlap(a, b crdt.Span) bool { return a.To == "" || a.To > b.From }

// drop forgets what was not used since the last drop, or all.
func (ms *memos) drop(all bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.spans = slices.DeleteFunc(ms.spans, func(m *memo) bool {
		if m.used && !all {
			m.used = false
			return false
		}
		ms.pool.used.Add(-m.bytes())
		return true
	})
}

// memoPool bounds the memory of all memos of a store.
type memoPool struct {
	limit int64
	used  atomic.Int64

	mu     sync.Mutex // taken before that of a memos
	tables map[*memos]struct{}
}

func newMemoPool(limit int64) *memoPool {
	return &memoPool{limit: limit, tables: map[*memos]struct{}{}}
}

// add makes the memos of a namespace.
func (p *memoPool) add() *memos {
	ms := &memos{pool: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tables[ms] = struct{}{}
	return ms
}

// remove drops the memos of a namespace that is gone.
func (p *memoPool) remove(ms *memos) {
	p.mu.Lock()
	delete(p.tables, ms)
	p.mu.Unlock()
	ms.mu.Lock()
	ms.gone = true
	ms.mu.Unlock()
	ms.drop(true)
}

// trim makes room: a quarter at least, so that it is seldom called.
func (p *memoPool) trim() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, all := range []bool{false, true} {
		for ms := range p.tables {
			ms.drop(all)
		}
		if p.used.Load() <= p.limit/4*3 {
			return
		}
	}
}

// Recall returns what Remember was told of a span at this snapshot or an
// earlier one, and the keys in it of all records that differ from then, and
// maybe others; or nil.
func (s *Snapshot) Recall(span crdt.Span) (fold any, changed []crdt.Key) {
	return s.ns.memos.recall(span, s.view.at.commit)
}

// Remember keeps what was made of the records in span as they are in this
// snapshot, and of nothing else, while there is memory for it
// (Options.MemoBytes), and unless a span that overlaps with this one is
// remembered. It must not be modified any more, and takes that many bytes.
func (s *Snapshot) Remember(span crdt.Span, fold any, bytes int) {
	s.ns.memos.remember(span, s.view.at.commit, fold, bytes)
}

var _ crdt.Memo = (*Snapshot)(nil)
