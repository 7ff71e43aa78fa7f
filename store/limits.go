package store

// The bounds of what this package holds in memory and decodes. Those of keys,
// values, records and vectors are crdt's.
const (
	// defaultStageBytes is how much of a delta is held in memory before it
	// goes to disk. As one Pebble batch it is replayed after a crash in four
	// times its size, and a catch-up after a short absence fits.
	defaultStageBytes = 4 << 20
	// stageBatchBytes is the size of the batches that staging writes: large
	// enough that the cost of a batch vanishes, small against a memtable.
	stageBatchBytes = 512 << 10
	// logRunBytes is the memory for a part of a staged delta's log before it is
	// sorted and goes to disk, where each event takes its key and loggedMemory;
	// and runBlockBytes is what is read of such a run at a time. logRuns of them
	// are read at a time: with 2 MiB each, those of a delta of a million small
	// records are on one level, and one of a thousand million is on three.
	logRunBytes   = 2 << 20
	loggedMemory  = 40
	runBlockBytes = 16 << 10
	logRuns       = 64
	// tableBytes is the size of the sorted tables that a staged delta ends
	// up in. One is built in about 100 ms, which is what redoing one under
	// the commit lock costs.
	tableBytes = 4 << 20
	// stagedRounds is how often a staged apply rebuilds the tables that
	// local commits have overtaken before it does so under the commit lock.
	stagedRounds = 3

	// recentKeys is how many of the keys committed last are remembered, so
	// that transactions and applies can tell what was written since their
	// snapshots. A transaction of a millisecond sees a hundred; one that is
	// overtaken by more than this runs again. 4,096 take 100 KiB.
	recentKeys = 1 << 12

	// newestKeys is how many of the keys in the log's last entries are
	// remembered: those of as many commits, for peers and watchers that follow
	// them. They take 32 KiB at most, beside the keys, which recentKeys keeps.
	// Entries of more than newestEntryKeys are read where they lie.
	newestKeys      = 1 << 10
	newestEntryKeys = 1 << 6
	// fewChanges is how many keys are read one by one, rather than by an
	// iterator, which costs as much as some reads.
	fewChanges = 4

	// touchedKeys bounds the set of keys that an apply must read before it
	// writes. Beyond it everything is read: 128Ki hashes take 4 MiB.
	touchedKeys = 1 << 17
	// touchedPerRecord bounds how many keys of our own log an apply looks
	// at for each record of the delta: reading a log key costs a twentieth
	// of reading a record, so beyond it reading all records is cheaper.
	touchedPerRecord = 16
	// touchedFree is how many log keys are looked at in any case; where a
	// writer's begin counts as one.
	touchedFree = 1 << 10

	// fewReads is up to how many records and spans a transaction's reads are
	// a list, which is used again, and which is faster to look through than a
	// map is to make.
	fewReads = 8

	// groupBytes is how much the transactions hold that are committed as one
	// batch, and groupWrites how many they are, but for the first: enough
	// that what a batch costs by itself vanishes, and small against half of
	// the least memtable, which Pebble would flush by itself. A snapshot
	// waits for a batch of them some tens of microseconds.
	groupBytes  = 32 << 10
	groupWrites = 128

	// logPartBytes is how many bytes of keys one part of a log entry holds.
	// A transaction of 65,536 long keys has an entry of hundreds of MiB,
	// which in parts is neither written nor read as a whole.
	logPartBytes = 128 << 10
	// maxLogKeys bounds the keys of one part; a key takes a byte at least.
	maxLogKeys = 2 * logPartBytes

	// changesKeys and changesKeyBytes bound the keys that Changes sorts at a
	// time: sorted keys are read with few seeks, and a key overwritten often
	// is read once.
	changesKeys     = 1 << 12
	changesKeyBytes = 1 << 19
	// seekBytes is how many bytes of tables are read one after the other in the
	// time in which one record is found: some microseconds.
	seekBytes = 1 << 10

	// collectKeys is about how many log keys a collection looks at in a
	// batch. Applies wait for a batch, and commits while its part that
	// changes something is built: some milliseconds.
	collectKeys = 1 << 9
	// rangeRun is how many superseded log entries in a row are deleted by one
	// tombstone of a range rather than one each.
	rangeRun = 32
	// sweepLeast is how many transactions there are at least from one look at
	// the whole log to the next, and so how many entries that lead nowhere may
	// stay in a small store: of 100 keys, 10 KiB. They are read in a
	// millisecond, and looked for a few times an hour.
	sweepLeast = 1 << 8

	// defaultMemoBytes is the memory for folds that are remembered: those of
	// some 5,000 counters of a device with a long history.
	defaultMemoBytes = 1 << 20
	// memoShare is which part of it one fold may take, so that a large one
	// does not push out all others.
	memoShare = 8
	// memoChanges is how many keys of a fold may have changed before it is
	// forgotten; each change is looked up among them.
	memoChanges = 16

	// defaultRecordCacheBytes is the memory for records that are read over and
	// over: some 10,000 of 100 bytes. What a device reads in a loop fits, and
	// beside blocks and memtables it is little.
	defaultRecordCacheBytes = 4 << 20
	// cacheWays is how many records a set holds: as many as a word has bytes.
	cacheWays = 8
	// cacheSetBytes is how much of the cache there is a set for: half full
	// with records of 256 bytes, so that few sets are short of places.
	cacheSetBytes = 1 << 10
	// cachePageSets is how many sets are made at once: 6 KiB, so that a store
	// that is hardly read takes little.
	cachePageSets = 64
	// cacheShare is which part of the cache one record may take.
	cacheShare = 16
	// cacheStripes is into how many parts the keys of a namespace fall, for
	// which the last commit is known. A read that a commit overtook is not
	// cached in one case of so many; they take 2 KiB.
	cacheStripes = 1 << 8

	// cacheIdle is how many own writes in a row a cached record outlives that
	// nobody reads: what is only written need not be copied. cacheRenewals is
	// how many records of one commit stay, so that what a large one writes is
	// not copied once more; a hot transaction writes few.
	cacheIdle     = 4
	cacheRenewals = 1 << 6
	// smallValue is the greatest value that a renewed record has in one piece
	// of memory with itself, where there would be a gap: a counter's slot has
	// 13 bytes after a million adds.
	smallValue = 24

	// arenaBytes is the size of the chunks that scanned records are copied
	// to. A caller that keeps one record keeps its chunk.
	arenaBytes = 32 << 10

	// maxNumber is the greatest number of a namespace or writer on disk,
	// where numbers have four bytes.
	maxNumber = 1<<32 - 2

	// maxLearned bounds the writer records that are held in memory before a
	// delta covers them. A fleet of 10,000 nodes with 100 runs each fits
	// what a delta may name; one that was away for long learns in steps.
	maxLearned = 1 << 16

	// maxLocalKeyBytes and maxLocalValueBytes bound the node-local values:
	// settings, cursors, addresses.
	maxLocalKeyBytes   = 1 << 10
	maxLocalValueBytes = 1 << 20
)
