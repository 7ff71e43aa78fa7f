package sim

// Draw is a stream of chance: what it gives follows from the seed of the run
// and from what it is for, and from nothing that was drawn elsewhere. So taking
// one happening out of a run leaves the others what they were, and a failing
// run can be made small. It is a rand.Source of math/rand/v2. Not safe for
// concurrent use.
//
// Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
type Draw struct{ state uint64 }

const golden = 0x9e3779b97f4a7c15

// newDraw returns the stream for a purpose.
func newDraw(seed uint64, what string, parts ...uint64) Draw {
	h := mix(seed + golden)
	for i := range len(what) {
		h = (h ^ uint64(what[i])) * 0x100000001b3
	}
	for _, p := range parts {
		h = mix(h + golden ^ p)
	}
	return Draw{mix(h)}
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Uint64 returns the next 64 bits.
func (d *Draw) Uint64() uint64 {
	d.state += golden
	return mix(d.state)
}

// IntN returns a number from 0 up to below n, which is at least 1.
func (d *Draw) IntN(n int) int { return int(d.Uint64() % uint64(n)) }

// In reports true n times in a thousand.
func (d *Draw) In(perMille int) bool { return d.IntN(1000) < perMille }

// pick returns one of all.
func pick[T any](d *Draw, all ...T) T { return all[d.IntN(len(all))] }
