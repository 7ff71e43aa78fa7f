package fuzz

import (
	"flag"
	"math"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"testing"
)

const (
	// fixedBytes is what a decoder may allocate whatever it is given: errors,
	// tables, the buffers of encoding/json and compress, and what the runtime
	// counts late. A bomb asks for a thousand times of it.
	fixedBytes = 256 << 10
	// maxCutBytes is up to which length every truncation of a seed is tried: that
	// of any sample here but the backup and some bombs. Longer ones are cut at
	// fewCuts places, since all would take longer than the rest of the tests.
	maxCutBytes = 2048
	fewCuts     = 16
	// maxSearchedBytes is up to which length a bomb is a seed of the search: the
	// engine makes what it finds shorter, byte by byte, which takes it minutes
	// where that is long.
	maxSearchedBytes = 256
	// measurements is how often a call that seems to take too much is repeated:
	// what else runs in the process does not disturb all of them.
	measurements = 5
)

// Decoder fuzzes decode with the seeds of f, with the bombs, and, where the
// seeds alone are run, with each cut short at every byte. In every call decode
// may allocate perByte for each byte that it is given, and a fixed rest.
func Decoder(f *testing.F, perByte int, decode func(t *testing.T, b []byte)) {
	f.Helper()
	for _, b := range bombs() {
		if !searching() || len(b) <= maxSearchedBytes {
			f.Add(b)
		}
	}
	var executions atomic.Int64
	if !searching() {
		f.Cleanup(func() { f.Attr("executions", strconv.FormatInt(executions.Load(), 10)) })
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		executions.Add(1)
		Bounded(t, len(b), perByte, func() { decode(t, b) })
		if searching() {
			return
		}
		step := 1
		if len(b) > maxCutBytes {
			step = len(b) / fewCuts
		}
		for n := 0; n < len(b); n += step {
			executions.Add(1)
			decode(t, b[:n:n])
		}
		if t.Failed() {
			t.Logf("in %d bytes, or in what they begin with", len(b))
		}
	})
}

// Bounded calls do, and fails where that allocates more than perByte for each
// of size bytes, and a fixed rest. It may call do several times.
func Bounded(t testing.TB, size, perByte int, do func()) {
	t.Helper()
	most := uint64(fixedBytes + perByte*size)
	before := roughly()
	do()
	if roughly()-before <= most {
		return
	}
	least := uint64(math.MaxUint64)
	for range measurements {
		before := exactly()
		do()
		least = min(least, exactly()-before)
	}
	if least > most {
		t.Errorf("%d bytes of input took %d of memory, at most %d", size, least, most)
	}
}

// roughly returns how many bytes were ever allocated, short of some spans that
// small objects are still taken from. It costs a microsecond.
func roughly() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// exactly returns the same to the byte. It stops the world.
func exactly() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// searching tells whether the engine looks for inputs (-fuzz), in its worker
// or in the process above it.
func searching() bool {
	worker, engine := flag.Lookup("test.fuzzworker"), flag.Lookup("test.fuzz")
	return worker != nil && worker.Value.String() == "true" || engine != nil && engine.Value.String() != ""
}
