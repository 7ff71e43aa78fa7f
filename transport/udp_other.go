//go:build !linux

package transport

const (
	receiveBuffer = iota
	sendBuffer
)

// forceBuffer sets a buffer's size as near to n as the system lets it. What
// it does not let is no error: bulk is slower with a small buffer, and that
// is all.
func forceBuffer(c udpConn, n, option int) {
	if option == receiveBuffer {
		_ = c.SetReadBuffer(n)
	} else {
		_ = c.SetWriteBuffer(n)
	}
}
