package crashdisk

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// blockBytes is what a disk writes whole: a page of most filesystems.
const blockBytes = 4096

// grownBytes of zeros are behind what was written to a log, some of the time: it
// is grown before it is written. They are more than a block of a WAL.
const grownBytes = 40 << 10

// Cut returns what a power cut would leave now, on a disk of its own: a
// percentage of what was not fsynced, by names of directories and by blocks of
// files, chosen by the seed.
func (d *Disk) Cut(percent int, seed uint64) *vfs.MemFS {
	d.still.mu.Lock() // so that all is of one moment
	defer d.still.mu.Unlock()
	if percent == 0 || percent == 100 {
		return d.clone(percent)
	}
	m := &mixer{least: d.clone(0), most: d.mem, out: vfs.NewCrashableMem(), percent: uint64(percent), seed: seed}
	m.dir("")
	return m.out
}

func (d *Disk) clone(percent int) *vfs.MemFS {
	return d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
}

// mixer makes a disk of some files and blocks of what was fsynced, and some of
// what is there.
type mixer struct {
	least, most, out *vfs.MemFS
	percent, seed    uint64
}

// take decides whether something not fsynced is there.
func (m *mixer) take(name string, block int) bool {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s %d", m.seed, name, block)
	return h.Sum64()>>17%100 < m.percent
}

func (m *mixer) dir(dir string) {
	names, err := m.most.List("/" + dir)
	must(err)
	old, _ := m.least.List("/" + dir) // there is none if it was not fsynced
	slices.Sort(names)
	path := func(name string) string { return strings.TrimPrefix(dir+"/"+name, "/") }
	fresh := m.take(dir, -1) // whether the names that were not fsynced are there
	for _, name := range names {
		info, err := m.most.Stat(path(name))
		must(err)
		durable := slices.Contains(old, name)
		from := name
		if was := m.renamed(path, name, slices.DeleteFunc(slices.Clone(old), func(o string) bool { return slices.Contains(names, o) })); was != "" {
			if fresh {
				from = was
				old = slices.DeleteFunc(old, func(o string) bool { return o == was })
			} else if durable {
				m.write(path(name), slurp(m.least, path(name))) // what is to be replaced
				continue
			}
		}
		switch {
		case !durable && !fresh:
		case info.IsDir():
			must(m.out.MkdirAll(path(name), 0o755))
			m.dir(path(name))
		default:
			m.file(path(name), slurp(m.least, path(from)))
		}
	}
	for _, name := range old { // what was removed, but not durably, is there
		if !slices.Contains(names, name) {
			m.write(path(name), slurp(m.least, path(name)))
		}
	}
	d, err := m.out.OpenDir("/" + dir)
	must(err)
	must(d.Sync())
	must(d.Close())
}

// renamed returns the name that a file had before a rename that was not fsynced,
// out of those that are gone; "" if there was none. A rename is done or not, and
// takes along what of the file was fsynced.
func (m *mixer) renamed(path func(string) string, name string, gone []string) string {
	most := slurp(m.most, path(name))
	for _, was := range gone {
		if b := slurp(m.least, path(was)); len(b) > 0 && bytes.HasPrefix(most, b) {
			return was
		}
	}
	return ""
}

// file writes a file with some of its blocks, and with what of it was fsynced.
func (m *mixer) file(path string, synced []byte) {
	most, b := slurp(m.most, path), slices.Clone(synced)
	for at := 0; at < len(most); at += blockBytes {
		end := min(at+blockBytes, len(most))
		if m.take(path, at) {
			if len(b) < end {
				b = append(b, make([]byte, end-len(b))...)
			}
			copy(b[at:end], most[at:end])
		}
	}
	if strings.HasSuffix(path, ".log") && m.take(path, -2) {
		b = append(b, make([]byte, grownBytes)...)
	}
	m.write(path, b)
}

func (m *mixer) write(path string, b []byte) {
	f, err := m.out.Create(path, vfs.WriteCategoryUnspecified)
	must(err)
	_, err = f.Write(b)
	must(err)
	must(f.Sync())
	must(f.Close())
}

// slurp reads a whole file, or nothing if there is none.
func slurp(fs vfs.FS, path string) []byte {
	f, err := fs.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return nil
	}
	b, err := io.ReadAll(f)
	must(err)
	return b
}

// must is for errors that a disk in memory does not have.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
