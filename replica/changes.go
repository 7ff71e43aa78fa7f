package replica

import (
	"context"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// changes yields, each once and in key order, the places in the watcher's
// span that changed in view since from; from nil, those where something can
// be read. Few changes are collected from the log. Many are found by reading
// every record of the span, in bounded memory. No iterator is open while the
// loop's body runs.
func (w *watcher) changes(ctx context.Context, view *View, from *crdt.Past) iter.Seq2[crdt.Leaf, error] {
	v := cancellable{view, ctx}
	if from == nil {
		return crdt.Leaves(v, w.span)
	}
	stems, all, err := w.collect(ctx, view, from)
	if err == nil && !all {
		return newer(v, w.span, from)
	}
	return func(yield func(crdt.Leaf, error) bool) {
		if err != nil {
			yield(crdt.Leaf{}, err)
			return
		}
		for _, stem := range stems {
			if !yield(leafOf(stem)) {
				return
			}
		}
	}
}

// collect returns the stems of the keys in the watcher's span that changed
// since from, and whether these are all.
func (w *watcher) collect(ctx context.Context, view *View, from *crdt.Past) (stems []crdt.Key, all bool, err error) {
	if err := view.enter(); err != nil {
		return nil, false, err
	}
	defer view.gate.leave()
	found := map[crdt.Key]struct{}{}
	read := 0
	for e, err := range view.snap.Changes(from) {
		if err != nil {
			return nil, false, err
		}
		if read++; read%watchCheckEvery == 0 {
			if err := w.check(ctx); err != nil {
				return nil, false, err
			}
		}
		if !w.span.Contains(e.Key) {
			w.skipped++
			continue
		}
		stem, err := stemOf(e.Key)
		if err != nil {
			return nil, false, err
		}
		if found[stem] = struct{}{}; len(found) > watchGroupPaths {
			return nil, false, nil
		}
	}
	for k := range found {
		stems = append(stems, k)
	}
	slices.Sort(stems)
	return stems, true, nil
}

// newer yields where there are records in s with an event that from does not
// cover.
func newer(v crdt.View, s crdt.Span, from *crdt.Past) iter.Seq2[crdt.Leaf, error] {
	isNew := func(e crdt.Event) bool { return !from.Covers(e.Dot) }
	return func(yield func(crdt.Leaf, error) bool) {
		var last crdt.Key
		for e, err := range v.Scan(s) {
			if err == nil && !slices.ContainsFunc(e.Record, isNew) {
				continue
			}
			var stem crdt.Key
			if err == nil {
				stem, err = stemOf(e.Key)
			}
			if err != nil {
				yield(crdt.Leaf{}, err)
				return
			}
			if stem == last { // a leaf's records lie side by side
				continue
			}
			if last = stem; !yield(leafOf(stem)) {
				return
			}
		}
	}
}

// stemOf returns the part of k that its leaf's other records share.
func stemOf(k crdt.Key) (crdt.Key, error) {
	_, _, sub, err := k.Split()
	return k[:len(k)-len(sub)], err
}

func leafOf(stem crdt.Key) (crdt.Leaf, error) {
	p, t, _, err := stem.Split()
	return crdt.Leaf{Path: p, Type: t}, err
}
