package store

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Probe looks at dir as Open would, without opening it, and writes nothing. It
// returns nil where a store is, or one can be made.
func Probe(fsys vfs.FS, dir string) error { return checkDir(fsys, dir, purposeServe) }

// checkDir says why a directory cannot be opened for a purpose, as far as that
// can be seen before its lock is taken.
func checkDir(fsys vfs.FS, dir string, why purpose) error {
	if why != purposeRepair {
		if err := checkRepairing(fsys, dir); err != nil {
			return fmt.Errorf("open store %s: %w", dir, err)
		}
	}
	state, err := readFormat(fsys, dir)
	if err == nil && state == "" && why != purposeRepair {
		if err = checkVacant(fsys, dir); err != nil {
			err = fmt.Errorf("open store %s: %w", dir, err)
		}
	}
	return err
}

// checkVacant wants nothing to be where a store that is made puts its files: it
// would remove them. Those of a store without a FORMAT file are a damaged store,
// whatever else is missing: a FORMAT file is the first that is made.
func checkVacant(fsys vfs.FS, dir string) error {
	data := fsys.PathJoin(dir, dataDir)
	names, err := fsys.List(data)
	if err != nil {
		names = nil // to make it says why it cannot be read
	}
	_, err = fsys.Stat(fsys.PathJoin(dir, witnessFile))
	switch {
	case err == nil, slices.ContainsFunc(names, isPebbles):
		return fmt.Errorf("%w: %s holds data but no %s file", ErrDamaged, dir, formatFile)
	case len(names) > 0:
		return fmt.Errorf("%s is not a store's, and would be replaced: use another directory, or move it away", data)
	}
	return nil
}

// isPebbles reports whether a file's name is one that Pebble alone gives. Names
// of tables and logs are not.
func isPebbles(name string) bool {
	return strings.HasPrefix(name, "MANIFEST-") || strings.HasPrefix(name, "OPTIONS-") || strings.HasPrefix(name, "marker.manifest.")
}
