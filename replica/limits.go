package replica

import "time"

// The bounds of this package. Those of keys, values and paths are crdt's.
const (
	// MaxTxOps bounds the records that one transaction writes. Each costs
	// some 200 bytes of memory beside its key and value, here and at every
	// peer that applies it, so that the greatest costs 13 MiB of them.
	MaxTxOps = 1 << 16
	// MaxTxBytes bounds the keys and values that one transaction writes:
	// 64 values of the greatest size. They are held in memory until the
	// commit, and once more in its batch.
	MaxTxBytes = 64 << 20
	// MaxAccumulators is about how many counters a namespace accumulates for
	// at a time. The first add of a run may write 4 KiB of a counter's history
	// beside its slot, so that one transaction takes 16 MiB of them, a quarter
	// of MaxTxBytes.
	MaxAccumulators = 1 << 12
	// MaxImportLineBytes bounds one line of an import. The greatest that an
	// export writes is exportLineBytes and one value: 1 MiB, which JSON's
	// escapes make 6 MiB, and base64 less than 2.
	MaxImportLineBytes = 8 << 20

	// txTries is how often a transaction runs beside others before it runs
	// alone. A conflict seldom follows another one; who meets three is on a
	// hot key, where running alone is cheaper than a fourth try.
	txTries = 3
	// maxTxReads is up to how many records a transaction's reads are told
	// apart: 65,536, at some 5 MiB. A span counts as spanReads of them,
	// since each commit that came between is held against every span.
	maxTxReads = 1 << 16
	spanReads  = 64
	// accumulateRetry is how long after a commit of accumulators that failed it
	// is tried again, where BufferedSync is less: a disk that is full is looked
	// at once a second.
	accumulateRetry = time.Second
	// smallTx is the number of writes up to which a transaction looks for a
	// key by reading all: up to there that beats making a map, and most
	// transactions write fewer.
	smallTx = 8
	// What a transaction that is over leaves to later ones: room for values,
	// up to maxSpareBytes, and for writes. Most need no more, and what is
	// kept is one for each that ran at a time.
	minSpareBytes = 512
	maxSpareBytes = 16 << 10
	maxSpareOps   = 64

	// The records of a scan are read in chunks, so that no iterator is open
	// while the embedder's loop runs, however long that takes. The first is
	// small, since many scans want only the first record; then they grow.
	// 256 records amortise opening an iterator (about 3 us) to nothing.
	scanFirstChunk = 4
	scanChunk      = 256
	// scanChunkBytes ends a chunk of large values early, to bound memory.
	scanChunkBytes = 256 << 10

	// watchGroupPaths bounds the distinct paths that one watcher collects
	// before it tells of them: about 1 MiB. When more changed, it sweeps
	// over the records instead, which needs no memory.
	watchGroupPaths = 8 << 10
	// watchCheckEvery is after how many records a watcher that collects
	// looks whether it should end: a few milliseconds of work.
	watchCheckEvery = 1 << 10
	// watchSkipped is after how many changes outside its prefix a watcher
	// hands out a new cursor, so that to resume rereads no more than this.
	watchSkipped = 4 << 10
	// maxCursorBytes bounds a cursor that is handed in: the largest vector.
	maxCursorBytes = 8 << 20

	// exportLineBytes and exportLineElements are from where on a set or log
	// goes on in a further line, so that neither end holds a large one in
	// memory, and a line fits a transaction.
	exportLineBytes    = 1 << 20
	exportLineElements = 4 << 10
	// importBytes and importElements are from where on an import commits:
	// of lines' text, and of values in them. A transaction's own limits are
	// four times as much, since what was there before is removed in it.
	importBytes    = 4 << 20
	importElements = 16 << 10
	// maxSumDigits bounds a counter's value in an import: those of 128 bits,
	// and a sign.
	maxSumDigits = 40

	// defaultBufferedSync is 20 fsyncs a second at most, which flash outlives.
	defaultBufferedSync = 50 * time.Millisecond
	// defaultKeepAlive keeps the mappings of NATs on the way, of which the
	// shortest that are common last 30 seconds (RFC 9000, 10.1.2).
	defaultKeepAlive = 25 * time.Second
)
