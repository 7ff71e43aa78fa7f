package store

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names of Pebble's files, which it does not name in what it says of them.
const (
	optionsPrefix      = "OPTIONS-"
	formatMarkerPrefix = "marker.format-version."
	// maxOptionsBytes bounds what is read of an OPTIONS file; one takes 3 KB.
	maxOptionsBytes = 1 << 20
)

// blame names the file for which Pebble did not open, where Pebble does not: an
// operator is to know what to look at.
func blame(fsys vfs.FS, data string, err error) error {
	names, listErr := fsys.List(data)
	if listErr != nil || !errors.Is(err, ErrDamaged) {
		return err
	}
	var defaults pebble.Options // ours are those in what is compared
	defaults.EnsureDefaults()
	marked := false
	for _, name := range names {
		marked = marked || strings.HasPrefix(name, formatMarkerPrefix)
		if !strings.HasPrefix(name, optionsPrefix) {
			continue
		}
		text, e := contentsOf(fsys, fsys.PathJoin(data, name), maxOptionsBytes)
		if e == nil {
			e = defaults.CheckCompatibility(data, string(text))
		}
		if e != nil {
			return fmt.Errorf("%s: %w", fsys.PathJoin(data, name), err)
		}
	}
	if !marked {
		return fmt.Errorf("%s has no file %s*: %w", data, formatMarkerPrefix, err)
	}
	return err
}

func contentsOf(fsys vfs.FS, name string, most int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	return b, errors.Join(err, f.Close())
}
