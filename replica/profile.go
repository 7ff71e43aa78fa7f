package replica

import "fmt"

// Profile is how much memory a node may take for speed, where no field of
// Options says it. anabranch bench --run memory measures the small one against
// its budget, and what each of 1,000 peers takes at a hub. The caches of blocks and
// the memtables were chosen by what docs/scale.md shows; those of decoded records
// and of folds were reasoned.
//
// What a profile bounds is what the database holds. Go's collector lets garbage
// grow beside it, so a process that has a bound to keep sets the collector too:
// GCPercent and MemoryLimit say how.
type Profile int

const (
	// ProfileStandard suits a device or a container with 64 MiB to spare: a
	// cache of 16 MiB, memtables of 4 MiB.
	ProfileStandard Profile = iota
	// ProfileSmallDevice keeps a million keys and 8 peers in about 40 MiB of
	// resident memory, of which the program itself is more than half: a cache of
	// 4 MiB, memtables of 1 MiB, 1 MiB of decoded records, deltas held in memory
	// up to 1 MiB, 512 KiB received on a link and not applied yet, 32 handshakes at
	// a time, and 64 open files. Bulk comes in more slowly.
	ProfileSmallDevice
	// ProfileHub is for a node that thousands sync with: a cache of 64 MiB,
	// memtables of 16 MiB, 16 MiB of folds, 64 MiB of decoded records, and 1,024
	// open files. It keeps 68 MiB of the disk in reserve, where others keep 20
	// and 6.
	ProfileHub
)

// bounds are what a profile sets.
type bounds struct {
	name                                               string
	cacheBytes, memTableBytes, memos, recordCacheBytes int64
	stageBytes, openFiles                              int
	gcPercent                                          int
	memoryLimit                                        int64
	linkBytes                                          int64 // received on one link, and not applied yet
	handshakes                                         int   // of others, at a time
}

// profiles are the bounds of each. A memtable is flushed in one piece, so it
// and the deltas held in memory go with each other. The collector may let the heap
// grow by half only where memory is short of processor time: on a small device,
// and at a hub, where it grows with the peers.
var profiles = [...]bounds{
	ProfileStandard:    {"standard", 16 << 20, 4 << 20, 1 << 20, 4 << 20, 4 << 20, 256, 100, 0, linkBudgetBytes, 256},
	ProfileSmallDevice: {"small", 4 << 20, 1 << 20, 256 << 10, 1 << 20, 1 << 20, 64, 50, 24 << 20, 512 << 10, 32},
	ProfileHub:         {"hub", 64 << 20, 16 << 20, 16 << 20, 64 << 20, 4 << 20, 1024, 50, 0, linkBudgetBytes, 256},
}

// ParseProfile returns the profile of a name that String returns.
func ParseProfile(name string) (Profile, error) {
	for i := range profiles {
		if profiles[i].name == name {
			return Profile(i), nil
		}
	}
	return 0, fmt.Errorf("%w: profile %q, want standard, small or hub", ErrOptions, name)
}

// String returns its name: standard, small or hub.
func (p Profile) String() string {
	if !p.known() {
		return fmt.Sprintf("Profile(%d)", int(p))
	}
	return profiles[p].name
}

func (p Profile) known() bool { return p >= 0 && int(p) < len(profiles) }

// CacheBytes is what Options.CacheBytes is where it is not set.
func (p Profile) CacheBytes() int64 { return profiles[p].cacheBytes }

// MemTableBytes is what Options.MemTableBytes is where it is not set.
func (p Profile) MemTableBytes() int64 { return profiles[p].memTableBytes }

// GCPercent is what to give runtime/debug.SetGCPercent, or GOGC.
func (p Profile) GCPercent() int { return profiles[p].gcPercent }

// MemoryLimit is what to give runtime/debug.SetMemoryLimit, or GOMEMLIMIT, in
// bytes; 0: no limit. The process may need it for itself too: then more.
func (p Profile) MemoryLimit() int64 { return profiles[p].memoryLimit }

// bound fills in what the embedder left to the profile.
func (o *Options) bound() error {
	if !o.Profile.known() {
		return fmt.Errorf("%w: there is no %v", ErrOptions, o.Profile)
	}
	b := &profiles[o.Profile]
	for _, f := range []struct {
		field *int64
		value int64
	}{{&o.CacheBytes, b.cacheBytes}, {&o.MemTableBytes, b.memTableBytes}, {&o.MemoBytes, b.memos}, {&o.RecordCacheBytes, b.recordCacheBytes}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	return nil
}
