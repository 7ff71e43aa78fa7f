package sim

// vectors wants that what a node covers only grows while it runs, and that a
// floor is covered.
var vectors = checker{
	name: "vectors",
	state: func(w *world, sp *space, before *state) string {
		switch {
		case before != nil && !sp.visible.past.Includes(before.past):
			return sp.name + ": covers less than before"
		case !sp.visible.past.Includes(sp.durable.past):
			return sp.name + ": covers less than is on disk"
		case !sp.visible.past.CoversAll(sp.visible.floor):
			return sp.name + ": the floor is beyond the vector"
		case before != nil && !sp.lineage.Past(sp.visible.floor).CoversAll(before.floor):
			return sp.name + ": the floor went down"
		}
		return ""
	},
}
