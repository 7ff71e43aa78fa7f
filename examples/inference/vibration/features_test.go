package vibration

import (
	"math"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
)

// tone returns a sine of 1 g.
func tone(hertz float64) *Window {
	signal := make([]float64, WindowSamples)
	for i := range signal {
		signal[i] = exact.Sin(hertz * seconds(i))
	}
	return sample(signal)
}

func TestAToneHasItsTextbookShapeAndIsInItsBand(t *testing.T) {
	a := NewAnalyzer()
	for band, hertz := range []float64{8, 26, 44, 62, 90, 150, 300, 550, 900} {
		f := a.Features(tone(hertz))
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > 0.01 {
				t.Errorf("%v Hz: %s is %.4f, want %.4f", hertz, what, got, want)
			}
		}
		near("level", f[FeatureRMS], math.Sqrt(0.5))
		near("crest factor", f[1], math.Sqrt2)
		near("kurtosis", f[2]*f[2], 1.5)
		// All its power, a half, is in one band.
		near("band", math.Pow(f[3+band], 4), 0.5)
		for other := range signalBands {
			if other != band && math.Pow(f[3+other], 4) > 0.01 {
				t.Errorf("%v Hz: %.4f of the power leaks into band %d", hertz, f[3+other], other)
			}
		}
	}
}

// Parseval: what the bands hold is what the signal has.
func TestTheTransformKeepsThePower(t *testing.T) {
	rig, f := NewRig(Field, 3), newFourier(WindowSamples)
	w := rig.Window(Bearing)
	signal, windowed := make([]float64, WindowSamples), 0.0
	for i, s := range w {
		signal[i] = float64(s)
	}
	for i, x := range signal {
		windowed += x * x * f.hann[i] * f.hann[i]
	}
	sum := 0.0
	for _, p := range f.power(signal)[1:] {
		sum += p
	}
	if want := windowed / (0.375 * WindowSamples); math.Abs(sum/want-1) > 0.01 {
		t.Errorf("the bins sum up to %v, the windowed signal has %v", sum, want)
	}
}

func TestASilentSensorHasFeatures(t *testing.T) {
	f := NewAnalyzer().Features(new(Window))
	if *f != (Features{}) {
		t.Errorf("got %v, want zeros", *f)
	}
}

func TestTheConverterRoundsAndClips(t *testing.T) {
	signal := make([]float64, WindowSamples)
	signal[0], signal[1], signal[2], signal[3] = 100, -100, 1, -0.6/unitsPerG
	w := sample(signal)
	if got, want := [4]int16(w[:4]), [4]int16{math.MaxInt16, math.MinInt16, unitsPerG, -1}; got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
