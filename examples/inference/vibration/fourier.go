package vibration

import (
	"math/bits"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
)

// fourier is the fast Fourier transform of one size (Cooley and Tukey, 1965),
// with a Hann window before it so that a tone between two bins stays near.
type fourier struct {
	cos, sin []float64 // of the turns k/size
	hann     []float64
	re, im   []float64 // work space
}

// newFourier returns a transform of size samples, a power of two.
func newFourier(size int) *fourier {
	f := &fourier{
		cos: make([]float64, size/2), sin: make([]float64, size/2),
		hann: make([]float64, size),
		re:   make([]float64, size), im: make([]float64, size),
	}
	for k := range f.cos {
		f.cos[k] = exact.Cos(float64(k) / float64(size))
		f.sin[k] = exact.Sin(float64(k) / float64(size))
	}
	for i := range f.hann {
		f.hann[i] = 0.5 - float64(0.5*exact.Cos(float64(i)/float64(size)))
	}
	return f
}

// power returns the mean square that each frequency up to half the sample rate
// adds to the signal. What it returns is its own until the next call.
func (f *fourier) power(signal []float64) []float64 {
	size := len(signal)
	shift := 64 - bits.TrailingZeros(uint(size))
	for i, x := range signal {
		j := int(bits.Reverse64(uint64(i)) >> shift)
		f.re[j], f.im[j] = float64(x*f.hann[i]), 0
	}
	for half := 1; half < size; half *= 2 {
		f.butterflies(half)
	}
	// Two for the negative frequencies, 3/8 for what the window takes.
	scale := 2 / (0.375 * float64(size) * float64(size))
	power := f.re[:size/2]
	for k := range power {
		power[k] = float64(scale * exact.MulAdd(f.re[k], f.re[k], float64(f.im[k]*f.im[k])))
	}
	return power
}

// butterflies joins transforms of half samples into ones of twice that.
func (f *fourier) butterflies(half int) {
	size := len(f.re)
	step := size / (2 * half)
	for start := 0; start < size; start += 2 * half {
		for k := range half {
			c, s := f.cos[k*step], f.sin[k*step]
			i, j := start+k, start+k+half
			re := float64(f.re[j]*c) + float64(f.im[j]*s)
			im := float64(f.im[j]*c) - float64(f.re[j]*s)
			f.re[i], f.re[j] = f.re[i]+re, f.re[i]-re
			f.im[i], f.im[j] = f.im[i]+im, f.im[i]-im
		}
	}
}
