package transport

import "syscall"

// The options that set a buffer beyond the system's limit, for a process that
// may.
const (
	receiveBuffer = syscall.SO_RCVBUFFORCE
	sendBuffer    = syscall.SO_SNDBUFFORCE
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
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, n)
		})
	}
}
