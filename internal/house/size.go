package house

import (
	"fmt"
	"go/ast"
)

func fileLength(s *source) []Finding {
	if s.lines <= maxFileLines {
		return nil
	}
	text := fmt.Sprintf("%d lines, at most %d", s.lines, maxFileLines)
	return []Finding{{s.name, maxFileLines + 1, "file length", text}}
}

// funcLength measures declarations and literals: a table of long closures is
// no shorter for having no name.
func funcLength(s *source) (found []Finding) {
	ast.Inspect(s.ast, func(n ast.Node) bool {
		name := "a function literal"
		switch f := n.(type) {
		case *ast.FuncDecl:
			name = f.Name.Name
		case *ast.FuncLit:
		default:
			return true
		}
		if lines := s.line(n.End()) - s.line(n.Pos()) + 1; lines > maxFuncLines {
			found = append(found, s.at(n.Pos(), "function length",
				"%s has %d lines, at most %d", name, lines, maxFuncLines))
		}
		return true
	})
	return found
}
