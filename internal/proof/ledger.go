package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a line of the ledger: one run of a suite. Its fields are in the
// order of their names, as all of JSON here is.
type entry struct {
	Commit  string   `json:"commit"`
	Date    string   `json:"date"` // 2006-01-02, UTC
	Failed  []string `json:"failed,omitempty"`
	Figures figures  `json:"figures"`
	First   uint64   `json:"first,omitempty"` // of the seeds; 0: it has none, or failed, and they are due again
	Last    uint64   `json:"last,omitempty"`
	Seconds int64    `json:"seconds"`
	Skipped []string `json:"skipped,omitempty"`
	Suite   string   `json:"suite"`
}

// ledger is all runs, the oldest first.
type ledger []entry

// Where the ledger and the table are, from the root of the module.
const (
	ledgerFile = "internal/proof/ledger.jsonl"
	tableFile  = "PROOF.md"
)

// newEntry returns the entry for a run that ended now.
func newEntry(commit string, s *suite, seeds seedRange, a *account, took time.Duration) entry {
	e := entry{
		Commit: commit, Date: time.Now().UTC().Format(time.DateOnly), Suite: s.name,
		Figures: a.figures, Seconds: int64(took.Seconds()), Skipped: slices.Compact(slices.Sorted(slices.Values(a.skipped))),
	}
	for _, f := range a.failed {
		e.Failed = append(e.Failed, f.String())
	}
	if s.seeds > 0 && len(e.Failed) == 0 { // else they are due again
		e.First, e.Last = seeds.first, seeds.first+seeds.count-1
	}
	return e
}

// parseLedger is strict: a line that says something else than this program
// knows would be lost from the sums.
func parseLedger(text []byte) (l ledger, err error) {
	for i, line := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
		if len(text) == 0 {
			break
		}
		var e entry
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if suiteNamed(e.Suite) == nil || e.Commit == "" || e.First > e.Last {
			return nil, fmt.Errorf("line %d: no suite, no commit, or no seeds: %s", i+1, line)
		}
		l = append(l, e)
	}
	return l, nil
}

// readLedger reads the ledger of a module; none is an empty one.
func readLedger(root string) (ledger, error) {
	text, err := os.ReadFile(filepath.Join(root, ledgerFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return parseLedger(text)
}

// enter adds an entry to the ledger of a module, and writes the table anew.
func enter(root string, e entry) error {
	if l, err := readLedger(root); err != nil {
		return err
	} else if e.First > 0 && e.First < l.next(e.Suite) {
		return fmt.Errorf("suite %s has had seeds up to %d, so those from %d on are not entered: --scratch runs them again", e.Suite, l.next(e.Suite)-1, e.First)
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(root, ledgerFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return writeTable(root)
}

func writeTable(root string) error {
	l, err := readLedger(root)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, tableFile), []byte(l.table()), 0o644)
}

// next returns the seed after the last that a suite has had.
func (l ledger) next(suite string) uint64 {
	next := uint64(1)
	for _, e := range l {
		if e.Suite == suite {
			next = max(next, e.Last+1)
		}
	}
	return next
}

// of returns a suite's entries.
func (l ledger) of(suite string) (all ledger) {
	for _, e := range l {
		if e.Suite == suite {
			all = append(all, e)
		}
	}
	return all
}

// latest returns the entries of the commit that was run last.
func (l ledger) latest() (all ledger) {
	for _, e := range l {
		if e.Commit == l[len(l)-1].Commit {
			all = append(all, e)
		}
	}
	return all
}

// sum adds up the figures.
func (l ledger) sum() figures {
	sum := figures{}
	for _, e := range l {
		sum.add(e.Figures)
	}
	return sum
}

// foundInputs are where a fuzz target writes the input that it failed of: no
// change to what was run, but what the run found.
const foundInputs = "*testdata/fuzz/*"

// commitOf returns the commit that is checked out, and an error if the tree has
// other changes than the ledger, the table, and what the given paths match.
func commitOf(root string, but ...string) (string, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(out)), err
	}
	// Of a folder that is new as a whole, too, each file is matched by itself.
	status := []string{"status", "--porcelain", "--untracked-files=all", "--", "."}
	for _, path := range slices.Concat([]string{ledgerFile, tableFile}, but) {
		status = append(status, ":!"+path)
	}
	changes, err := git(status...)
	if err != nil {
		return "", fmt.Errorf("git status: %w", err)
	}
	if changes != "" {
		return "", fmt.Errorf("the tree has changes, so that no commit names what would be run (--scratch runs it all the same):\n%s", changes)
	}
	return git("rev-parse", "HEAD")
}
