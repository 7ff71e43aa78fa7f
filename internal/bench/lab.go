package bench

import (
	"context"
	"errors"
	"os"
)

// A Lab is what a row works in: directories on one disk, and a list of what
// is to be closed. It is used by one goroutine.
type Lab struct {
	Context context.Context
	// Keys is how many keys a full store has.
	Keys int

	dir     string
	cleanup []func() error
}

// newLab returns a lab in a new folder below dir.
func newLab(ctx context.Context, dir string, keys int) (*Lab, error) {
	own, err := os.MkdirTemp(dir, "anabranch-bench-")
	if err != nil {
		return nil, err
	}
	l := &Lab{Context: ctx, Keys: keys, dir: own}
	l.Cleanup(func() error { return os.RemoveAll(own) })
	return l, nil
}

// Dir returns a new folder.
func (l *Lab) Dir() (string, error) { return os.MkdirTemp(l.dir, "") }

// Cleanup has f called once the row is done; what was given last is called
// first.
func (l *Lab) Cleanup(f func() error) { l.cleanup = append(l.cleanup, f) }

// inside calls f with a lab of its own, all of which is taken away then.
func (l *Lab) inside(f func(*Lab) error) error {
	own, err := newLab(l.Context, l.dir, l.Keys)
	if err != nil {
		return err
	}
	err = f(own)
	return errors.Join(err, own.close())
}

// close calls what Cleanup was given.
func (l *Lab) close() (err error) {
	for len(l.cleanup) > 0 {
		last := len(l.cleanup) - 1
		f := l.cleanup[last]
		l.cleanup = l.cleanup[:last]
		err = errors.Join(err, f())
	}
	return err
}
