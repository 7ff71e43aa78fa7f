package main

import (
	"container/heap"
	"math/rand/v2"
)

// The modelled network. A link keeps the order of its frames and loses none, as
// QUIC does: what is lost below comes late, and what is behind it waits.
const (
	oneWayMillis = 25   // of every link
	packetBytes  = 1200 // a frame is in as many packets as it takes
	// lossMillis is what it costs until a lost packet is there after all: the
	// sender notices after a round trip and an eighth, and the packet goes again.
	lossMillis = 2*oneWayMillis + oneWayMillis/4
)

// clock does what is planned, in the order of virtual milliseconds.
type clock struct {
	now   int64
	count uint64
	due   deeds
}

type deed struct {
	at     int64
	number uint64 // what is due at one time is done in the order it was planned
	do     func()
}

func (c *clock) after(millis int64, do func()) {
	c.count++
	heap.Push(&c.due, deed{c.now + max(millis, 0), c.count, do})
}

// next does what is due next, and reports whether there was anything by a time.
func (c *clock) next(until int64) bool {
	if len(c.due) == 0 || c.due[0].at > until {
		c.now = max(c.now, until)
		return false
	}
	d := heap.Pop(&c.due).(deed)
	c.now = d.at
	d.do()
	return true
}

type deeds []deed

func (d deeds) Len() int { return len(d) }
func (d deeds) Less(i, j int) bool {
	return d[i].at < d[j].at || d[i].at == d[j].at && d[i].number < d[j].number
}
func (d deeds) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deeds) Push(x any)   { *d = append(*d, x.(deed)) }
func (d *deeds) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = deed{}
	*d = (*d)[:last]
	return x
}

// wire is one direction of a link.
type wire struct {
	arrives int64 // when the last frame does that is on its way
}

// delay draws how long a frame of so many bytes is on its way.
func (w *wire) delay(c *clock, chance *rand.Rand, bytes, lossPercent int) int64 {
	at := c.now + oneWayMillis
	for range 1 + bytes/packetBytes {
		late := int64(0)
		for chance.IntN(100) < lossPercent {
			late += lossMillis
		}
		at = max(at, c.now+oneWayMillis+late)
	}
	w.arrives = max(w.arrives, at)
	return w.arrives - c.now
}

// mesh returns the neighbours of n nodes: each is on two rings that are drawn at
// random, and so has four links, or fewer where the rings have one in common.
func mesh(n int, chance *rand.Rand) (links [][2]int) {
	seen := map[[2]int]bool{}
	for range 2 {
		ring := chance.Perm(n)
		for i, a := range ring {
			b := ring[(i+1)%n]
			l := [2]int{min(a, b), max(a, b)}
			if a != b && !seen[l] {
				seen[l] = true
				links = append(links, l)
			}
		}
	}
	return links
}
