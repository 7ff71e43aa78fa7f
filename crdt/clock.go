package crdt

// Timestamp is a hybrid logical clock reading: 48 bits of milliseconds since
// 1970 above 16 bits of a logical counter. It orders events that are
// concurrent, and nothing else: causality beats clocks.
//
// Kulkarni et al., "Logical Physical Clocks and Consistent Snapshots in
// Globally Distributed Databases", 2014.
type Timestamp uint64

const (
	logicalBits = 16
	maxMillis   = 1<<48 - 1
)

// TimestampOf returns the first timestamp of a millisecond since 1970; times
// before 1970 and after the year 10889 are clamped.
func TimestampOf(millis int64) Timestamp {
	return Timestamp(min(max(millis, 0), maxMillis)) << logicalBits
}

// Millis returns the wall part, in milliseconds since 1970.
func (t Timestamp) Millis() int64 { return int64(t >> logicalBits) }

// Clock is a hybrid logical clock. Time comes in as an argument, in
// milliseconds since 1970. Not safe for concurrent use.
type Clock struct {
	// MaxSkewMillis is how far ahead of the wall a foreign timestamp may
	// pull this clock. What is further ahead is stored and merged all the
	// same; the clock stays behind it.
	MaxSkewMillis int64

	last Timestamp
}

// Last returns the greatest reading so far.
func (c *Clock) Last() Timestamp { return c.last }

// Now returns a reading greater than all before it. A wall clock that steps
// back does not take it back.
func (c *Clock) Now(wallMillis int64) Timestamp {
	t := TimestampOf(wallMillis)
	if t <= c.last {
		t = c.last + 1
	}
	if t < c.last { // the counter ran over its last millisecond, in 10889
		t = c.last
	}
	c.last = t
	return t
}

// Observe takes note of a foreign timestamp, so that later readings exceed
// it, and reports whether it was further ahead of the wall than MaxSkewMillis:
// then the clock advances to that bound only.
func (c *Clock) Observe(t Timestamp, wallMillis int64) (skewed bool) {
	bound := TimestampOf(min(max(wallMillis, 0), maxMillis-c.MaxSkewMillis)+c.MaxSkewMillis) | (1<<logicalBits - 1)
	if t > bound {
		t, skewed = bound, true
	}
	c.last = max(c.last, t)
	return skewed
}
