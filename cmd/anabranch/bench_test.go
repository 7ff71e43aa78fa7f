package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A row is measured, drawn, and held against what was accepted: what is worse,
// each time that it is measured, is an error.
func TestBenchIsHeldAgainstWhatWasAccepted(t *testing.T) {
	dir := t.TempDir()
	for ratio, code := range map[string]int{"1000": exitOK, "0.01": exitError} {
		accepted, chart := filepath.Join(dir, "accepted.json"), filepath.Join(dir, ratio+".svg")
		line := `{"name":"codec/encode","ratio":` + ratio + `,"ratios":[` + ratio + `],"goal_at_most":2}`
		if err := os.WriteFile(accepted, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		r := runIn(dir, "", "bench", "--run", "^codec/encode$", "--repetitions", "1", "--keys", "1000", "--accepted", accepted, "--chart", chart)
		if r.code != code || !strings.Contains(r.stdout, "codec/encode") {
			t.Errorf("accepted at %s: %+v", ratio, r)
		}
		if svg, err := os.ReadFile(chart); err != nil || !strings.HasPrefix(string(svg), "<svg ") {
			t.Errorf("the chart is %q, %v", svg, err)
		}
	}
}
