package sim_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/internal/fuzz"
	"github.com/anabranch-db/anabranch/replica/sim"
	"github.com/anabranch-db/anabranch/replica/sim/simtest"
)

// What was found once stays mended: each transcript is a run that failed.
func TestRunsThatFailedOnce(t *testing.T) { simtest.Replay(t, "testdata/*.txt", everything) }

func TestATranscriptSaysWhatIsWrongWithIt(t *testing.T) {
	head := "anabranch simulation 1\nseed 1\nnodes 2\nnamespaces a b\nolder 0\n"
	for text, want := range map[string]string{
		"":                               `ends before "anabranch"`,
		"# only words\n":                 `ends before "anabranch"`,
		"anabranch simulation 2":         "line 1: it is of another version",
		"seed 1":                         `line 1: "seed" where "anabranch" is due`,
		"anabranch simulation 1\nseed x": `line 2: want a number from 0 to 18446744073709551615, not "x"`,
		"anabranch simulation 1\nseed":   "line 2: want one number",
		"anabranch simulation 1\nseed 1\n\nnodes 65":              `line 4: want a number from 1 to 64, not "65"`,
		"anabranch simulation 1\nseed 1\nnodes 0":                 "line 3: want a number from 1",
		"anabranch simulation 1\nseed 1\nnodes 1\nnamespaces":     "line 4: want 1 to 8 names",
		"anabranch simulation 1\nseed 1\nnodes 1\nnamespaces b a": "line 4: want 1 to 8 names",
		"anabranch simulation 1\nseed 1\nnodes 1\nnamespaces a a": "line 4: want 1 to 8 names",
		head + "at 1 explode 0 0 0":                               `line 6: nothing called "explode" happens`,
		head + "partial 1001":                                     `line 6: want a number from 0 to 1000, not "1001"`,
		head + "at 1 crash 0 0":                                   "line 6: want: at MILLISECONDS",
		head + "at 1 crash 99 0 0":                                "line 6: want a number from 0 to 64",
		head + "at -1 crash 0 0 0":                                "line 6: want a number from 0",
		head + "after 1 crash 0 0 0":                              "line 6: want: at MILLISECONDS",
	} {
		var p sim.Plan
		err := p.UnmarshalText([]byte(text))
		if !errors.Is(err, sim.ErrTranscript) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func FuzzTranscript(f *testing.F) {
	plan := sim.NewPlan(1, sim.Faults)
	for _, plan.Partial = range []int{0, 300} {
		text, err := plan.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	fuzz.Decoder(f, 128, func(t *testing.T, text []byte) {
		var p, again sim.Plan
		if err := p.UnmarshalText(text); err != nil {
			if !errors.Is(err, sim.ErrTranscript) {
				t.Fatal(err)
			}
			return
		}
		out, err := p.MarshalText()
		if err == nil {
			err = again.UnmarshalText(out)
		}
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v (%v)", p, again, err)
		}
	})
}
