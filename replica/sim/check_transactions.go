package sim

// transactions wants that each transaction that is covered is there whole: all
// that it wrote, but for what another that is covered has superseded, and for
// removals and expired values up to the floor.
var transactions = checker{
	name:  "transactions",
	state: func(w *world, sp *space, _ *state) string { return sp.of(w.seen.lacks) },
}
