package transport

import (
	"net"

	"golang.org/x/net/ipv4"
)

// ReadBatch reads packets. It is how quic-go reads where the system has
// batches. A packet that would begin a connection, from an address that is kept
// out, is blanked, which quic-go passes over: a refusal costs keys, and is heard
// at once by one who comes again at once.
func (s *socket) ReadBatch(packets []ipv4.Message, flags int) (int, error) {
	n, err := s.batch.ReadBatch(packets, flags)
	for i := range packets[:max(n, 0)] {
		p := &packets[i]
		if begins(p.Buffers[0][:p.N]) && !s.hears(p.Addr) {
			p.N = 0
		}
	}
	return n, err
}

// hears reports whether a connection from an address may begin.
func (s *socket) hears(from net.Addr) bool {
	p := s.penalties.Load()
	return p == nil || p.hears(from)
}

// begins reports whether a packet is of the first that a client sends: it names
// the connection by at least 8 random bytes, where ours have names of 4 bytes
// (RFC 9000, 7.2 and 17.2).
func begins(packet []byte) bool {
	const longHeader, leastRandom, idLength = 0x80, 8, 5
	return len(packet) > idLength && packet[0]&longHeader != 0 && packet[idLength] >= leastRandom
}
