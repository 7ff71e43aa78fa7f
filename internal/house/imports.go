package house

import (
	"slices"
	"strings"
)

// importsOneWay holds every import against the plan.
func importsOneWay(s *source) (found []Finding) {
	const rule = "imports one way"
	from := roomOf(s.dir)
	if from == nil {
		return []Finding{s.at(s.ast.Package, rule, "folder %s has no room in the plan of internal/house/rooms.go", s.dir)}
	}
	for at, path := range s.imports {
		switch {
		case within(path, s.module):
			dir := strings.TrimPrefix(strings.TrimPrefix(path, s.module), "/")
			if !from.admits(dir, s.test) {
				found = append(found, s.at(at, rule, "%s must not import %s", s.dir, dir))
			}
		case foreign(path) && !withinAny(path, from.libraries(s.test)):
			found = append(found, s.at(at, rule, "%s must not import the library %s", s.dir, path))
		}
	}
	return found
}

// admits tells whether a package of room r may import the one in dir.
func (r *room) admits(dir string, test bool) bool {
	to := roomOf(dir)
	return to == r || to != nil &&
		(slices.Contains(r.rooms, to.dir) || test && slices.Contains(r.tests, to.dir))
}

func (r *room) libraries(test bool) []string {
	if test {
		return slices.Concat(r.libs, r.tests)
	}
	return r.libs
}

// foreign tells whether path is neither of this module nor of the standard
// library: the first element of a module path has a dot.
func foreign(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".")
}

// noCgo: one static binary for every platform, and no C to read.
func noCgo(s *source) (found []Finding) {
	for at, path := range s.imports {
		if path == "C" {
			found = append(found, s.at(at, "no cgo", `import "C"`))
		}
	}
	return found
}
