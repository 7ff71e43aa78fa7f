package transport

// Held returns how many nodes the network holds links with.
func (q *QUIC) Held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.links)
}
