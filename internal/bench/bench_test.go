package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
)

// Rows that measure a process start this program again.
func TestMain(m *testing.M) {
	if !Child() {
		m.Run()
	}
}

// Each row runs, in its smallest form, and yields figures above nothing.
func TestEveryRowMeasuresBothSides(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: all rows take half a minute, and many times that under the race detector")
	}
	for _, row := range Rows() {
		t.Run(row.Name, func(t *testing.T) {
			r, err := Run(t.Context(), &row, Options{Dir: t.TempDir(), Repetitions: 1, Keys: MinKeys})
			if err != nil {
				t.Fatal(err)
			}
			if !(r.Ours > 0 && r.RawValue > 0) {
				t.Errorf("ours is %v, and raw %v", r.Ours, r.RawValue)
			}
		})
	}
}

func TestRowsHaveNamesOfTheirOwnAndSayWhatTheyAre(t *testing.T) {
	var names []string
	for _, row := range Rows() {
		if row.Work == "" || row.Raw == "" || row.Unit == "" || row.Prepare == nil {
			t.Errorf("%s does not say all of itself", row.Name)
		}
		names = append(names, row.Name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("two rows have one name: %q", names)
	}
}

func TestRunSumsUpRepetitionsAndCleansUp(t *testing.T) {
	dir, n, closed := t.TempDir(), 0.0, 0
	row := Row{
		Name: "r", Goal: Goal{AtLeast: 0.5},
		Prepare: func(l *Lab) (Repetition, error) {
			l.Cleanup(func() error { closed++; return nil })
			if _, err := l.Dir(); err != nil {
				return nil, err
			}
			return func() (Pair, error) { n++; return Pair{Ours: n, Raw: 4}, nil }, nil
		},
	}
	r, err := Run(t.Context(), &row, Options{Dir: dir, Repetitions: 3})
	if err != nil {
		t.Fatal(err)
	}
	if least, greatest := r.Spread(); r.Ratio != 0.5 || least != 0.25 || greatest != 0.75 || !r.Reached {
		t.Errorf("1, 2, 3 of 4: %+v", r)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 || closed != 1 {
		t.Errorf("%v left in the folder, %d closed, %v", left, closed, err)
	}
}

func TestRunReportsWhoFailed(t *testing.T) {
	fault := errors.New("fault")
	failing := Row{Name: "mine", Prepare: func(*Lab) (Repetition, error) {
		return func() (Pair, error) { return Pair{}, fault }, nil
	}}
	if _, err := Run(t.Context(), &failing, Options{Dir: t.TempDir()}); !errors.Is(err, fault) || !strings.Contains(err.Error(), "mine") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, &Rows()[0], Options{Dir: t.TempDir(), Keys: MinKeys}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// result is a row's with these ratios, ascending.
func result(name string, g Goal, ratios ...float64) Result {
	return Result{
		Name: name, Ratio: median(ratios), Ratios: ratios, AtLeast: g.AtLeast, AtMost: g.AtMost,
		Reached: g.Reached(median(ratios)),
	}
}

func TestALossBeyondTheNoiseIsAnError(t *testing.T) {
	rate, cost := Goal{AtLeast: 0.9}, Goal{AtMost: 2}
	accepted := []Result{result("rate", rate, 0.9, 1, 1.1), result("cost", cost, 1.8, 2, 2.2), result("seen", Goal{}, 1, 1, 1)}
	for _, c := range []struct {
		now  Result
		lost bool
	}{
		{result("rate", rate, 0.85, 0.9, 1), false},
		{result("rate", rate, 0.6, 0.7, 0.9), false}, // one repetition did as well
		{result("rate", rate, 0.5, 0.6, 0.7), true},
		{result("cost", cost, 2.1, 2.2, 2.4), false},
		{result("cost", cost, 3, 3, 3), true},
		{result("seen", Goal{}, 0.1, 0.1, 0.1), false},
		{result("new", rate, 0.1, 0.1, 0.1), false},
	} {
		if err := c.now.CheckAccepted(accepted); (err != nil) != c.lost {
			t.Errorf("%s %v: %v", c.now.Name, c.now.Ratios, err)
		}
	}
}

func TestResultsAreReadAsTheyWereWritten(t *testing.T) {
	var b bytes.Buffer
	want := []Result{result("a", Goal{AtLeast: 1}, 1, 2), result("b", Goal{AtMost: 3}, 4)}
	for _, r := range want {
		if err := json.NewEncoder(&b).Encode(r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadResults(&b)
	if err != nil || len(got) != 2 || got[1].Name != "b" || got[1].AtMost != 3 || !slices.Equal(got[0].Ratios, []float64{1, 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"{}", `{"name":"a"}`, `{"name":"a","ratios":[1]} x`, `{"name":"a","ratios":[1`} {
		if _, err := ReadResults(strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzReadResults(f *testing.F) {
	f.Add([]byte(`{"name":"a","ratios":[1,2],"goal_at_least":0.5}`))
	f.Add([]byte(`{"name":"<&>","ratios":[0],"goal_at_most":1}` + "\n" + `{"name":"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		results, err := ReadResults(bytes.NewReader(b))
		if err != nil {
			return
		}
		for i := range results {
			_ = results[i].CheckAccepted(results)
		}
		var svg bytes.Buffer
		if err := Chart(&svg, results); err != nil {
			t.Fatal(err)
		}
		wellFormed(t, &svg)
	})
}

func wellFormed(t *testing.T, r io.Reader) (elements int) {
	t.Helper()
	for dec := xml.NewDecoder(r); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := token.(xml.StartElement); ok {
			elements++
		}
	}
}

func TestTheChartHasABarForEachGoal(t *testing.T) {
	var svg bytes.Buffer
	err := Chart(&svg, []Result{
		result("<rate>", Goal{AtLeast: 0.9}, 0.4, 0.5, 1.1), result("cost", Goal{AtMost: 2}, 1.5), result("seen", Goal{}, 1),
	})
	if err != nil {
		t.Fatal(err)
	}
	text := svg.String()
	if n := strings.Count(text, `height="12"`); n != 2 {
		t.Errorf("%d bars", n)
	}
	if !strings.Contains(text, "&lt;rate&gt;") || strings.Contains(text, "NaN") || strings.Contains(text, "seen") {
		t.Error(text)
	}
	wellFormed(t, &svg)
}
