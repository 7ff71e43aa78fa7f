package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// figures are numbers by their names, as tests published them.
type figures map[string]int64

// Names that mean something here; all others are only summed and shown.
const (
	seedsFigure      = "seeds"
	operationsFigure = "operations"
	violationsFigure = "violations"
	executionsFigure = "executions"
	faultPrefix      = "fault." // and the kind
)

func (f figures) add(others figures) {
	for name, n := range others {
		f[name] += n
	}
}

// account is what came of a run of tests.
type account struct {
	figures figures
	failed  []failure
	skipped []string // tests

	output map[string]*strings.Builder // by test, until it ends
}

// failure is a test that failed, or a package that did without a test.
type failure struct{ pkg, test, output string }

func (f failure) String() string { return strings.TrimSpace(f.pkg + " " + f.test) }

// event is a line of go test -json; go doc test2json describes it.
type event struct {
	Action, Package, Test, Output, Key, Value string
}

func newAccount() *account {
	return &account{figures: figures{}, output: map[string]*strings.Builder{}}
}

// fuzzed finds how often a fuzz target was executed so far.
var fuzzed = regexp.MustCompile(`^fuzz: elapsed: .*, execs: (\d+) `)

// read reads what go test -json prints for one process.
func (a *account) read(r io.Reader) error {
	executions := int64(0) // of the target that runs: each line tells the sum
	for d := json.NewDecoder(r); ; {
		var e event
		if err := d.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("what go test prints is not JSON: %w", err)
		}
		a.take(e)
		if m := fuzzed.FindStringSubmatch(e.Output); m != nil {
			executions, _ = strconv.ParseInt(m[1], 10, 64)
		}
	}
	if executions > 0 {
		a.figures[executionsFigure] += executions
	}
	return nil
}

func (a *account) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "attr":
		if n, err := strconv.ParseInt(e.Value, 10, 64); err == nil {
			a.figures[e.Key] += n
		}
	case "output", "build-output":
		if a.output[key] == nil {
			a.output[key] = &strings.Builder{}
		}
		a.output[key].WriteString(e.Output)
	case "fail":
		if !a.knows(e) {
			a.failed = append(a.failed, failure{e.Package, e.Test, a.said(key) + a.said(" ")})
		}
		delete(a.output, key)
	case "skip":
		if e.Test != "" {
			a.skipped = append(a.skipped, e.Test)
		}
		delete(a.output, key)
	case "pass":
		delete(a.output, key)
	}
}

func (a *account) said(key string) string {
	if b := a.output[key]; b != nil {
		return b.String()
	}
	return ""
}

// knows reports whether a failure is of one that is known: a package's is of
// its tests, and a test's of its subtests.
func (a *account) knows(e event) bool {
	for _, f := range a.failed {
		if f.pkg == e.Package && (e.Test == "" || strings.HasPrefix(f.test, e.Test+"/")) {
			return true
		}
	}
	return false
}

// add adds what another run came to.
func (a *account) add(o *account) {
	a.figures.add(o.figures)
	a.failed = append(a.failed, o.failed...)
	a.skipped = append(a.skipped, o.skipped...)
}

// close counts the violations: what tests counted, and at least the tests that
// failed.
func (a *account) close() {
	a.figures[violationsFigure] = max(a.figures[violationsFigure], int64(len(a.failed)))
}
