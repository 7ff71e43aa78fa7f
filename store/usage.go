package store

// DiskUsage is how much disk a store takes, in bytes.
type DiskUsage struct {
	// Tables is what holds the records, with what a compaction will free.
	Tables uint64
	// Logs is what write-ahead logs take: those in use are made at their full
	// size.
	Logs uint64
	// Reserve is held back for what is under way when the disk is full.
	Reserve uint64
}

// Total returns all of it.
func (u DiskUsage) Total() uint64 { return u.Tables + u.Logs + u.Reserve }

// DiskUsage returns how much disk the store takes; nothing once it is closed.
func (s *Store) DiskUsage() (u DiskUsage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return u
	}
	e := s.engine
	m := e.DB.Metrics()
	logs := m.WAL.PhysicalSize + m.WAL.ObsoletePhysicalSize
	u.Tables = m.DiskSpaceUsage() - logs
	u.Logs = max(logs, uint64(m.WAL.Files+m.WAL.ObsoleteFiles)*uint64(walBytes(int64(e.backlog.memTables/maxMemTables))))
	if !e.faults.full.Load() {
		u.Reserve = uint64(e.ballast.bytes)
	}
	return u
}
