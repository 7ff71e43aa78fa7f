package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// outputFormat is how rows are printed: for people, for programs, or the bare
// value.
type outputFormat string

const (
	outputTable outputFormat = "table"
	outputJSON  outputFormat = "json"
	outputRaw   outputFormat = "raw"
)

// writtenLayout is how people are shown when something was written: to the
// millisecond, which is what is known of it, and always as wide.
const writtenLayout = "2006-01-02T15:04:05.000Z07:00"

// String, Set and Type make an outputFormat a flag.
func (f *outputFormat) String() string { return string(*f) }

// Set refuses what is no format.
func (f *outputFormat) Set(s string) error {
	switch o := outputFormat(s); o {
	case outputTable, outputJSON, outputRaw:
		*f = o
		return nil
	}
	return fmt.Errorf("%q is none of table, json, raw", s)
}

// Type is what help shows.
func (f *outputFormat) Type() string { return "table|json|raw" }

// printer prints rows in one format. A row prints as its cells under the
// columns' heads (table), as one JSON object a line (json), or as its raw
// form (raw).
type printer struct {
	format outputFormat
	json   *json.Encoder
	out    io.Writer
	table  *tabwriter.Writer
	heads  []string
}

// newPrinter prints to out. No heads means a table without a head line.
func newPrinter(out io.Writer, format outputFormat, heads ...string) *printer {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return &printer{
		format: format, json: enc, out: out, heads: heads,
		table: tabwriter.NewWriter(out, 0, 4, 2, ' ', 0),
	}
}

// row prints one row: v as JSON, cells as a table's line, raw bare.
func (p *printer) row(v any, raw string, cells ...string) error {
	switch p.format {
	case outputJSON:
		return p.json.Encode(v)
	case outputRaw:
		_, err := fmt.Fprintln(p.out, raw)
		return err
	}
	if p.heads != nil {
		fmt.Fprintln(p.table, strings.ToUpper(strings.Join(p.heads, "\t")))
		p.heads = nil
	}
	for i, c := range cells {
		cells[i] = printable(c)
	}
	_, err := fmt.Fprintln(p.table, strings.Join(cells, "\t"))
	return err
}

// printable quotes what a terminal would act on: names and values come from
// any member.
func printable(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}

// flush ends the table, which aligns its columns over all rows. A verb that
// runs on calls it after each row.
func (p *printer) flush() error {
	if p.format != outputTable {
		return nil
	}
	return p.table.Flush()
}
