package vibration

import (
	"math"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
)

// FeatureCount is the number of features of a window.
const FeatureCount = 3 + signalBands + envelopeBands

const (
	signalBands   = 9
	envelopeBands = 4
	// FeatureRMS is the index of the level: its unit is g.
	FeatureRMS = 0
)

// Features describe a window: the level (RMS, in g), the crest factor, the
// kurtosis, and the root of the amplitude in each band of the spectrum and of
// the envelope's spectrum. The root brings faults of different severity
// closer together.
type Features [FeatureCount]float64

// The upper ends of the bands in Hz; each begins where the one before ends.
// The first are about the shaft's halves and harmonics, the last about the
// housing's resonance; the envelope's third is where balls pass.
var (
	bandEnds     = [signalBands]int{16, 34, 52, 72, 110, 200, 400, 700, 1024}
	envelopeEnds = [envelopeBands]int{34, 60, 120, 250}
)

// Analyzer turns windows into features. It keeps its work space, so it is not
// safe for concurrent use.
type Analyzer struct {
	fourier *fourier
	signal  []float64
}

// NewAnalyzer returns an analyzer.
func NewAnalyzer() *Analyzer {
	return &Analyzer{fourier: newFourier(WindowSamples), signal: make([]float64, WindowSamples)}
}

// Features returns the features of w.
func (a *Analyzer) Features(w *Window) *Features {
	f := new(Features)
	a.load(w)
	level, peak, kurtosis := shape(a.signal)
	f[FeatureRMS] = level
	if level > 0 {
		f[1] = peak / level
	}
	f[2] = math.Sqrt(kurtosis)
	a.bands(f[3:3+signalBands], bandEnds[:])
	// The envelope: without its sign, a ringing is a bump a shock.
	for i, x := range a.signal {
		a.signal[i] = math.Abs(x)
	}
	center(a.signal)
	a.bands(f[3+signalBands:], envelopeEnds[:])
	return f
}

// load brings w into a.signal, in g and about zero.
func (a *Analyzer) load(w *Window) {
	for i, s := range w {
		a.signal[i] = float64(s) / unitsPerG
	}
	center(a.signal)
}

// bands writes the root of the signal's amplitude in each band.
func (a *Analyzer) bands(into []float64, ends []int) {
	power := a.fourier.power(a.signal)
	bin := 1 // bin 0 is the mean, which is zero
	for i, end := range ends {
		sum := 0.0
		for ; bin < len(power) && bin*SampleRate < end*WindowSamples; bin++ {
			sum += power[bin]
		}
		into[i] = math.Sqrt(math.Sqrt(sum))
	}
}

// center takes the mean away.
func center(signal []float64) {
	mean := 0.0
	for _, x := range signal {
		mean += x
	}
	mean /= float64(len(signal))
	for i := range signal {
		signal[i] -= mean
	}
}

// shape returns the root of the mean square, the greatest magnitude, and the
// kurtosis: the mean fourth power over the squared mean square. It is 1.5 for
// a sine, 3 for noise, and far more for shocks.
func shape(signal []float64) (level, peak, kurtosis float64) {
	second, fourth := 0.0, 0.0
	for _, x := range signal {
		xx := float64(x * x)
		second += xx
		fourth = exact.MulAdd(xx, xx, fourth)
		peak = max(peak, math.Abs(x))
	}
	n := float64(len(signal))
	second, fourth = second/n, fourth/n
	if second > 0 {
		kurtosis = fourth / float64(second*second)
	}
	return math.Sqrt(second), peak, kurtosis
}
