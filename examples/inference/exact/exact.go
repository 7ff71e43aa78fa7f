package exact

import "math"

// MulAdd returns a*b + c, rounded twice.
func MulAdd(a, b, c float64) float64 { return float64(a*b) + c }

// Dot returns the sum of the products of a and b, added up in order. b must
// be at least as long as a.
func Dot(a, b []float64) float64 {
	sum := 0.0
	for i, x := range a {
		sum = MulAdd(x, b[i], sum)
	}
	return sum
}

// Unit spreads the upper bits of a random word evenly from 0 up to, not
// including, 1.
func Unit(word uint64) float64 { return float64(float64(word>>11) / (1 << 53)) }

// Sin returns the sine of an angle in turns: Sin(0.25) is 1.
func Sin(turns float64) float64 {
	x := turns - math.Floor(turns)
	switch {
	case x > 0.5:
		return -Sin(x - 0.5)
	case x > 0.25:
		x = 0.5 - x
	}
	r := 2 * math.Pi * x // 0 to pi/2
	// The Taylor series by Horner's rule; the first term left out is below
	// (pi/2)^23/23! = 1e-18.
	square, sum := r*r, 1.0
	for n := 21.0; n > 1; n -= 2 {
		sum = 1 - float64(square*sum)/(n*(n-1))
	}
	return float64(r * sum)
}

// Cos returns the cosine of an angle in turns.
func Cos(turns float64) float64 { return Sin(turns + 0.25) }

// Exp returns e to the x: 0 below the range of float64, +Inf above it.
func Exp(x float64) float64 {
	// The high part of ln 2 has its last 21 bits clear, so that n times it
	// is exact, and what is left after the reduction has all its bits.
	const high, low = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	switch {
	case x != x:
		return x
	case x > 710:
		return math.Inf(1)
	case x < -746:
		return 0
	}
	n := math.Floor(x/math.Ln2 + 0.5)
	r := x - float64(n*high) - float64(n*low) // at most ln(2)/2, either way
	// The Taylor series by Horner's rule; the first term left out is below
	// 0.35^15/15! = 1e-19.
	sum := 1.0
	for k := 14.0; k > 0; k-- {
		sum = 1 + float64(r*sum)/k
	}
	return math.Ldexp(sum, int(n))
}
