package store

import (
	"hash/maphash"
	"math/bits"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/anabranch-db/anabranch/crdt"
)

// recordCache holds decoded records of all namespaces of a store, those that
// are read over and over. A read of one takes no lock and allocates nothing.
//
// It is ours since no library has what it takes: that a record counts from a
// commit on, for readers at different commits, and that it leaves before the
// commit that writes it is visible.
//
// Sets of eight are found by hash. What is read once is only noted, as one of
// the last eight of its set; read again it is let in, so that a scan of single
// reads costs the rest nothing. What was not read since the hand last came by
// leaves first (the CLOCK rule). Safe for concurrent use.
type recordCache struct {
	limit int64
	used  atomic.Int64
	seed  maphash.Seed
	users atomic.Uint32               // namespaces that were opened so far
	pages []atomic.Pointer[cachePage] // a power of two of them; made when first used

	evicting sync.Mutex
	hand     int // the next set to look at
}

// cachePage is sets that are made together.
type cachePage [cachePageSets]cacheSet

// cacheSet is records whose hashes have their lower bits in common.
type cacheSet struct {
	tags   atomic.Uint64 // a byte of each record's hash; 0: none there
	noted  atomic.Uint64 // the same of what was read once; the last in the lowest byte
	mu     sync.Mutex    // for who changes it, but for noted
	hand   uint8         // the next slot to look at
	places [cacheWays]atomic.Pointer[cachedRecord]
}

// cachedRecord is a record as it is from a commit on. It never changes, but for
// read.
type cachedRecord struct {
	hash   uint64
	number uint32 // of the cachedRecords
	size   int32
	since  uint64
	read   atomic.Bool // since the hand came by
	idle   uint8       // how many commits wrote it with no read before each
	key    crdt.Key
	rec    crdt.Record
	one    [1]crdt.Event // where rec is, if it has one event
}

// cachedBytes is what a cached record takes beside its key and events, and
// eventBytes what an event does beside its value.
const (
	cachedBytes = int(unsafe.Sizeof(cachedRecord{})) + 16
	eventBytes  = int(unsafe.Sizeof(crdt.Event{})) + 32
)

func newRecordCache(limit int64) *recordCache {
	sets := max(limit/cacheSetBytes, cachePageSets)
	pages := 1 << (bits.Len64(uint64(sets/cachePageSets)) - 1)
	return &recordCache{limit: limit, seed: maphash.MakeSeed(), pages: make([]atomic.Pointer[cachePage], pages)}
}

// set returns the set of a hash, or nil if there is none yet.
func (c *recordCache) set(hash uint64) *cacheSet {
	page := c.pages[hash/cachePageSets&uint64(len(c.pages)-1)].Load()
	if page == nil {
		return nil
	}
	return &page[hash%cachePageSets]
}

// makeSet returns the set of a hash.
func (c *recordCache) makeSet(hash uint64) *cacheSet {
	if s := c.set(hash); s != nil {
		return s
	}
	if c.pages[hash/cachePageSets&uint64(len(c.pages)-1)].CompareAndSwap(nil, new(cachePage)) {
		c.used.Add(int64(unsafe.Sizeof(cachePage{})))
	}
	return c.set(hash)
}

// tagOf returns the byte that stands for a hash in its set.
func tagOf(hash uint64) uint64 { return max(hash>>56, 1) }

const (
	lowBits  = 0x0101010101010101
	highBits = lowBits << 7
)

// matches returns a word with the high bit of each byte set that is the tag. A
// byte above one that is may be set, too.
func matches(word, tag uint64) uint64 {
	x := word ^ tag*lowBits
	return (x - lowBits) &^ x & highBits
}

// find returns the record of a key in the set, and its place, or nil.
func (s *cacheSet) find(hash uint64, number uint32, k crdt.Key) (*cachedRecord, int) {
	for m := matches(s.tags.Load(), tagOf(hash)); m != 0; m &= m - 1 {
		at := bits.TrailingZeros64(m) / 8
		r := s.places[at].Load()
		if r != nil && r.hash == hash && r.number == number && r.key == k {
			return r, at
		}
	}
	return nil, 0
}

// place puts a record, or nil, in a place, and returns the bytes that this
// adds. The caller holds mu.
func (s *cacheSet) place(at int, r *cachedRecord) (grown int64) {
	if old := s.places[at].Swap(r); old != nil {
		grown -= int64(old.size)
	}
	tag := uint64(0)
	if r != nil {
		tag = tagOf(r.hash)
		grown += int64(r.size)
	}
	shift := 8 * at
	s.tags.Store(s.tags.Load()&^(0xff<<shift) | tag<<shift)
	return grown
}

// choose returns a place for another record: a free one, else that of one that
// was not read since the hand came by. The caller holds mu.
func (s *cacheSet) choose() int {
	for range 2 * cacheWays {
		at := int(s.hand) % cacheWays
		s.hand++
		if r := s.places[at].Load(); r == nil || !r.read.Swap(false) {
			return at
		}
	}
	return int(s.hand) % cacheWays // all of them are read all the time
}

// trim makes room. It passes each set twice at most: what is read meanwhile
// stays read.
func (c *recordCache) trim() {
	c.evicting.Lock()
	defer c.evicting.Unlock()
	all := len(c.pages) * cachePageSets
	for n := 0; n < 2*all && c.used.Load() > c.limit; n++ {
		c.hand = (c.hand + 1) % all
		page := c.pages[c.hand/cachePageSets].Load()
		if page == nil {
			n += cachePageSets - c.hand%cachePageSets - 1
			c.hand |= cachePageSets - 1
			continue
		}
		c.used.Add(page[c.hand%cachePageSets].pass())
	}
}

// pass removes what was not read since the last pass, and returns the bytes that
// this adds.
func (s *cacheSet) pass() (grown int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := range s.places {
		if r := s.places[at].Load(); r != nil && !r.read.Swap(false) {
			grown += s.place(at, nil)
		}
	}
	return grown
}

// cachedRecords are those of one namespace, for as long as it is open: opened
// again, as after a Drop that failed, it counts its commits anew, and what its
// disk holds may be something else.
//
// A record that a reader at commit c has read counts from c on, and is put only
// if no commit after c has written a key like it; each commit says what it
// writes, and takes it out, before it is visible. So what a reader at c finds
// that counts from c or before is what it would read: a commit in between would
// have taken it out, before there was a reader at c. What an own commit took
// out it puts in as it is from then on, once it is visible (recordcache_own.go).
type cachedRecords struct {
	cache  *recordCache
	number uint32
	// floor is the last commit that wrote too much to tell: what counts from
	// before it is no record any more.
	floor atomic.Uint64
	// wrotes are the last commits that wrote a key with that in its hash.
	wrotes [cacheStripes]atomic.Uint64
	taken  []takenRecord // by the own commit under way; under commits
}

func (c *cachedRecords) init(cache *recordCache) {
	c.cache, c.number = cache, cache.users.Add(1)
}

func (c *cachedRecords) hash(k crdt.Key) uint64 {
	return maphash.String(c.cache.seed, string(k)) ^ uint64(c.number)*0x9e3779b97f4a7c15
}

func (c *cachedRecords) stripe(hash uint64) *atomic.Uint64 {
	return &c.wrotes[hash>>32%cacheStripes]
}

// get returns a record for a reader at a commit.
func (c *cachedRecords) get(k crdt.Key, commit uint64) (crdt.Record, bool) {
	hash := c.hash(k)
	s := c.cache.set(hash)
	if s == nil {
		return nil, false
	}
	r, _ := s.find(hash, c.number, k)
	if r == nil || r.since > commit || r.since < c.floor.Load() {
		return nil, false
	}
	if !r.read.Load() {
		r.read.Store(true)
	}
	return r.rec, true
}

// admits reports whether a record that was not found is to be put once it is
// read: it was read before, not long ago.
func (c *cachedRecords) admits(k crdt.Key) bool {
	hash := c.hash(k)
	s := c.cache.makeSet(hash)
	noted := s.noted.Load()
	if matches(noted, tagOf(hash)) != 0 {
		return true
	}
	s.noted.Store(noted<<8 | tagOf(hash)) // one that is lost is noted the next time
	return false
}

// put takes a record that was read at a commit. It must not be modified any more.
func (c *cachedRecords) put(k crdt.Key, rec crdt.Record, commit uint64) {
	size := cachedBytes + len(k)
	for i := range rec {
		size += eventBytes + len(rec[i].Value) + len(rec[i].Ext)
	}
	if int64(size) > c.cache.limit/cacheShare {
		return
	}
	r := &cachedRecord{hash: c.hash(k), number: c.number, size: int32(size), since: commit, key: crdt.Key(strings.Clone(string(k))), rec: rec}
	if len(rec) == 1 {
		r.one[0] = rec[0]
		r.rec = r.one[:]
	}
	c.keep(r)
}

// keep puts a record in its place, and makes room for it.
func (c *cachedRecords) keep(r *cachedRecord) {
	if c.cache.used.Add(c.enter(r)) > c.cache.limit {
		c.cache.trim()
	}
}

// enter puts a record in its place, and returns the bytes that this adds.
func (c *cachedRecords) enter(r *cachedRecord) (grown int64) {
	s := c.cache.makeSet(r.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.since < c.stripe(r.hash).Load() || r.since < c.floor.Load() {
		return 0
	}
	old, at := s.find(r.hash, r.number, r.key)
	if old == nil {
		at = s.choose()
	} else if old.since <= r.since && old.since >= c.floor.Load() {
		return 0
	}
	return s.place(at, r)
}

// wrote takes out what a commit writes, which is not visible yet and may never
// be: then the next one has its number. The caller holds commits.
func (c *cachedRecords) wrote(commit uint64, w *writes) {
	if w.any {
		c.floor.Store(commit)
		return
	}
	if len(w.own) > 0 {
		c.wroteOwn(commit, w.own)
		return
	}
	for k := range w.all {
		c.take(commit, c.hash(k), k)
	}
}

// take takes out a record that a commit writes, and returns it, if it was there.
func (c *cachedRecords) take(commit, hash uint64, k crdt.Key) *cachedRecord {
	c.stripe(hash).Store(commit)
	s := c.cache.set(hash)
	if s == nil {
		return nil
	}
	old, grown := s.remove(hash, c.number, k)
	if old != nil {
		c.cache.used.Add(grown)
	}
	return old
}

// remove takes a record out, and returns it and the bytes that this adds. It
// waits for who is about to put it: that one has not seen the commit.
func (s *cacheSet) remove(hash uint64, number uint32, k crdt.Key) (old *cachedRecord, grown int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, at := s.find(hash, number, k)
	if r != nil {
		grown = s.place(at, nil)
	}
	return r, grown
}
