package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrRepairing says that a repair of the directory broke off. It can be begun
// again, and nothing else.
var ErrRepairing = errors.New("a repair broke off, and has to be begun again")

// The REPAIR file is there while a repair is under way. It names the directory
// that the damaged store is put aside in, and how far the repair came:
//
//	anabranch repair <directory> <moving|filling>\n
//
// While moving, files of the damaged store may be in either place, and no
// others are there. While filling, all of them are aside, and what is in their
// place can be made again. It is replaced as the FORMAT file is.
const (
	repairFile   = "REPAIR"
	repairPrefix = "anabranch repair "
	asidePrefix  = "damaged-"

	repairMoving  = "moving"
	repairFilling = "filling"
)

// storeFiles are all files and directories of a store, but for its lock, in
// the order in which they are put aside.
var storeFiles = []string{dataDir, stageDir, witnessFile, ballastFile, damagedFile, formatFile + ".new", formatFile}

// Repaired says what a repair did.
type Repaired struct {
	// Aside is the directory that the damaged store is in now; "" if nothing
	// was found damaged, and nothing was changed.
	Aside string
	// Damage is what was found, as Open or Check put it.
	Damage error
	// Unreadable are the files of which something could not be read: what of
	// them, and why. Unread is how many entries of them that is at most, of
	// which some were overwritten or are indexes; it is 0 where even that
	// cannot be known.
	Unreadable []error
	Unread     uint64
	// Namespaces are those that were there, by name, and Records how many
	// records of them wait to be told from what peers have. Lost is how many
	// were there and do not say what they held: not those that are nowhere,
	// of which nobody knows where something is Unreadable.
	Namespaces    []string
	Records, Lost int
	// Unnamed is how many events of these records are of writers whose own
	// records could not be read: only their time tells whether they were
	// overwritten, and where clocks were wrong it tells that wrong. See Reissue.
	Unnamed int
}

// Repair makes a new store in place of a damaged one, that Open or Check
// refuses, and leaves it closed. The damaged store is kept aside, within dir.
// The new one has its node-local values, and its namespaces, without records,
// but for those that could be read: they wait until the namespace has been
// refilled by peers, for Reissue.
//
// If it fails or is cut off, Open answers with ErrRepairing until a Repair
// ended well. Errors are those of Open, but for ErrDamaged, or that of ctx.
func Repair(ctx context.Context, dir string, o Options) (Repaired, error) {
	o.Visible, o.Durable = nil, nil
	done, err := repair(ctx, dir, o)
	if err != nil {
		return Repaired{}, fmt.Errorf("repair %s: %w", dir, err)
	}
	return done, nil
}

func repair(ctx context.Context, dir string, o Options) (Repaired, error) {
	fsys := o.FS
	if fsys == nil {
		fsys = vfs.Default
	}
	r := repairer{fs: fsys, dir: dir, options: o}
	phase, err := r.readPhase()
	if err != nil {
		return Repaired{}, err
	}
	if phase == "" {
		if r.done.Damage = r.examine(ctx); !errors.Is(r.done.Damage, ErrDamaged) {
			return Repaired{}, r.done.Damage
		}
	} else {
		r.done.Damage = ErrRepairing
	}
	if err := r.putAside(); err != nil {
		return Repaired{}, err
	}
	return r.done, r.fill(ctx)
}

// repairer is one repair.
type repairer struct {
	fs      vfs.FS
	dir     string
	options Options
	done    Repaired
}

func (r *repairer) path(name string) string { return r.fs.PathJoin(r.dir, name) }

// examine returns what is wrong with the store; nil if nothing is. Then it
// counts as whole from here on.
func (r *repairer) examine(ctx context.Context) error {
	state, err := readFormat(r.fs, r.dir)
	if err != nil {
		return err
	}
	if state == "" {
		if err := checkVacant(r.fs, r.dir); err != nil {
			return err
		}
		return errors.New("there is no store")
	}
	s, err := open(r.dir, r.options, purposeRepair)
	if err != nil {
		return err
	}
	err = s.Check(ctx)
	if err = closed(err, s.Close()); err != nil {
		return err
	}
	return unmark(r.fs, r.dir)
}

// readPhase returns how far a repair came that broke off, "" if there is none.
func (r *repairer) readPhase() (phase string, err error) {
	f, err := r.fs.Open(r.path(repairFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFormatBytes))
	if err != nil {
		return "", err
	}
	rest, ok := strings.CutPrefix(string(b), repairPrefix)
	aside, phase, two := strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
	if !ok || !two || !strings.HasPrefix(aside, asidePrefix) || strings.ContainsAny(aside, "/\\") ||
		(phase != repairMoving && phase != repairFilling) {
		return "", fmt.Errorf("%s cannot be read: move it away, and see which %s* directory holds the store", r.path(repairFile), asidePrefix)
	}
	r.done.Aside = r.path(aside)
	return phase, nil
}

func (r *repairer) writePhase(phase string) error {
	name := r.path(repairFile)
	text := fmt.Sprintf("%s%s %s\n", repairPrefix, r.fs.PathBase(r.done.Aside), phase)
	if err := writeDurably(r.fs, name+".new", []byte(text)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := r.fs.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return syncDir(r.fs, r.dir)
}

// putAside moves the damaged store away, or what a repair that broke off left
// of a new one: be it another one, since nobody had the lock meanwhile.
func (r *repairer) putAside() error {
	lock, err := lockDir(r.fs, r.dir)
	if err != nil {
		return err
	}
	return errors.Join(r.makeRoom(), lock.Close())
}

// makeRoom is putAside with the lock.
func (r *repairer) makeRoom() error {
	phase, err := r.readPhase()
	if err != nil {
		return err
	}
	if phase == "" {
		phase = repairMoving
		if err := r.nameAside(); err != nil {
			return err
		}
		if err := r.writePhase(phase); err != nil {
			return err
		}
	}
	if phase == repairMoving {
		if err := r.move(); err != nil {
			return err
		}
		if err := r.writePhase(repairFilling); err != nil {
			return err
		}
	}
	return r.clear()
}

// nameAside finds a name that no damaged store has yet.
func (r *repairer) nameAside() error {
	names, err := r.fs.List(r.dir)
	if err != nil {
		return err
	}
	last := 0
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, asidePrefix); ok {
			if n, err := strconv.Atoi(digits); err == nil {
				last = max(last, n)
			}
		}
	}
	r.done.Aside = r.path(asidePrefix + strconv.Itoa(last+1))
	return nil
}

// move moves what is not moved yet. The room that the damaged store held back is
// the new one's.
func (r *repairer) move() error {
	if err := r.fs.Remove(r.path(ballastFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := r.fs.MkdirAll(r.done.Aside, 0o755); err != nil {
		return err
	}
	for _, name := range storeFiles {
		err := r.fs.Rename(r.path(name), r.fs.PathJoin(r.done.Aside, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return errors.Join(syncDir(r.fs, r.done.Aside), syncDir(r.fs, r.dir))
}

// clear removes a new store that was not finished.
func (r *repairer) clear() error {
	for _, name := range storeFiles {
		if err := r.fs.RemoveAll(r.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return syncDir(r.fs, r.dir)
}

// fill makes the new store.
func (r *repairer) fill(ctx context.Context) (err error) {
	s, err := open(r.dir, r.options, purposeRepair)
	if err != nil {
		return err
	}
	v := &salvage{ctx: ctx, store: s, fs: r.fs, data: r.fs.PathJoin(r.done.Aside, dataDir), done: &r.done,
		dropped: map[uint32]bool{}}
	err = v.run()
	// What does not say that it was open before may be a savepoint that never was.
	if state, damaged := readFormat(r.fs, r.done.Aside); err == nil && (damaged != nil || state != stateReady) {
		err = s.forget()
	}
	if err == nil {
		err = s.Check(ctx)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	slices.Sort(r.done.Namespaces)
	if err := r.fs.Remove(r.path(repairFile)); err != nil {
		return err
	}
	return syncDir(r.fs, r.dir)
}

// checkRepairing returns ErrRepairing if a repair is under way.
func checkRepairing(fsys vfs.FS, dir string) error {
	_, err := fsys.Stat(fsys.PathJoin(dir, repairFile))
	switch {
	case err == nil:
		return ErrRepairing
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}
