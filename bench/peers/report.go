package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/anabranch-db/anabranch/internal/plot"
)

// A Report is all that one run found.
type Report struct {
	Date        string            `json:"date"`
	Cores       int               `json:"cores"`
	Repetitions int               `json:"repetitions"`
	Versions    map[string]string `json:"versions"`
	Skipped     []string          `json:"skipped,omitempty"`
	Figures     []Figure          `json:"figures"` // by work, in the order of the works
}

// newReport puts figures in order, with those that are quoted.
func newReport(figures []Figure, skipped []string, repetitions int) *Report {
	r := &Report{
		Date: time.Now().UTC().Format("2006-01-02"), Cores: runtime.NumCPU(), Repetitions: repetitions,
		Versions: versions(), Skipped: skipped,
	}
	for _, w := range works {
		for _, f := range slices.Concat(figures, quoted) {
			if f.Work == w.Name {
				r.Figures = append(r.Figures, f)
			}
		}
	}
	return r
}

// versions are those of all who took part.
func versions() map[string]string {
	all := map[string]string{"Go": runtime.Version()}
	names := map[string]string{
		"github.com/nats-io/nats-server/v2": "NATS server",
		"github.com/automerge/automerge-go": "Automerge (Go)",
		"modernc.org/sqlite":                "SQLite (modernc.org/sqlite)",
		"github.com/cockroachdb/pebble/v2":  "Pebble (below Anabranch)",
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if name := names[m.Path]; name != "" {
				all[name] = m.Version
			}
		}
	}
	if out, err := exec.Command("git", "rev-parse", "--short", "HEAD").Output(); err == nil {
		all["Anabranch"] = strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("node", "--version").Output(); err == nil {
		all["Node.js"] = strings.TrimSpace(string(out))
	}
	for name, dir := range map[string]string{"Yjs": "yjs", "Automerge (JavaScript)": "@automerge/automerge", "Loro": "loro-crdt"} {
		var p struct{ Version string }
		b, err := os.ReadFile(filepath.Join("node", "node_modules", dir, "package.json"))
		if err == nil && json.Unmarshal(b, &p) == nil {
			all[name] = p.Version
		}
	}
	return all
}

// write writes the report as a page, as JSON and as a chart.
func (r *Report) write(dir string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	svg, err := os.Create(filepath.Join(dir, "results.svg"))
	if err != nil {
		return err
	}
	return errors.Join(
		r.chart().Write(svg), svg.Close(),
		os.WriteFile(filepath.Join(dir, "results.json"), append(b, '\n'), 0o644),
		os.WriteFile(filepath.Join(dir, "RESULTS.md"), []byte(r.page()), 0o644),
	)
}

func (r *Report) chart() *plot.Bars {
	bars := &plot.Bars{Title: fmt.Sprintf("The same work, in one run, on %d cores (%s); blue is Anabranch", r.Cores, r.Date)}
	for _, w := range works {
		way := "more is better"
		if w.Less {
			way = "less is better"
		}
		g := plot.Group{Title: fmt.Sprintf("%s, %s: %s", w.Name, w.Unit, way)}
		for _, f := range r.Figures {
			if f.Work == w.Name {
				text := plot.Figure(f.Value)
				if f.Quoted {
					text += " (quoted)"
				}
				g.Bars = append(g.Bars, plot.Bar{Name: f.Who, Text: text, Value: f.Value, Ours: f.Ours})
			}
		}
		if len(g.Bars) > 0 {
			bars.Groups = append(bars.Groups, g)
		}
	}
	return bars
}

const pageHead = `# Beside its peers

The same work, done by Anabranch and by what people use in its place, in one run,
in turns. This page is written by ` + "`go run .`" + ` in this folder; what each work is in
detail is in the code beside it. Read the third column first: a library that
keeps a document in memory does less than a store that answers when the write is
on disk, and a figure of one says nothing of the other. Where Anabranch appears
as ` + "`crdt.Replica`" + ` it is the same data and the same merge without disk and network,
which is what the CRDT libraries measure.

Times are of a machine that others share, and compare roughly, within the run; sizes are
exact.

NATS has one server in the same process, so its figures are without a network.
SQLite replicates nothing. Yjs has no counter: each client sets a cell of its own.
Rows in *italics* are quoted, as measured before on a machine like this one, with
the same sizes: go-ds-crdt can no longer be had from the Go module proxy. Besides
what the tables have of it, it took 247 bytes on the wire for a change while
linked, and 8 times the payload on disk.

![The figures of this page as bars](results.svg)
`

func (r *Report) page() string {
	var b strings.Builder
	b.WriteString(pageHead)
	fmt.Fprintf(&b, "\nMeasured on %s, on %d shared cores, medians of %d; in brackets the least and the greatest.\n", r.Date, r.Cores, r.Repetitions)
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "\n**Not measured:** %s.\n", s)
	}
	for _, w := range works {
		fmt.Fprintf(&b, "\n## %s%s\n\n", strings.ToUpper(w.Name[:1]), w.Name[1:])
		fmt.Fprintf(&b, "%s%s.\n\n| who | %s | what a power cut leaves |\n|---|---:|---|\n", strings.ToUpper(w.Does[:1]), w.Does[1:], w.Unit)
		for _, f := range r.Figures {
			if f.Work == w.Name {
				b.WriteString(row(f))
			}
		}
	}
	b.WriteString("\n## Versions\n\n| | |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, "| %s | %s |\n", name, r.Versions[name])
	}
	return b.String()
}

func row(f Figure) string {
	figure, mark := plot.Figure(f.Value), ""
	switch {
	case f.Quoted:
		mark = "*"
	case f.Ours:
		mark = "**"
	}
	if n := len(f.Values); n > 1 && f.Values[0] != f.Values[n-1] {
		figure += fmt.Sprintf(" (%s to %s)", plot.Figure(f.Values[0]), plot.Figure(f.Values[n-1]))
	}
	return fmt.Sprintf("| %s%s%s | %s%s%s | %s |\n", mark, f.Who, mark, mark, figure, mark, f.Kept)
}
