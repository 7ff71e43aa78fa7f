package protocol

// Chain keeps the rule that a delta is not applied once one before it, which
// it builds on, has failed. An executor keeps one per link and namespace,
// next to where it applies. The zero value is ready. Not safe for concurrent
// use.
type Chain struct {
	broken bool
	epoch  uint64
}

// Admits reports whether the effect may be carried out. If not, it is thrown
// away without an event.
func (c *Chain) Admits(a Apply) bool { return !c.broken || a.Epoch != c.epoch }

// Fail records that the delta of a failed.
func (c *Chain) Fail(a Apply) { c.broken, c.epoch = true, a.Epoch }
