package house

import (
	"path"
	"slices"
	"strings"
)

// vague are names that say nothing of what is inside, so that anything fits.
var vague = []string{"base", "common", "helper", "helpers", "misc", "shared", "types", "util", "utils"}

func packageName(s *source) []Finding {
	name := strings.TrimSuffix(s.ast.Name.Name, "_test")
	if !slices.Contains(vague, name) && !slices.Contains(vague, path.Base(s.dir)) {
		return nil
	}
	return []Finding{s.at(s.ast.Name.Pos(), "package name", "%q in folder %q says nothing of what is inside", name, s.dir)}
}

// packageDocs wants a doc.go with the package comment in each folder that has
// code. A folder of tests alone needs none.
func packageDocs(sources []*source) (found []Finding) {
	documented := map[string]bool{}
	for _, s := range sources {
		if path.Base(s.name) == "doc.go" {
			documented[s.dir] = true
			found = append(found, packageComment(s)...)
		}
	}
	for _, s := range sources {
		if !s.test && !documented[s.dir] {
			documented[s.dir] = true // one finding a folder
			found = append(found, s.at(s.ast.Package, "package doc", "folder %q has no doc.go", s.dir))
		}
	}
	return found
}

// packageComment wants the words that godoc looks for.
func packageComment(s *source) []Finding {
	want := "Package " + s.ast.Name.Name + " "
	if s.ast.Name.Name == "main" {
		want = "Command " + path.Base(s.dir) + " "
	}
	if strings.HasPrefix(strings.ReplaceAll(s.ast.Doc.Text(), "\n", " "), want) {
		return nil
	}
	return []Finding{s.at(s.ast.Package, "package doc", "the package comment must begin with %q", want)}
}
