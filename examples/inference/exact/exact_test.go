package exact_test

import (
	"math"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/exact"
)

func TestTheFunctionsAreAsAccurateAsTheySay(t *testing.T) {
	const bound = 1e-14
	for i := -4000; i <= 4000; i++ {
		x := float64(i) / 1000
		if got, want := exact.Sin(x), math.Sin(2*math.Pi*x); math.Abs(got-want) > bound {
			t.Fatalf("Sin(%v) = %v, want %v", x, got, want)
		}
		if got, want := exact.Cos(x), math.Cos(2*math.Pi*x); math.Abs(got-want) > bound {
			t.Fatalf("Cos(%v) = %v, want %v", x, got, want)
		}
		if got, want := exact.Exp(100*x), math.Exp(100*x); math.Abs(got/want-1) > bound {
			t.Fatalf("Exp(%v) = %v, want %v", 100*x, got, want)
		}
	}
}

func TestExpKeepsItsEnds(t *testing.T) {
	for x, want := range map[float64]float64{
		0: 1, math.Inf(1): math.Inf(1), math.Inf(-1): 0, 1000: math.Inf(1), -1000: 0,
	} {
		if got := exact.Exp(x); got != want {
			t.Errorf("Exp(%v) = %v, want %v", x, got, want)
		}
	}
	if got := exact.Exp(math.NaN()); got == got {
		t.Errorf("Exp(NaN) = %v, want NaN", got)
	}
}

// The bits below were the same on amd64 and on arm64. They change when the
// arithmetic does, and then the shipped weights have to be trained anew.
func TestTheBitsAreTheSameOnEveryMachine(t *testing.T) {
	sum := uint64(14695981039346656037) // FNV-1a, over whole words
	mix := func(x float64) { sum = (sum ^ math.Float64bits(x)) * 1099511628211 }
	dot := 0.0
	for i := range 1000 {
		x := float64(i)/97 - 5
		mix(exact.Sin(x))
		mix(exact.Exp(x))
		dot = exact.MulAdd(exact.Cos(x), exact.Exp(-x), dot)
		mix(dot)
	}
	if want := uint64(0xbfabc25de9c47eb3); sum != want {
		t.Errorf("the bits fold to %#x, want %#x", sum, want)
	}
}
