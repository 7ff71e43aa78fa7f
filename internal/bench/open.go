package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/anabranch-db/anabranch/replica"
)

const (
	// openAllowance is what an open may take beyond Pebble's own.
	openAllowance = 5 * time.Millisecond
	// killedWrites is how many writes come before the kill.
	killedWrites = 100_000
)

// openRows are of opening a full store.
func openRows() []Row {
	row := func(name, work string, killed bool) Row {
		return Row{
			Name: name, Work: work, Raw: "Pebble opens the same, and 5 ms", Unit: "ms", Goal: Goal{AtMost: 1},
			Prepare: func(l *Lab) (Repetition, error) { return prepareOpen(l, killed) },
		}
	}
	return []Row{
		row("open/clean", "a full store is opened, which was closed", false),
		row("open/killed", "a full store is opened, whose process was killed after 100,000 writes", true),
	}
}

// prepareOpen makes two full stores.
func prepareOpen(l *Lab, killed bool) (Repetition, error) {
	writes := 0
	if killed {
		writes = min(killedWrites, l.Keys)
	}
	var dirs [2]string
	for i, side := range []string{"ours", "raw"} {
		dir, err := l.Dir()
		if err != nil {
			return nil, err
		}
		if err := fillAndKill(l, side, dir, writes); err != nil {
			return nil, err
		}
		dirs[i] = dir
	}
	return func() (p Pair, err error) {
		var spent [2]time.Duration
		const opens = 4
		for n := range opens {
			for i := range dirs {
				side := (n + i) % 2
				took, err := openCopy(l, side == 0, dirs[side])
				if err != nil {
					return p, err
				}
				spent[side] += took / opens
			}
		}
		return Pair{Ours: milliseconds(spent[0]), Raw: milliseconds(spent[1] + openAllowance)}, nil
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// fillAndKill fills a store in a process of its own, opens it again, and kills
// the process after so many writes; 0: it closes it.
func fillAndKill(l *Lab, side, dir string, writes int) error {
	c, err := startChild(l.Context, nil, "write", side, dir, fmt.Sprint(l.Keys), fmt.Sprint(writes))
	if err != nil {
		return err
	}
	var done bool
	if err := c.hear(&done); err != nil || writes == 0 {
		return errors.Join(err, c.end())
	}
	return c.kill()
}

// writeAndWait is the role of that process.
func writeAndWait(in io.Reader, out *json.Encoder, args []string) error {
	var keys, writes int
	if len(args) != 4 {
		return fmt.Errorf("arguments %q", args)
	}
	if _, err := fmt.Sscan(args[2]+" "+args[3], &keys, &writes); err != nil {
		return err
	}
	fill := fillRaw
	if args[0] == "ours" {
		fill = fillOurs
	}
	for _, n := range []int{keys, 0} { // the second open leaves nothing in the log
		if err := fill(args[1], n, keys, func() error { return nil }); err != nil {
			return err
		}
	}
	if writes == 0 {
		return out.Encode(true)
	}
	return fill(args[1], writes, keys, func() error {
		if err := out.Encode(true); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, in)
		return err
	})
}

// fillOurs opens a database of ours, writes, and closes it after a while.
func fillOurs(dir string, writes, keys int, while func() error) error {
	return withNamespace(dir, replica.Options{}, func(ns *replica.Namespace) error {
		return errors.Join(setAll(context.Background(), ns, writes, keys), while())
	})
}

// fillRaw does the same with Pebble.
func fillRaw(dir string, writes, keys int, while func() error) error {
	db, err := openRawIn(dir)
	if err != nil {
		return err
	}
	for i := range writes {
		err = errors.Join(err, rawPut(db, uint64(i*61_803%keys), uint64(i), pebble.NoSync))
	}
	if err == nil {
		err = errors.Join(db.LogData(nil, pebble.Sync), while())
	}
	return errors.Join(err, db.Close())
}

// openCopy opens a copy of a store, since to open it changes it, and returns
// how long that took.
func openCopy(l *Lab, ours bool, dir string) (took time.Duration, err error) {
	work, err := l.Dir()
	if err != nil {
		return 0, err
	}
	if err := copyDir(work, dir); err != nil {
		return 0, err
	}
	runtime.GC()
	var db io.Closer
	start := time.Now()
	if ours {
		db, err = openOurs(work)
	} else {
		db, err = openRawIn(work)
	}
	took = time.Since(start)
	if err == nil {
		err = db.Close()
	}
	return took, errors.Join(err, os.RemoveAll(work))
}

// copyDir copies files as they are, with their modes, which keys have for a
// reason, and waits until they are on disk: else the open would. What is never
// written again it links.
func copyDir(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		switch {
		case err != nil:
			return err
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		}
		if ext := filepath.Ext(name); ext == ".sst" || name == "BALLAST" {
			return os.Link(path, filepath.Join(to, name))
		}
		return copyFile(filepath.Join(to, name), path, info.Mode().Perm())
	})
}

func copyFile(to, from string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

// openOurs opens a database, and the namespace in it.
func openOurs(dir string) (io.Closer, error) {
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		return nil, err
	}
	if _, err := db.Lookup(benchNamespace); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
