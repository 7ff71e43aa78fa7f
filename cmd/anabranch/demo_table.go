package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// readingPace lets a person on a terminal follow the lines as they come.
	readingPace = 700 * time.Millisecond
	// clockPace keeps two scenes apart by the clock, which has milliseconds:
	// the story tells which of two writes was the later.
	clockPace = 5 * time.Millisecond
	// redrawEvery is how often the table on a terminal follows the nodes.
	redrawEvery = 100 * time.Millisecond
)

// views are what each node sees, in the order of the fleet: values by path.
type views []map[string]string

// look returns what every node sees.
func (f *fleet) look(ctx context.Context) (views, error) {
	var all views
	for _, n := range f.nodes {
		seen := map[string]string{}
		err := call(ctx, n.globals(), "scan", address{Namespace: demoNamespace}, func(r leafRow) error {
			seen[r.Path] = string(r.Value)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		all = append(all, seen)
	}
	return all, nil
}

// paths returns every path that any node sees, in order.
func (vs views) paths() []string {
	all := map[string]bool{}
	for _, seen := range vs {
		for p := range seen {
			all[p] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// table returns the views as lines of text, a path each.
func (vs views) table(f *fleet) ([]string, error) {
	heads := []string{"what each sees"}
	for _, n := range f.nodes {
		heads = append(heads, n.name)
	}
	var text bytes.Buffer
	p := newPrinter(&text, outputTable, heads...)
	for _, path := range vs.paths() {
		cells := []string{path}
		for _, seen := range vs {
			v, ok := seen[path]
			if !ok {
				v = "-"
			}
			cells = append(cells, v)
		}
		if err := p.row(nil, "", cells...); err != nil {
			return nil, err
		}
	}
	err := p.flush()
	return strings.Split(strings.TrimRight(text.String(), "\n"), "\n"), err
}

// show shows what each node sees, and leaves it on the screen.
func (s *stage) show(ctx context.Context, f *fleet) error {
	vs, err := f.look(ctx)
	if err != nil {
		return err
	}
	if s.json != nil {
		byNode := map[string]map[string]string{}
		for i, n := range f.nodes {
			byNode[n.name] = vs[i]
		}
		s.emit("state", byNode)
		return nil
	}
	lines, err := vs.table(f)
	if err != nil {
		return err
	}
	s.print("\n  %s\n", strings.Join(lines, "\n  "))
	return nil
}

// pause lets the reader of a terminal read; the table below follows.
func (s *stage) pause(ctx context.Context, f *fleet) error {
	if s.width == 0 {
		select {
		case <-time.After(clockPace):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for end := time.Now().Add(readingPace); time.Now().Before(end); {
		vs, err := f.look(ctx)
		if err != nil {
			return err
		}
		lines, err := vs.table(f)
		if err != nil {
			return err
		}
		s.draw(lines)
		select {
		case <-time.After(redrawEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// draw puts the table below the text, in the place of the one before. No line
// is longer than the terminal is wide, so that it takes one.
func (s *stage) draw(lines []string) {
	s.erase()
	fmt.Fprintln(s.out)
	for _, line := range lines {
		if r := []rune(line); len(r) > s.width-3 {
			line = string(r[:max(0, s.width-3)])
		}
		fmt.Fprintln(s.out, "  "+line)
	}
	s.drawn = len(lines) + 1
}

// erase takes the table off the screen.
func (s *stage) erase() {
	if s.drawn > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", s.drawn) // up, and clear to the end
		s.drawn = 0
	}
}
