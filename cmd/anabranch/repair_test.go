package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Who repairs a damaged directory is told what is known of the loss, and what
// is wrong with it in one line without words of the libraries below.
func TestRepairSaysWhatIsKnownOfTheLoss(t *testing.T) {
	dir := newNode(t)
	var lines strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&lines, `{"namespace":"edge","path":"item/%05d","type":"register","value":"%0200d"}`+"\n", i, i)
	}
	if r := runIn(dir, lines.String(), "import"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	do(t, dir, "counter", "add", "edge/n") // opened again: the log has become a table
	flipLargestTable(t, dir)
	r := runIn(dir, "", "digest")
	if r.code != exitError || strings.Count(r.stderr, "\n") != 1 || strings.Contains(r.stderr, "<") ||
		strings.Count(r.stderr, "damaged") != 1 || !strings.HasSuffix(r.stderr, "(see 'anabranch repair --help')\n") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	out := do(t, dir, "repair")
	for _, want := range []string{
		`(?m)^damaged +[^"]*block .* checksum mismatch`,
		`(?m)^records lost +not known: [1-9][0-9]* at most, which could not be read$`,
		`(?m)^not read +.*\.sst: entries [0-9]+ to [0-9]+ of [0-9]+: block `,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("no match for %s:\n%s", want, out)
		}
	}
}

// flipLargestTable flips a bit in the middle of a table.
func flipLargestTable(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "data", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var all []byte
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > len(all) {
			name, all = table, b
		}
	}
	if all == nil {
		t.Fatalf("no table in %s", dir)
	}
	all[len(all)/2] ^= 1
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
}
