package store

// DiskBytes returns how much disk the store takes, with what a compaction
// will free; 0 once it is closed.
func (s *Store) DiskBytes() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0
	}
	return s.engine.DB.Metrics().DiskSpaceUsage()
}
