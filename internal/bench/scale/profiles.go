package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/anabranch-db/anabranch/internal/plot"
	"github.com/anabranch-db/anabranch/internal/usage"
	"github.com/anabranch-db/anabranch/replica"
)

const profilesMeans = `What the caches of a profile buy: a database with so many keys as -profile-keys says is
opened with other caches and memtables than the profile has, everything else as it is,
each time in a process of its own whose collector is set as the profile says, with what
the cache differs on top of the limit of its memory. Sets, half a million, and reads are
of keys drawn at random, and the kernel may keep the files in memory beside; written is
what went to the disk for a byte of key and value, in whole pages; resident is the most
that the process had. The profile's own are in bold.

What it means, of four runs with 3,000,000 keys of which the last is below: memtables
come out of the cache, and two of them that take all of it halve the reads. Beyond that
a cache buys little where the kernel keeps the files anyhow: a hub reads no faster with
128 or 256 MiB than with 64, which is why it has 64 and not the 128 that it had before
this was measured. A memtable buys sets and spares the disk, up to 16 MiB: twice the
sets of 4 or 8, and half the bytes. A small device would set a third faster with
memtables of 2 MiB, but read half as fast, with 42 MiB resident; with half a MiB it would
write a quarter more to its flash.`

// The operations of each kind that caches are tried with. The sets fill some
// hundred memtables of a small device.
const (
	triedSets  = 500_000
	triedReads = 50_000
)

// caches are what one try has in place of its profile's.
type caches struct {
	Profile         string
	Cache, MemTable int64 // bytes
	Keys            int
}

const mib = 1 << 20

// trials are what each profile is tried with: its own, and others, of which one
// differs at a time.
var trials = []struct {
	profile           replica.Profile
	caches, memTables []int64
}{
	{replica.ProfileSmallDevice, []int64{2 * mib, 4 * mib, 8 * mib, 16 * mib}, []int64{mib / 2, mib, 2 * mib}},
	{replica.ProfileStandard, []int64{8 * mib, 16 * mib, 32 * mib}, []int64{2 * mib, 4 * mib, 8 * mib}},
	{replica.ProfileHub, []int64{32 * mib, 64 * mib, 128 * mib, 256 * mib}, []int64{4 * mib, 8 * mib, 16 * mib, 32 * mib}},
}

// tried is what was measured.
type tried struct {
	Sets, Reads float64 // a second
	Digest      float64 // ms
	Written     float64 // bytes for each of key and value
	Resident    float64 // MiB, at most
}

// tuning collects what was tried.
type tuning struct {
	section
	options             *options
	dir, full           string
	reads, sets, memory plot.Lines
}

func profilesPart(o *options) (section, error) {
	t := tuning{options: o,
		reads:  plot.Lines{Title: "Reads, by the cache", X: "cache, MiB", Y: "op/s"},
		sets:   plot.Lines{Title: "Sets, by the memtable", X: "memtable, MiB", Y: "op/s"},
		memory: plot.Lines{Title: "Resident memory, by the cache", X: "cache, MiB", Y: "MiB"},
	}
	t.section = section{name: "profiles", title: "Caches of the profiles", means: profilesMeans,
		head: []string{"profile", "cache, MiB", "memtable, MiB", "set, op/s", "read, op/s", "digest, ms", "written, B/B", "resident, MiB"}}
	var err error
	if t.dir, err = os.MkdirTemp(o.dir, "scale-"); err != nil {
		return t.section, err
	}
	defer os.RemoveAll(t.dir)
	t.full = filepath.Join(t.dir, "full")
	err = inNamespace(t.full, replica.Options{}, func(_ *replica.DB, ns *replica.Namespace) error {
		return fill(ns, o.profileKeys)
	})
	if err == nil {
		err = t.tryAll()
	}
	t.plots = []plot.Lines{t.reads, t.sets, t.memory}
	return t.section, err
}

func (t *tuning) tryAll() error {
	for _, trial := range trials {
		for _, n := range trial.caches {
			if err := t.try(trial.profile, n, trial.profile.MemTableBytes()); err != nil {
				return err
			}
		}
		for _, n := range trial.memTables {
			if n == trial.profile.MemTableBytes() {
				continue // it was tried
			}
			if err := t.try(trial.profile, trial.profile.CacheBytes(), n); err != nil {
				return err
			}
		}
	}
	return nil
}

// try measures a profile with other caches, in a process of its own.
func (t *tuning) try(p replica.Profile, cache, memTable int64) error {
	dir := filepath.Join(t.dir, "tried")
	defer os.RemoveAll(dir)
	err := inNamespace(t.full, replica.Options{}, func(db *replica.DB, _ *replica.Namespace) error { return db.Checkpoint(dir) })
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c, err := json.Marshal(caches{p.String(), cache, memTable, t.options.profileKeys})
	if err != nil {
		return err
	}
	cmd := exec.Command(self, tryCommand, dir, string(c))
	cmd.Stderr = os.Stderr
	said, err := cmd.Output()
	if err != nil {
		return err
	}
	var got tried
	if err := json.Unmarshal(said, &got); err != nil {
		return err
	}
	t.options.progress("%s: %+v", c, got)
	t.add(p, cache, memTable, got)
	return nil
}

func (t *tuning) add(p replica.Profile, cache, memTable int64, got tried) {
	x, y := float64(cache)/mib, float64(memTable)/mib
	cells := []string{p.String(), figure(x), figure(y),
		figure(got.Sets), figure(got.Reads), figure(got.Digest), figure(got.Written), figure(got.Resident)}
	sameCache, sameMemTable := cache == p.CacheBytes(), memTable == p.MemTableBytes()
	if sameCache && sameMemTable {
		for i := range cells {
			cells[i] = "**" + cells[i] + "**"
		}
	}
	t.row(cells...)
	if sameMemTable {
		add(&t.reads, p.String(), x, got.Reads)
		add(&t.memory, p.String(), x, got.Resident)
	}
	if sameCache {
		add(&t.sets, p.String(), y, got.Sets)
	}
}

// tryCommand is the first argument of the process that measures.
const tryCommand = "try-caches"

// tryCaches is what that process does: it says what it measured, as JSON.
func tryCaches(dir, how string) error {
	var c caches
	if err := json.Unmarshal([]byte(how), &c); err != nil {
		return err
	}
	p, err := replica.ParseProfile(c.Profile)
	if err != nil {
		return err
	}
	debug.SetGCPercent(p.GCPercent())
	if limit := p.MemoryLimit(); limit > 0 {
		debug.SetMemoryLimit(limit + c.Cache - p.CacheBytes())
	}
	var got tried
	o := replica.Options{Profile: p, CacheBytes: c.Cache, MemTableBytes: c.MemTable}
	if err := inNamespace(dir, o, func(_ *replica.DB, ns *replica.Namespace) error { return got.measure(ns, c.Keys) }); err != nil {
		return err
	}
	m, err := usage.Resident()
	if err != nil {
		return err
	}
	got.Resident = float64(m.Peak) / mib
	return json.NewEncoder(os.Stdout).Encode(got)
}

func (t *tried) measure(ns *replica.Namespace, keys int) error {
	was, err := usage.Written()
	if err != nil {
		return err
	}
	if t.Sets, err = perSecond(triedSets, func() error { return set(ns, rand.IntN(keys)) }); err != nil {
		return err
	}
	if err := ns.Sync(context.Background()); err != nil {
		return err
	}
	is, err := usage.Written()
	if err != nil {
		return err
	}
	t.Written = float64(is-was) / (triedSets * (keyBytes + valueBytes))
	if t.Reads, err = perSecond(triedReads, func() error { return read(ns, rand.IntN(keys)) }); err != nil {
		return err
	}
	start := time.Now()
	_, err = ns.Digest(context.Background())
	t.Digest = float64(time.Since(start).Microseconds()) / 1000
	return err
}
