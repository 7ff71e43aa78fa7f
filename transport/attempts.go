package transport

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// attempts counts tries to join per address, as token buckets: what an
// address may still try grows back with time. QUIC has validated the address.
type attempts struct {
	mu      sync.Mutex
	now     func() time.Time
	buckets map[netip.Prefix]bucket
}

// bucket is what is left of an address's attempts.
type bucket struct {
	left float64
	at   time.Time // when that was so
}

func newAttempts() *attempts {
	return &attempts{now: time.Now, buckets: map[netip.Prefix]bucket{}}
}

// take uses up one attempt of an address, and reports whether there was one.
func (a *attempts) take(from net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	key, now := prefixOf(from), a.now()
	b, known := a.buckets[key]
	if !known && len(a.buckets) >= maxAttemptAddrs && !a.forget(now) {
		return false
	}
	left := attemptBurst + 0.0
	if known {
		left = b.leftAt(now)
	}
	if left < 1 {
		return false
	}
	a.buckets[key] = bucket{left - 1, now}
	return true
}

// giveBack returns an attempt that was a success.
func (a *attempts) giveBack(from net.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := prefixOf(from)
	if b, ok := a.buckets[key]; ok {
		a.buckets[key] = bucket{min(attemptBurst, b.left+1), b.at}
	}
}

// leftAt returns what is left at a later time.
func (b bucket) leftAt(now time.Time) float64 {
	return min(attemptBurst, b.left+now.Sub(b.at).Seconds()/attemptInterval.Seconds())
}

// forget drops the addresses that have all their attempts again, and reports
// whether there were any.
func (a *attempts) forget(now time.Time) bool {
	before := len(a.buckets)
	for key, b := range a.buckets {
		if b.leftAt(now) >= attemptBurst {
			delete(a.buckets, key)
		}
	}
	return len(a.buckets) < before
}

// prefixOf returns what one party controls: an IPv4 address, or the 64 bits
// of an IPv6 network.
func prefixOf(addr net.Addr) netip.Prefix {
	udp, ok := addr.(*net.UDPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := udp.AddrPort().Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil { // no address at all
		return netip.Prefix{}
	}
	return p
}
