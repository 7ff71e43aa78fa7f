package sim

// contents wants that what is held is what was written, by a transaction that is
// covered, byte for byte.
var contents = checker{
	name:  "contents",
	state: func(w *world, sp *space, _ *state) string { return sp.of(w.seen.altered) },
}

// of names the namespace in what is said of it.
func (sp *space) of(what string) string {
	if what == "" {
		return ""
	}
	return sp.name + ": " + what
}
