package replica

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/anabranch-db/anabranch/transport"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

var everyByte = flag.Bool("every-byte", false, "in the tests of damaged files, flip a bit of each byte, and cut at each; at 500 of larger files")

// fileKind is a kind of file in a database's directory.
type fileKind struct {
	name  string // in what is said of it
	match string // a pattern of path.Match, of the path in the directory
	// identity: it is one of the files that say who the node is.
	identity bool
	// passing: it is there for a while only, so no directory need have it.
	passing bool
	// tail: of a process that was killed, what came last in it may be lost in
	// silence.
	tail bool
}

// fileKinds are all kinds of files, so that each has a test of what becomes of
// it: a directory that has another one fails TestFileKindsAreAllThereAre.
var fileKinds = []fileKind{
	{name: "FORMAT", match: "FORMAT"},
	{name: "WITNESS", match: "WITNESS"},
	{name: "the lock", match: "LOCK"},
	{name: "the reserve", match: "BALLAST"},
	{name: "MANIFEST", match: "data/MANIFEST-*"},
	{name: "marker", match: "data/marker.*"},
	{name: "OPTIONS", match: "data/OPTIONS-*"},
	{name: ".sst", match: "data/*.sst"},
	{name: ".log", match: "data/*.log", tail: true},
	{name: "Pebble's lock", match: "data/LOCK"},
	{name: "node.key", match: "node.key", identity: true},
	{name: "node.crt", match: "node.crt", identity: true},
	{name: "cluster.crt", match: "cluster.crt", identity: true},
	{name: "authority.key", match: "authority.key", identity: true},
	{name: "a mark of damage", match: "DAMAGED", passing: true},
	{name: "a repair", match: "REPAIR*", passing: true},
	{name: "a store put aside", match: "damaged-*", passing: true},
	{name: "a staged table", match: "stage/*", passing: true},
	{name: "a file that replaces one", match: "*.new*", passing: true},
	{name: "the daemon's socket", match: "anabranch.sock", passing: true},
}

// fileKindOf returns the kind of a file, or nil.
func fileKindOf(name string) *fileKind {
	for i := range fileKinds {
		if ok, err := path.Match(fileKinds[i].match, name); ok && err == nil {
			return &fileKinds[i]
		}
	}
	return nil
}

// storeFiles returns the files of a directory on a disk in memory.
func storeFiles(t testing.TB, disk vfs.FS, dir string) (all []string) {
	t.Helper()
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		name = path.Join(dir, name)
		if info, err := disk.Stat(name); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			all = append(all, storeFiles(t, disk, name)...)
		} else {
			all = append(all, name)
		}
	}
	return all
}

// damagedFiles is what damage is done to: a directory of a node that was closed,
// and one of it when it was killed, and the peer that has all of it.
type damagedFiles struct {
	*wholeFleet
	closed, killed, peer *vfs.MemFS
	digests              map[*vfs.MemFS][32]byte // of what a directory held
	flipped, torn        int
	outcomes             map[string]map[string]int // by kind
}

// TestAFileThatIsDamagedIsReportedOrHarmless flips bits in files of every kind,
// and cuts them short. The database opens and holds what it held, or says that
// it is damaged, and names the file: at Open, or when all of it is looked at;
// then a repair and a peer bring back all. Only what a killed process wrote last
// may be missed in silence, and a peer brings that back too.
func TestAFileThatIsDamagedIsReportedOrHarmless(t *testing.T) {
	inBubble(t, 2, simnet.Options{}, func(f *wholeFleet) {
		d := &damagedFiles{wholeFleet: f, digests: map[*vfs.MemFS][32]byte{}, outcomes: map[string]map[string]int{}}
		d.fill()
		for _, disk := range []*vfs.MemFS{d.closed, d.killed} {
			for _, name := range storeFiles(t, disk, "db") {
				kind := fileKindOf(strings.TrimPrefix(name, "db/"))
				if kind == nil {
					t.Fatalf("%s is a file of no known kind", name)
				}
				for _, h := range harms(readWhole(t, disk, name)) {
					if h.torn {
						d.torn++
					} else {
						d.flipped++
					}
					d.try(disk, kind, name, h)
				}
			}
		}
		for _, kind := range fileKinds {
			if !kind.identity && !kind.passing {
				t.Logf("%-16s %v", kind.name, d.outcomes[kind.name])
			}
		}
		t.Attr("fault.flipped", fmt.Sprint(d.flipped))
		t.Attr("fault.torn", fmt.Sprint(d.torn))
	})
}

// fill makes the directories, of a node with tables in two levels and logs.
func (d *damagedFiles) fill() {
	mine, other := d.nodes[0], d.nodes[1]
	other.namespace("edge")
	mine.options.MemTableBytes = 1 // the least
	mine.restart()
	for i := range 4 {
		mine.writeKeys(100*i, 100*i+100)
		mine.update("edge", func(tx *Tx) error { return errors.Join(passes.Add(tx, 5), tags.Add(tx, fmt.Sprint("tag", i))) })
		if i%2 == 1 {
			mine.restart()
		}
	}
	other.update("edge", func(tx *Tx) error { return errors.Join(passes.Add(tx, 7), tags.Add(tx, "theirs")) })
	d.converge("edge")
	mine.writeKeys(1000, 1003)
	d.converge("edge")
	d.must(mine.db.AddPeer("node1:1"))
	d.killed = mine.disk.CrashClone(vfs.CrashCloneCfg{})
	digest := mine.digest()
	mine.shut()
	d.closed = mine.disk
	d.peer = other.disk.CrashClone(vfs.CrashCloneCfg{})
	other.shut()
	d.digests[d.closed], d.digests[d.killed] = digest, digest
}

func (d *damagedFiles) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// harm is what is done to a file.
type harm struct {
	what string
	torn bool
	text []byte // what is left; nil: the file is gone
}

// harms returns ways to damage a file: a sample, or all.
func harms(whole []byte) (all []harm) {
	flips, cuts := 1+len(whole)/4, 1+len(whole)/2
	if *everyByte {
		flips, cuts = 1+len(whole)/500, 1+len(whole)/500
	}
	all = append(all, harm{"gone", true, nil})
	for at := len(whole) % flips; at < len(whole); at += flips {
		b := slices.Clone(whole)
		b[at] ^= 1 << (at % 8)
		all = append(all, harm{fmt.Sprintf("bit %d of byte %d flipped", at%8, at), false, b})
	}
	for n := 0; n < len(whole); n += cuts {
		all = append(all, harm{fmt.Sprintf("cut after %d of %d bytes", n, len(whole)), true, slices.Clone(whole[:n:n])})
	}
	return all
}

func readWhole(t testing.TB, disk *vfs.MemFS, name string) []byte {
	t.Helper()
	return (&wholeNode{fleet: &wholeFleet{t: t}, disk: disk}).read(name)
}

// try damages a file of a directory, and looks what becomes of it.
func (d *damagedFiles) try(from *vfs.MemFS, kind *fileKind, name string, h harm) {
	d.t.Helper()
	disk := from.CrashClone(vfs.CrashCloneCfg{})
	if d.must(disk.Remove(name)); h.text != nil {
		f, err := disk.Create(name, vfs.WriteCategoryUnspecified)
		d.must(err)
		_, err = f.Write(h.text)
		d.must(errors.Join(err, f.Sync(), f.Close()))
	}
	parent, err := disk.OpenDir(path.Dir(name))
	d.must(errors.Join(err, parent.Sync(), parent.Close()))
	what := fmt.Sprintf("%s %s", name, h.what)
	if from == d.killed {
		what += ", of a killed process"
	}
	how := d.open(disk, kind, name, what, from == d.killed)
	if d.outcomes[kind.name] == nil {
		d.outcomes[kind.name] = map[string]int{}
	}
	d.outcomes[kind.name][how]++
	if how == damageAtOpen || how == damageOnReading {
		done, err := Repair(context.Background(), "db", RepairOptions{FS: disk, Identity: d.nodes[0].identity})
		if err != nil || done.Aside == "" {
			d.t.Fatalf("%s: repair: %+v, %v", what, done, err)
		}
	}
	if how != harmless && (*everyByte || d.outcomes[kind.name][how] <= 2) {
		d.comesBack(disk, what)
	}
}

// What becomes of damage.
const (
	harmless        = "harmless"
	damageAtOpen    = "refused"
	damageOnReading = "found on reading"
	lostTail        = "lost a tail"
)

// open opens a directory, and reads all of it.
func (d *damagedFiles) open(disk *vfs.MemFS, kind *fileKind, name, what string, killed bool) string {
	d.t.Helper()
	o := d.nodes[0].options
	o.FS, o.Identity, o.Peers = disk, d.nodes[0].identity, nil
	db, err := Open("db", o)
	if errors.Is(err, ErrDamaged) {
		d.names(err, kind, name, what)
		return damageAtOpen
	}
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	defer db.Close()
	err = db.store.Check(context.Background())
	if errors.Is(err, ErrDamaged) {
		d.names(err, kind, name, what)
		d.refusesToWrite(db, what)
		return damageOnReading
	}
	if err != nil {
		d.t.Fatalf("%s: %v", what, err)
	}
	ns, err := db.Lookup("edge")
	if err == nil {
		var digest [32]byte
		if digest, err = ns.Digest(context.Background()); err == nil && digest == d.digests[d.closed] {
			return harmless
		}
	}
	if !kind.tail || !killed || err != nil && !errors.Is(err, ErrNoNamespace) {
		d.t.Errorf("%s: in silence, something is missing (%v)", what, err)
	}
	return lostTail
}

// names checks that what is said of damage names the file, or its number.
func (d *damagedFiles) names(err error, kind *fileKind, name, what string) {
	d.t.Helper()
	number := strings.TrimSuffix(path.Base(name), ".sst")
	if !strings.Contains(err.Error(), kind.name) && !strings.Contains(err.Error(), "file "+number) {
		d.t.Errorf("%s: what is said does not name it: %v", what, err)
	}
}

// refusesToWrite checks that nothing is written to what is known to be damaged.
func (d *damagedFiles) refusesToWrite(db *DB, what string) {
	d.t.Helper()
	ns, err := db.Lookup("edge")
	if err == nil {
		err = ns.Update(context.Background(), func(tx *Tx) error { return passes.Add(tx, 1) })
	}
	if !errors.Is(err, ErrDamaged) {
		d.t.Errorf("%s: a write is answered with %v", what, err)
	}
}

// comesBack links a directory with the peer, and wants all back that had been
// synced.
func (d *damagedFiles) comesBack(disk *vfs.MemFS, what string) {
	d.t.Helper()
	f := &wholeFleet{t: d.t, net: simnet.New(simnet.Options{}), authority: d.authority}
	for i, disk := range []*vfs.MemFS{disk, d.peer.CrashClone(vfs.CrashCloneCfg{})} {
		n := *d.nodes[i]
		n.fleet, n.disk = f, disk
		n.listen = func() (transport.Network, error) {
			return f.net.Listen(n.identity.Credential(), n.address)
		}
		n.open()
		f.nodes = append(f.nodes, &n)
		n.namespace("edge")
	}
	defer f.close()
	f.pass(5 * time.Second)
	f.converge("edge")
	if got := f.nodes[0].digest(); got != d.digests[d.closed] {
		d.t.Errorf("%s: with its peer it has digest %x, and had %x", what, got, d.digests[d.closed])
	}
	d.must(f.nodes[0].db.store.Check(context.Background()))
}
