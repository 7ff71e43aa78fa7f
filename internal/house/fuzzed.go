package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
)

// decoderName is how a function is called that makes sense of foreign bytes.
var decoderName = regexp.MustCompile(`^(?i:decode|parse|read|split|unmarshal)`)

// unfuzzed are the functions with such names that need no target, by folder and
// name, or by folder, each with its reason.
var unfuzzed = map[string]string{
	"examples/inference readMachine": "it reads a view, by lenses that are fuzzed in crdt",
	"internal/house parse":           "it reads this tree with go/parser",
	"internal/planted":               "it reads the mistakes in this tree",
	"internal/proof":                 "it reads what go test prints, and the ledger in this tree",
	"transport/simnet ReadFrom":      "it hands out a packet as it came",
}

// fuzzed wants a fuzz target for each decoder: a function that takes bytes or
// text, and whose name says so. A decoder has one if what a Fuzz function of its
// folder has fuzzed calls it, itself or through what it calls. Calls are
// followed by name, so that two methods of one name count as one.
func fuzzed(sources []*source) (found []Finding) {
	byFolder := map[string][]*source{}
	for _, s := range sources {
		byFolder[s.dir] = append(byFolder[s.dir], s)
	}
	for dir, in := range byFolder {
		reached := reach(in)
		for _, s := range in {
			for _, d := range s.ast.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok || s.test || reached[nameOf(f)] || !decodes(f) || unfuzzed[dir]+unfuzzed[dir+" "+f.Name.Name] != "" {
					continue
				}
				found = append(found, s.at(f.Pos(), "fuzzed", "no Fuzz function of %s calls the decoder %s", dir, f.Name.Name))
			}
		}
	}
	return found
}

// decodes tells whether f is a decoder by its name and parameters.
func decodes(f *ast.FuncDecl) bool {
	return decoderName.MatchString(f.Name.Name) && slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
		switch t := p.Type.(type) {
		case *ast.ArrayType:
			return isIdent(t.Elt, "byte")
		case *ast.StarExpr:
			sel, ok := t.X.(*ast.SelectorExpr)
			return isIdent(t.X, "Reader") || ok && sel.Sel.Name == "Reader"
		case *ast.SelectorExpr:
			return t.Sel.Name == "Reader" || t.Sel.Name == "RawMessage"
		}
		return isIdent(p.Type, "string")
	})
}

// reach returns what the Fuzz functions of a folder lead to, by nameOf and, for
// variables, by name.
func reach(folder []*source) map[string]bool {
	const maxCalls = 5            // from a target to a decoder: by names alone, more would lead anywhere
	uses := map[string][]string{} // by the name of what uses
	var todo []string
	for _, s := range folder {
		for _, d := range s.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if name := nameOf(d); s.test && strings.HasPrefix(name, "Fuzz") {
					todo = append(todo, fuzzes(d, s)...)
				} else if d.Body != nil {
					uses[name] = append(uses[name], names(d.Body, s)...)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if v, ok := spec.(*ast.ValueSpec); ok {
						for _, name := range v.Names {
							uses[name.Name] = append(uses[name.Name], names(v, s)...)
						}
					}
				}
			}
		}
	}
	reached := map[string]bool{}
	for range maxCalls {
		var next []string
		for _, name := range todo {
			if !reached[name] {
				reached[name] = true
				next = append(next, uses[name]...)
			}
		}
		todo = next
	}
	return reached
}

// fuzzes returns the names in what a Fuzz function has called with any bytes:
// the last argument of f.Fuzz or fuzz.Decoder. What makes its seeds is not.
func fuzzes(f *ast.FuncDecl, s *source) (all []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && (sel.Sel.Name == "Fuzz" || sel.Sel.Name == "Decoder") && len(call.Args) > 0 {
			all = append(all, names(call.Args[len(call.Args)-1], s)...)
		}
		return true
	})
	return all
}

// nameOf returns the name of f, with a dot before that of a method.
func nameOf(f *ast.FuncDecl) string {
	if f.Recv != nil {
		return "." + f.Name.Name
	}
	return f.Name.Name
}

// names returns what n, a part of s, may use of its folder, as nameOf does.
func names(n ast.Node, s *source) (all []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
				all = append(all, "."+sel.Sel.Name)
			}
		case *ast.SelectorExpr:
			if isIdent(n.X, strings.TrimSuffix(s.ast.Name.Name, "_test")) {
				all = append(all, n.Sel.Name)
			}
			all = append(all, names(n.X, s)...)
			return false
		case *ast.Ident:
			all = append(all, n.Name)
		}
		return true
	})
	return all
}
