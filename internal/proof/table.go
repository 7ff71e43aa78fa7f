package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// table returns PROOF.md for a ledger.
func (l ledger) table() string {
	var b strings.Builder
	b.WriteString(`# Proof

What the suites tried, and what came of it. This page is written by
` + "`go run ./internal/proof run`" + `, which runs them, enters each run in [the
ledger](` + ledgerFile + `) with its commit, and sums it up here. A
suite that is drawn from seeds goes on where the ledger ends, so that totals are
of different seeds, but that those of a run that failed come, and count, again.
"There" is at the commit that a suite ran on last, "in all" over all commits.

| suite | last commit | tried there | tried in all | goal | operations in all | faults injected in all | violations there | violations in all |
|---|---|---:|---:|---:|---:|---:|---:|---:|
`)
	for _, s := range suites {
		b.WriteString(l.of(s.name).summary(&s))
	}
	b.WriteString(`
A seed is one fleet, from its first write to the end of all faults and to rest,
in which a few transactions meet a few faults: many small fleets find more than
a few large ones. An operation is a transaction of a fleet, or a call of a test.
A violation is something that must hold and did not, or a test that failed.
`)
	l.faults(&b)
	for _, s := range suites {
		l.of(s.name).section(&s, &b)
	}
	return b.String()
}

// summary is a suite's row of the first table. The ledger is the suite's.
func (l ledger) summary(s *suite) string {
	name := "[" + s.title + "](#" + anchor(s) + ")"
	if len(l) == 0 {
		return row(name, "never run", "", "", goal(s, 0), "", "", "", "")
	}
	end, last, all := l[len(l)-1], l.latest().sum(), l.sum()
	injected := int64(0)
	for figure, n := range all {
		if strings.HasPrefix(figure, faultPrefix) {
			injected += n
		}
	}
	return row(name, fmt.Sprintf("`%.7s`, %s", end.Commit, end.Date),
		tried(s, last), tried(s, all), goal(s, all[s.figure]), some(all[operationsFigure]), some(injected),
		"**"+grouped(last[violationsFigure])+"**", grouped(all[violationsFigure]))
}

// some is a number of what not every suite has.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return grouped(n)
}

// tried says how much a suite tried, in words.
func tried(s *suite, f figures) string {
	text := grouped(f[s.figure]) + " " + s.unit
	if s.of != "" {
		text = grouped(f[s.figure]) + " of " + grouped(f[s.of]) + " " + s.unit
	}
	return text
}

func goal(s *suite, n int64) string {
	if s.goal == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%.1f%%)", grouped(s.goal), 100*float64(n)/float64(s.goal))
}

// anchor is how a heading of Markdown is linked to.
func anchor(s *suite) string {
	return strings.NewReplacer(":", "", ",", "", " ", "-").Replace(strings.ToLower(s.title))
}

// faults writes what was done to the systems under test, by kind and suite.
func (l ledger) faults(b *strings.Builder) {
	kinds := map[string]figures{} // by suite
	var with []string
	for _, s := range suites {
		for name, n := range l.of(s.name).sum() {
			kind, ok := strings.CutPrefix(name, faultPrefix)
			if !ok {
				continue
			}
			if kinds[kind] == nil {
				kinds[kind] = figures{}
			}
			kinds[kind][s.name] = n
			if !slices.Contains(with, s.name) {
				with = append(with, s.name)
			}
		}
	}
	if len(with) == 0 {
		return
	}
	b.WriteString("\n## Faults injected\n\nBy kind, over all commits.\n\n")
	b.WriteString(row(append([]string{"fault"}, with...)...) + "|---|" + strings.Repeat("---:|", len(with)) + "\n")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		cells := []string{spaced(kind)}
		for _, name := range with {
			cells = append(cells, some(kinds[kind][name]))
		}
		b.WriteString(row(cells...))
	}
}

// section writes what there is to say of a suite. The ledger is the suite's.
func (l ledger) section(s *suite, b *strings.Builder) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n`go run ./internal/proof run %s`\n", s.title, s.does, s.name)
	if len(l) == 0 {
		return
	}
	if end := l[len(l)-1]; s.seeds > 0 {
		fmt.Fprintf(b, "\nLast seed: %s.\n", grouped(int64(l.next(s.name)-1)))
	} else if len(end.Skipped) > 0 {
		fmt.Fprintf(b, "\nLeft out of the last run: %s.\n", strings.Join(end.Skipped, ", "))
	}
	last, all := l.latest().sum(), l.sum()
	b.WriteString("\n" + row("", "last commit", "all commits") + "|---|---:|---:|\n")
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !strings.HasPrefix(name, faultPrefix) {
			b.WriteString(row(spaced(name), grouped(last[name]), grouped(all[name])))
		}
	}
}

func row(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }

// spaced is a figure's name as people read it; what names code stays as it is.
func spaced(name string) string {
	if target, ok := strings.CutPrefix(name, executionsFigure+"."); ok {
		return "`" + target + "`"
	}
	return strings.NewReplacer("-", " ", ".", ": ").Replace(name)
}

// grouped writes a number with its thousands apart.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
