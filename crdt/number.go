package crdt

import (
	"cmp"
	"math"
	"math/big"
)

// number is a msgpack number: an integer between math.MinInt64 and
// math.MaxUint64, or a float of either width.
type number struct {
	kind numberKind
	u    uint64  // kindUint
	i    int64   // kindNegative, below 0
	f    float64 // kindFloat
}

type numberKind byte

const (
	kindUint numberKind = iota
	kindNegative
	kindFloat
)

// parseNumber reads the one number in b, of any width, and reports whether
// there is one.
func parseNumber(b []byte) (number, bool) {
	r := NewReader(b)
	c := r.code()
	size, ok := scalarSize(c)
	body := r.take(size)
	if !ok || r.Done() != nil {
		return number{}, false
	}
	switch {
	case c < 0x80:
		return number{u: uint64(c)}, true
	case c >= 0xe0:
		return integer(int64(int8(c))), true
	case c == 0xca:
		return number{kind: kindFloat, f: float64(math.Float32frombits(uint32(bigEndian(body))))}, true
	case c == 0xcb:
		return number{kind: kindFloat, f: math.Float64frombits(bigEndian(body))}, true
	case c >= 0xcc && c <= 0xcf:
		return number{u: bigEndian(body)}, true
	case c >= 0xd0 && c <= 0xd3:
		return integer(signed(body)), true
	}
	return number{}, false
}

func integer(i int64) number {
	if i >= 0 {
		return number{u: uint64(i)}
	}
	return number{kind: kindNegative, i: i}
}

// isNaN reports whether x is a float that is no number.
func (x number) isNaN() bool { return x.kind == kindFloat && math.IsNaN(x.f) }

// int64 returns an integer that fits 64 bits with a sign.
func (x number) int64() (int64, bool) {
	switch x.kind {
	case kindUint:
		return int64(x.u), x.u <= math.MaxInt64
	case kindNegative:
		return x.i, true
	}
	return 0, false
}

// uint64 returns an integer that is not negative.
func (x number) uint64() (uint64, bool) { return x.u, x.kind == kindUint }

// float64 returns the nearest float.
func (x number) float64() float64 {
	switch x.kind {
	case kindUint:
		return float64(x.u)
	case kindNegative:
		return float64(x.i)
	}
	return x.f
}

// compare orders two numbers, neither of them NaN, by what they are, exactly:
// 1<<53 + 1 is greater than the float that is nearest to it.
func (x number) compare(y number) int {
	switch {
	case x.kind != y.kind && (x.kind == kindFloat || y.kind == kindFloat):
		return x.big().Cmp(y.big())
	case x.kind == kindFloat:
		return cmp.Compare(x.f, y.f)
	case x.kind != y.kind && x.kind == kindNegative:
		return -1
	case x.kind != y.kind:
		return 1
	case x.kind == kindNegative:
		return cmp.Compare(x.i, y.i)
	}
	return cmp.Compare(x.u, y.u)
}

func (x number) big() *big.Float {
	switch x.kind {
	case kindUint:
		return new(big.Float).SetUint64(x.u)
	case kindNegative:
		return new(big.Float).SetInt64(x.i)
	}
	return big.NewFloat(x.f)
}
