package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Finding is one place that breaks a rule.
type Finding struct {
	File string // slash-separated, from the root of the tree
	Line int
	Rule string // the rule's name
	Text string // what is there, and what is wanted
}

// String returns the finding as compilers write theirs.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Text)
}

// source is one parsed file and where it stands.
type source struct {
	module string // the module's path
	name   string // slash-separated, from the root of the tree
	dir    string // path.Dir(name): its package's folder
	test   bool   // whether it is a _test.go file
	lines  int
	fset   *token.FileSet
	ast    *ast.File
}

// at makes a finding at pos.
func (s *source) at(pos token.Pos, rule, format string, args ...any) Finding {
	return Finding{s.name, s.line(pos), rule, fmt.Sprintf(format, args...)}
}

func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

// imports yields the import paths of s, in the file's order.
func (s *source) imports(yield func(at token.Pos, path string) bool) {
	for _, spec := range s.ast.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err == nil && !yield(spec.Pos(), p) {
			return
		}
	}
}

// localName returns the name under which s imports the package at importPath,
// or "" where it does not.
func (s *source) localName(importPath string) string {
	for _, spec := range s.ast.Imports {
		if spec.Path.Value != strconv.Quote(importPath) {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// rules are the checks of one file each; packageDocs and fuzzed are those of folders.
var rules = []func(*source) []Finding{
	fileLength, funcLength, importsOneWay, noCgo, purity, packageName,
	noInit, noSleep, noMarker, skipReason,
}

// Check returns what breaks the house rules in the Go files of tree, sorted by
// file and line. module is the path that the tree's go.mod declares. The error
// is for what cannot be read or parsed.
func Check(tree fs.FS, module string) ([]Finding, error) {
	sources, err := load(tree, module)
	if err != nil {
		return nil, err
	}
	found := append(packageDocs(sources), fuzzed(sources)...)
	for _, s := range sources {
		for _, rule := range rules {
			found = append(found, rule(s)...)
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return found, nil
}

// load parses the Go files of the tree, in the order of their names.
func load(tree fs.FS, module string) ([]*source, error) {
	var sources []*source
	fset := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (skipped(name) || name != "." && isModule(tree, name)):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		s, err := parse(fset, tree, name)
		if err != nil {
			return err
		}
		s.module = module
		sources = append(sources, s)
		return nil
	})
	return sources, err
}

// skipped tells whether the folder holds nothing that the rules speak of. It
// is what the go command leaves out of ./... as well.
func skipped(dir string) bool {
	base := path.Base(dir)
	return base == "testdata" || base != "." && (base[0] == '.' || base[0] == '_')
}

// isModule tells whether the folder is the root of a module. One below another
// is no part of it.
func isModule(tree fs.FS, dir string) bool {
	_, err := fs.Stat(tree, path.Join(dir, "go.mod"))
	return err == nil
}

func parse(fset *token.FileSet, tree fs.FS, name string) (*source, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{
		name:  name,
		dir:   path.Dir(name),
		test:  strings.HasSuffix(name, "_test.go"),
		lines: strings.Count(string(text), "\n"),
		fset:  fset,
		ast:   file,
	}, nil
}
