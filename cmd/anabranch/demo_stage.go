package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"
)

// stage shows the demo: as text that can be piped anywhere, at the pace of a
// reader on a terminal, or as one JSON object a line.
type stage struct {
	out  io.Writer
	json *json.Encoder // nil: text
	bold func(string) string

	// On a terminal only, a table of what each node sees stays below the
	// text, and follows what happens.
	width int // of the terminal, in columns; 0: not a terminal
	drawn int // lines of the table that is on the screen
}

func newStage(out io.Writer, format outputFormat) *stage {
	s := &stage{out: out, bold: func(text string) string { return text }}
	if format == outputJSON {
		s.json = json.NewEncoder(out)
		s.json.SetEscapeHTML(false)
		return s
	}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.width, _, _ = term.GetSize(int(f.Fd()))
		s.bold = func(text string) string { return "\x1b[1m" + text + "\x1b[0m" }
	}
	return s
}

// emit writes an object in JSON, or reports that the stage is for people.
func (s *stage) emit(kind string, v any) (done bool) {
	if s.json != nil {
		_ = s.json.Encode(map[string]any{"event": kind, kind: v}) // an error shows at the end
	}
	return s.json != nil
}

// print prints text, above the table if there is one.
func (s *stage) print(format string, args ...any) {
	s.erase()
	fmt.Fprintf(s.out, format, args...)
}

func (s *stage) say(text string) {
	if !s.emit("note", text) {
		s.print("%s\n", text)
	}
}

func (s *stage) chapter(title, text string) {
	if !s.emit("chapter", title) {
		s.print("\n%s\n%s\n\n", s.bold("== "+title+" =="), text)
	}
}

// play runs a scene's command on its node.
func (s *stage) play(ctx context.Context, f *fleet, sc scene) error {
	n := f.nodes[slices.IndexFunc(f.nodes, func(n *demoNode) bool { return n.name == sc.node })]
	if !s.emit("write", map[string]any{"node": sc.node, "command": sc.verb, "why": sc.why}) {
		s.print("  %-8s %s\n           $ anabranch %s\n", sc.node, sc.why, quoted(sc.verb))
	}
	var out, errs bytes.Buffer
	args := append(slices.Clone(sc.verb), "--dir", n.dir)
	if code := run(ctx, args, strings.NewReader(""), &out, &errs); code != exitOK {
		return fmt.Errorf("%s: %s", sc.node, strings.TrimSpace(errs.String()))
	}
	return s.pause(ctx, f)
}

// quoted joins the words of a command line as a shell reads them.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		if strings.ContainsAny(w, `"{}[] `) {
			w = "'" + w + "'"
		}
		out[i] = w
	}
	return strings.Join(out, " ")
}
