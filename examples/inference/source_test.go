package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// record writes what recorded reads.
func record(t *testing.T, readings ...reading) string {
	t.Helper()
	var b strings.Builder
	for _, r := range readings {
		line, err := json.Marshal(map[string]any{"machine": r.machine, "samples": r.window})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	return b.String()
}

// take returns the first n readings of a site's pumps.
func take(t *testing.T, site string, n int) (rs []reading) {
	t.Helper()
	for r, err := range simulated(site) {
		if err != nil {
			t.Fatal(err)
		}
		if rs = append(rs, r); len(rs) == n {
			break
		}
	}
	return rs
}

func TestARecordingReadsAsWhatWasRecorded(t *testing.T) {
	want := take(t, "north", 7)
	i := 0
	for r, err := range recorded(strings.NewReader(record(t, want...))) {
		if err != nil {
			t.Fatal(err)
		}
		if r.machine != want[i].machine || *r.window != *want[i].window || r.truth != "" {
			t.Fatalf("reading %d of %s differs", i, r.machine)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d readings, want %d", i, len(want))
	}
}

func TestASiteHasItsOwnPumpsAndTheSameOnesAtEveryStart(t *testing.T) {
	first, again, other := take(t, "north", 1)[0], take(t, "north", 1)[0], take(t, "south", 1)[0]
	if first.machine != again.machine || *first.window != *again.window {
		t.Error("a site's pumps changed")
	}
	if first.machine == other.machine || *first.window == *other.window {
		t.Error("two sites have one pump")
	}
}

func TestBadInputIsAnErrorThatNamesTheLine(t *testing.T) {
	good := record(t, take(t, "north", 1)...)
	for name, line := range map[string]string{
		"not JSON":         "window",
		"an empty line":    "",
		"cut":              good[:len(good)/2],
		"no machine":       strings.Replace(good, "north-pump-1", "", 1),
		"too few samples":  `{"machine":"a","samples":[1,2,3]}`,
		"too many samples": strings.Replace(good, "[", "[0,", 1),
		"not 16 bits":      strings.Replace(good, "[", "[32768,", 1),
		"another field":    strings.Replace(good, `"machine"`, `"pump":1,"machine"`, 1),
		"two values":       strings.TrimSpace(good) + " {}",
	} {
		n, last := 0, error(nil)
		for _, err := range recorded(strings.NewReader(good + strings.TrimSuffix(line, "\n") + "\n" + good)) {
			n, last = n+1, err
		}
		if n != 2 || !errors.Is(last, errInput) || !strings.HasPrefix(last.Error(), "line 2: ") {
			t.Errorf("%s: %d readings, then %v", name, n-1, last)
		}
	}
}

func TestALineThatIsTooLongIsRefused(t *testing.T) {
	for _, err := range recorded(strings.NewReader(strings.Repeat(" ", maxLineBytes+1))) {
		if !errors.Is(err, bufio.ErrTooLong) || !strings.HasPrefix(err.Error(), "line 1: ") {
			t.Errorf("got %v", err)
		}
	}
	if longest := record(t, longestReading()); len(longest) > maxLineBytes {
		t.Errorf("a window takes up to %d bytes", len(longest))
	}
}

func longestReading() reading {
	w := new(vibration.Window)
	for i := range w {
		w[i] = -32768
	}
	return reading{machine: strings.Repeat("m", 128), window: w}
}
