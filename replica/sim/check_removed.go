package sim

// removed wants that nothing comes back: what a transaction that is covered has
// removed, or written over, is not there.
var removed = checker{
	name:  "removed",
	state: func(w *world, sp *space, _ *state) string { return sp.of(w.seen.revived) },
}
