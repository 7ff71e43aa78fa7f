package replica

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/replica/sim"
)

// Stories are plans that once failed, made small: showSeed prints such a one.
func TestWholeNodesLiveThroughEveryStory(t *testing.T) {
	files, err := filepath.Glob("testdata/whole/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are %d stories: %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			w := live(t, story(t, string(text)), func(line string) { lines = append(lines, line) })
			if w.verdict.failure != "" {
				t.Errorf("%s\n%s", strings.Join(lines, "\n"), w.verdict.failure)
			}
		})
	}
}

// ownKind is a line of a story with a kind that package sim does not know.
var ownKind = regexp.MustCompile(`(?m)^(at \d+) (power|full|unruly|rot) `)

// story reads a plan.
func story(t *testing.T, text string) *sim.Plan {
	p := &sim.Plan{}
	if err := p.UnmarshalText([]byte(ownKind.ReplaceAllString(text, "$1 act "))); err != nil {
		t.Fatal(err)
	}
	i := 0
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "at" {
			p.Happenings[i].Kind = sim.Kind(fields[2])
			i++
		}
	}
	return p
}
