package house

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
)

// noInit: what runs before main runs in every program that embeds us.
func noInit(s *source) (found []Finding) {
	for _, d := range s.ast.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			found = append(found, s.at(f.Pos(), "no init", "what an import does is nothing"))
		}
	}
	return found
}

// noSleep: a test that sleeps is slow, or flaky, or both. In a file that uses
// testing/synctest a sleep moves fake time, and is fine.
func noSleep(s *source) (found []Finding) {
	name := s.localName("time")
	if !s.test || name == "" || s.localName("testing/synctest") != "" {
		return nil
	}
	for call := range s.calls {
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" && isIdent(sel.X, name) {
			found = append(found, s.at(call.Pos(), "no sleep in tests", "wait for an event, or use testing/synctest"))
		}
	}
	return found
}

// marker finds the words of unfinished work, which is no part of main. They
// are split here, since this file is read as well.
var marker = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)

func noMarker(s *source) (found []Finding) {
	for _, group := range s.ast.Comments {
		for _, c := range group.List {
			for i, line := range strings.Split(c.Text, "\n") {
				if m := marker.FindString(line); m != "" {
					found = append(found, Finding{s.name, s.line(c.Pos()) + i, "unfinished", "a comment says " + m})
				}
			}
		}
	}
	return found
}

// skipReason: a skipped test says why, in words that a reader can judge.
func skipReason(s *source) (found []Finding) {
	const rule = "skip with a reason"
	testers := s.testers()
	for call := range s.calls {
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			continue
		}
		id, ok := sel.X.(*ast.Ident)
		if !ok || !testers[id.Name] {
			continue
		}
		switch sel.Sel.Name {
		case "SkipNow":
			found = append(found, s.at(call.Pos(), rule, "%s.SkipNow gives none", id.Name))
		case "Skip", "Skipf":
			if !saysSomething(call.Args) {
				found = append(found, s.at(call.Pos(), rule, "%s.%s has no string that gives one", id.Name, sel.Sel.Name))
			}
		}
	}
	return found
}

// calls yields every call in s.
func (s *source) calls(yield func(*ast.CallExpr) bool) {
	more := true
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && more {
			more = yield(call)
		}
		return more
	})
}

// testers returns the names of the parameters in s that are a testing.T, B, F
// or TB, or another package's T.
func (s *source) testers() map[string]bool {
	names := map[string]bool{}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncType)
		if !ok {
			return true
		}
		for _, param := range f.Params.List {
			if isTester(param.Type) {
				for _, name := range param.Names {
					names[name.Name] = true
				}
			}
		}
		return true
	})
	return names
}

func isTester(t ast.Expr) bool {
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	sel, ok := t.(*ast.SelectorExpr)
	return ok && (isIdent(sel.X, "testing") || isIdent(sel.X, "rapid"))
}

func isIdent(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// saysSomething tells whether a string literal in args is not blank.
func saysSomething(args []ast.Expr) (says bool) {
	for _, arg := range args {
		ast.Inspect(arg, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			says = says || ok && lit.Kind == token.STRING && strings.Trim(lit.Value, "\"` ") != ""
			return true
		})
	}
	return says
}
