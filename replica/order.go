package replica

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// inOrder yields a map in the order of its keys. It is for where what is done
// about one comes before what is done about the next: what a node does follows
// from what comes to it and from its dice.
func inOrder[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}
