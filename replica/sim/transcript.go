package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a plan that comes from a file.
const (
	MaxNodes      = 64
	MaxNamespaces = 8
	MaxHappenings = 1 << 16
	maxAt         = 1 << 40 // milliseconds: 34 years
)

// ErrTranscript marks a text that is no plan.
var ErrTranscript = errors.New("malformed transcript")

const transcriptHead = "anabranch simulation 1"

// MarshalText writes the plan down, a line for each happening:
//
//	anabranch simulation 1
//	seed 42
//	nodes 3
//	namespaces alpha beta
//	older 0
//	partial 0
//	at 120 crash 2 0 7312
//
// (partial is left out where it is 0);
// that is: 120 ms from the start, a crash of node 2 (and 0, which a crash is
// not about), and what chance adds to it drawn from 7312.
func (p *Plan) MarshalText() ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nseed %d\nnodes %d\nnamespaces %s\nolder %d\n",
		transcriptHead, p.Seed, p.Nodes, strings.Join(p.Namespaces, " "), p.Older)
	if p.Partial > 0 {
		fmt.Fprintf(&b, "partial %d\n", p.Partial)
	}
	for _, h := range p.Happenings {
		fmt.Fprintf(&b, "at %d %s %d %d %d\n", h.At, h.Kind, h.A, h.B, h.N)
	}
	return []byte(b.String()), nil
}

// UnmarshalText reads what MarshalText wrote. Lines that begin with # and empty
// ones are left out. Errors wrap ErrTranscript, and name the line.
func (p *Plan) UnmarshalText(text []byte) error {
	var q Plan
	seen := 0 // lines of the head
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := q.readLine(seen, line); err != nil {
			return fmt.Errorf("%w: line %d: %w", ErrTranscript, i+1, err)
		}
		seen++
	}
	if seen < len(heads) {
		return fmt.Errorf("%w: it ends before %q", ErrTranscript, heads[seen].word)
	}
	*p = q
	return nil
}

// heads are the lines of which there is one each, in order.
var heads = []struct {
	word string
	read func(p *Plan, fields []string) error
}{
	{"anabranch", func(_ *Plan, fields []string) error {
		if strings.Join(fields, " ") != "simulation 1" {
			return errors.New("it is of another version")
		}
		return nil
	}},
	{"seed", func(p *Plan, fields []string) (err error) {
		p.Seed, err = number[uint64](fields, 0, 1<<64-1)
		return err
	}},
	{"nodes", func(p *Plan, fields []string) (err error) {
		p.Nodes, err = number[int](fields, 1, MaxNodes)
		return err
	}},
	{"namespaces", func(p *Plan, fields []string) error {
		if len(fields) == 0 || len(fields) > MaxNamespaces || !slices.IsSorted(fields) || len(slices.Compact(slices.Clone(fields))) < len(fields) {
			return fmt.Errorf("want 1 to %d names, ordered", MaxNamespaces)
		}
		p.Namespaces = fields
		return nil
	}},
	{"older", func(p *Plan, fields []string) (err error) {
		p.Older, err = number[int](fields, 0, 1000)
		return err
	}},
}

// readLine reads the n-th line that says something.
func (p *Plan) readLine(n int, line string) error {
	fields := strings.Fields(line)
	if n < len(heads) {
		if fields[0] != heads[n].word {
			return fmt.Errorf("%q where %q is due", fields[0], heads[n].word)
		}
		return heads[n].read(p, fields[1:])
	}
	if n == len(heads) && fields[0] == "partial" {
		var err error
		p.Partial, err = number[int](fields[1:], 0, 1000)
		return err
	}
	if fields[0] != "at" || len(fields) != 6 {
		return errors.New("want: at MILLISECONDS KIND NODE NODE NUMBER")
	}
	var h Happening
	var errs [4]error
	h.At, errs[0] = number[int64](fields[1:2], 0, maxAt)
	h.A, errs[1] = number[int](fields[3:4], 0, MaxNodes)
	h.B, errs[2] = number[int](fields[4:5], 0, MaxNodes)
	h.N, errs[3] = number[uint64](fields[5:], 0, 1<<64-1)
	h.Kind = Kind(fields[2])
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if _, found := happenings[h.Kind]; !found {
		return fmt.Errorf("nothing called %q happens", fields[2])
	}
	if len(p.Happenings) == MaxHappenings {
		return fmt.Errorf("more than %d happenings", MaxHappenings)
	}
	p.Happenings = append(p.Happenings, h)
	return nil
}

// number reads the only field as a number within bounds.
func number[T int | int64 | uint64](fields []string, least, most uint64) (T, error) {
	if len(fields) != 1 {
		return 0, errors.New("want one number")
	}
	n, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("want a number from %d to %d, not %q", least, most, fields[0])
	}
	return T(n), nil
}
