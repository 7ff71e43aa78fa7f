package vibration

import (
	"math"
	"math/rand/v2"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
)

const (
	// SampleRate is in samples a second: twice the highest frequency that a
	// cheap accelerometer passes.
	SampleRate = 2048
	// WindowSamples is half a second: a dozen turns of the shaft, and a power
	// of two for the Fourier transform.
	WindowSamples = 1024
	// unitsPerG is the converter's scale: it clips at 16 g.
	unitsPerG = 2048
	// ballPass is how many balls pass a point of the outer race in one turn
	// of the shaft, for a bearing of nine balls.
	ballPass = 3.58
)

// Window is what one reading of the sensor gives.
type Window [WindowSamples]int16

// Conditions are what the windows of a rig have in common.
type Conditions struct {
	MinSpeed, MaxSpeed       float64 // of the shaft, in turns a second
	MinSeverity, MaxSeverity float64 // of a fault: at 0 nobody could tell, 1 is a wreck
	Noise                    float64 // of the sensor and its mounting, in g
}

// The places that the example measures at.
var (
	// Bench is the test stand: one speed, faults that are plain to see.
	Bench = Conditions{MinSpeed: 24.5, MaxSpeed: 25.5, MinSeverity: 0.6, MaxSeverity: 1, Noise: 0.02}
	// Field is where the pumps work: all speeds, faults from their first
	// signs on, and other machines that shake the floor.
	Field = Conditions{MinSpeed: 18, MaxSpeed: 32, MinSeverity: 0.12, MaxSeverity: 1, Noise: 0.06}
)

// Rig makes windows. It is not safe for concurrent use.
type Rig struct {
	at     Conditions
	random *rand.PCG // the source itself: its numbers are fixed for ever
}

// NewRig returns a rig whose windows follow from seed.
func NewRig(at Conditions, seed uint64) *Rig {
	return &Rig{at: at, random: rand.NewPCG(seed, 0)}
}

// Window returns half a second of a machine that has the fault.
func (r *Rig) Window(fault Fault) *Window {
	speed := r.between(r.at.MinSpeed, r.at.MaxSpeed)
	severity := r.between(r.at.MinSeverity, r.at.MaxSeverity)
	signal := make([]float64, WindowSamples) // in g
	r.noise(signal, r.at.Noise)
	// What every machine has: some imbalance, some misalignment, the net.
	r.sine(signal, speed, r.between(0.03, 0.08)*square(speed/25))
	r.sine(signal, 2*speed, r.between(0.01, 0.04))
	r.sine(signal, 100, r.between(0.005, 0.02))
	switch fault {
	case Imbalance:
		r.sine(signal, speed, 0.8*severity*square(speed/25))
	case Looseness:
		r.rattle(signal, speed, severity)
	case Bearing:
		r.ring(signal, speed, severity)
	}
	return sample(signal)
}

// sample is the converter: it rounds, and clips at the ends of its range.
func sample(signal []float64) *Window {
	w := new(Window)
	for i, g := range signal {
		units := math.Floor(exact.MulAdd(g, unitsPerG, 0.5))
		w[i] = int16(min(max(units, math.MinInt16), math.MaxInt16))
	}
	return w
}

// sine adds a sine of some phase. The amplitude is in g.
func (r *Rig) sine(signal []float64, hertz, amplitude float64) {
	phase := r.unit()
	for i := range signal {
		signal[i] = exact.MulAdd(amplitude, exact.Sin(float64(hertz*seconds(i))+phase), signal[i])
	}
}

// rattle adds the harmonics and half-harmonics of a foot that lifts and falls,
// and cuts off what would go beyond its stop.
func (r *Rig) rattle(signal []float64, speed, severity float64) {
	amplitude := 0.25 * severity
	for harmonic := 1.0; harmonic <= 6; harmonic++ {
		r.sine(signal, harmonic*speed, float64(amplitude*r.between(0.6, 1.2))/harmonic)
		r.sine(signal, (harmonic-0.5)*speed, float64(amplitude*r.between(0.2, 0.5))/harmonic)
	}
	stop := r.between(0.35, 0.5)
	for i, g := range signal {
		signal[i] = min(g, stop)
	}
}

// ring adds a shock for each ball that passes the pit, and what the housing
// makes of it: an oscillation at its resonance that dies away in milliseconds.
func (r *Rig) ring(signal []float64, speed, severity float64) {
	resonance, decay := r.between(600, 800), r.between(150, 300)
	period := 1 / (ballPass * speed)
	for shock := -period * r.unit(); shock < seconds(WindowSamples); {
		amplitude := 1.2 * float64(severity*r.between(0.7, 1.3))
		for i := range signal {
			since := seconds(i) - shock
			if since < 0 {
				continue
			}
			if since > 0.05 { // by then it is below a thousandth
				break
			}
			wave := float64(exact.Exp(-decay*since) * exact.Sin(resonance*since))
			signal[i] = exact.MulAdd(amplitude, wave, signal[i])
		}
		shock += float64(period * r.between(0.98, 1.02)) // the balls slip
	}
}

// noise adds what is nearly Gaussian: the sum of twelve uniform numbers has a
// variance of one, and is exact. The level is its standard deviation, in g.
func (r *Rig) noise(signal []float64, level float64) {
	for i := range signal {
		sum := -6.0
		for range 12 {
			sum += r.unit()
		}
		signal[i] = exact.MulAdd(level, sum, signal[i])
	}
}

func (r *Rig) unit() float64 { return exact.Unit(r.random.Uint64()) }

func (r *Rig) between(low, high float64) float64 { return exact.MulAdd(high-low, r.unit(), low) }

func seconds(sample int) float64 { return float64(float64(sample) / SampleRate) }

func square(x float64) float64 { return float64(x * x) }
