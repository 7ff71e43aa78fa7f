package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/internal/plot"
)

// A section is what a part found.
type section struct {
	name, title, means string
	head               []string
	rows               [][]string
	plots              []plot.Lines
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

// figure prints a figure with three digits that count.
func figure[T int | int64 | uint64 | float64](f T) string { return plot.Figure(float64(f)) }

// write writes the section's text and plots into docs/scale: one part can be run
// again alone.
func (s *section) write(docs string) error {
	dir := filepath.Join(docs, "scale")
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\nMeasured on %s, on %d shared cores.\n\n", s.title, s.means, time.Now().UTC().Format("2006-01-02"), runtime.NumCPU())
	var err error
	for i := range s.plots {
		name := fmt.Sprintf("%s-%d.svg", s.name, i+1)
		fmt.Fprintf(&b, "![%s](scale/%s)\n\n", s.plots[i].Title, name)
		svg, failed := os.Create(filepath.Join(dir, name))
		if failed != nil {
			return failed
		}
		err = errors.Join(err, s.plots[i].Write(svg), svg.Close())
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.head, " | "), strings.Repeat("---:|", len(s.head)))
	for _, r := range s.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}
	return errors.Join(err, os.WriteFile(filepath.Join(dir, s.name+".md"), []byte(b.String()), 0o644))
}

const pageHead = `# How it scales

What grows with what. This page is written by ` + "`go run ./internal/bench/scale`" + `, and
all figures are of its last run of each size; its flags go further. Both axes of each plot are
logarithmic: a line that is flat does not grow, one that climbs a decade for a decade
grows as its input does. Of times and rates only the shape means anything on a shared
machine, and that only roughly; bytes are exact. [A fleet of 10,000 on paper](fleet.md) adds it up.
`

// writePage puts all sections together.
func writePage(docs string) error {
	page := pageHead
	for _, p := range parts {
		b, err := os.ReadFile(filepath.Join(docs, "scale", p.name+".md"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		page += "\n" + string(b)
	}
	return os.WriteFile(filepath.Join(docs, "scale.md"), []byte(page), 0o644)
}
