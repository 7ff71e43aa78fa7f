package store

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// faults is what went wrong with one engine's disk. There are three states
// beyond a healthy one:
//
//   - full: the disk had no room and the ballast was given up so that what
//     was under way could end. New writes are refused until there is room.
//   - halted: writes are refused for the rest of the run, with the cause.
//     What was accepted before may still reach the disk (damage that a read
//     came upon says nothing about the log).
//   - frozen: halted, and nothing reaches the disk any more (guard). What a
//     failed write or fsync left there cannot be known, so nothing may be
//     built on it; opening anew recovers what the disk really holds.
//
// Safe for concurrent use; none of it blocks.
type faults struct {
	report func(error)

	cause  atomic.Pointer[error] // set once: why writes are refused
	frozen atomic.Bool           // set after cause
	full   atomic.Bool
	closed atomic.Bool // Close has begun
	hurry  atomic.Bool // Open or Close waits for Pebble, which must not wait for room
	wedged atomic.Bool // Pebble gave up on a background goroutine: it cannot be closed

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of any state
	mark    func(error)   // told, on a goroutine of its own, if the cause is damage; nil while the store opens
	marking sync.WaitGroup
}

func newFaults(report func(error)) *faults {
	if report == nil {
		report = func(error) {}
	}
	return &faults{report: report, changed: make(chan struct{})}
}

// fatal returns why writes are refused for good, or nil.
func (f *faults) fatal() error {
	if p := f.cause.Load(); p != nil {
		return *p
	}
	return nil
}

// halt refuses writes from now on. The first cause stands.
func (f *faults) halt(cause error) {
	err := fmt.Errorf("%w: %w", ErrHalted, cause)
	if f.cause.CompareAndSwap(nil, &err) {
		f.report(err)
		f.markDamage(cause)
	}
	f.wake()
}

// markDamage has damage written down. The caller may hold Pebble's locks.
func (f *faults) markDamage(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mark := f.mark; mark != nil && errors.Is(err, ErrDamaged) {
		f.marking.Go(func() { mark(err) })
	}
}

// onDamage says who writes damage down.
func (f *faults) onDamage(mark func(error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mark = mark
}

// freeze halts, and keeps everything from the disk from now on. Once it
// returns, whoever is told of a success of the disk finds the fault first.
func (f *faults) freeze(cause error) {
	f.halt(cause)
	f.frozen.Store(true)
	f.wake()
}

// setFull enters or leaves the full state.
func (f *faults) setFull(full bool) {
	if f.full.Swap(full) != full && full {
		f.report(ErrDiskFull)
	}
	f.wake()
}

// change returns a channel that is closed at the next change of state.
func (f *faults) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *faults) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

// Infof implements pebble.Logger: the store logs nothing by itself.
func (f *faults) Infof(string, ...any) {}

// Errorf implements pebble.Logger. What is said here, Pebble also returns or
// sends as an event.
func (f *faults) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger. Pebble calls it where it would not go on,
// and by default it exits the process. With guard below, no disk error leads
// here: it takes a bug of Pebble's, or a MANIFEST that contradicts itself.
//
// On a goroutine of a caller of ours it returns: Pebble then returns too,
// even with no error, and the engine looks at the fault before it says that a
// write succeeded. A goroutine of Pebble's own must not go on; it ends here,
// and Open or Close leave the DB as it is, since Pebble would wait for it.
func (f *faults) Fatalf(format string, args ...any) {
	background := inBackground()
	if background {
		f.wedged.Store(true) // before anybody learns of the fault, and closes
	}
	f.freeze(fmt.Errorf("pebble: "+format, args...))
	if background {
		runtime.Goexit()
	}
}

// errStuck says that Pebble waits for a goroutine that gave up.
var errStuck = errors.New("pebble gave up: only a new process can open the store")

// unlessStuck opens or closes Pebble. It returns also where that panics, which
// a damaged file can bring about, and where it would wait for ever for a
// goroutine that gave up: then with errStuck, and the call is left behind.
func (f *faults) unlessStuck(call func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("pebble panicked: %v", p)
			}
		}()
		done <- call()
	}()
	for {
		change := f.change() // taken before the state is looked at
		if f.wedged.Load() {
			return errStuck
		}
		select {
		case err := <-done:
			return err
		case <-change:
		}
	}
}

// inBackground reports whether the outermost function of this goroutine is
// Pebble's.
func inBackground() bool {
	pcs := make([]uintptr, 256)
	for {
		n := runtime.Callers(0, pcs)
		if n < len(pcs) {
			pcs = pcs[:n]
			break
		}
		pcs = make([]uintptr, 2*len(pcs))
	}
	outermost := ""
	for frames := runtime.CallersFrames(pcs); ; {
		frame, more := frames.Next()
		if frame.Function != "runtime.goexit" && frame.Function != "" {
			outermost = frame.Function
		}
		if !more {
			return strings.HasPrefix(outermost, "github.com/cockroachdb/pebble/")
		}
	}
}

// readError marks what Pebble calls corruption as ErrDamaged.
func readError(err error) error {
	if err != nil && pebble.IsCorruptionError(err) && !errors.Is(err, ErrDamaged) {
		return fmt.Errorf("%w: %w", ErrDamaged, plain(err))
	}
	return err
}

// plainError is an error of Pebble's in words that people are shown.
type plainError struct{ error }

// plain leaves out of an error's text what is of Pebble's insides.
func plain(err error) error {
	if err == nil {
		return nil
	}
	return &plainError{err}
}

// carrierText is what Pebble joins to errors of corruption, for programs.
const carrierText = "<corruption detail carrier>"

// unnamedFile is how Pebble names a file that it was not told the number of.
const unnamedFile = "file 000000: "

func (e *plainError) Error() string {
	var lines []string
	for line := range strings.Lines(e.error.Error()) {
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "pebble: "), unnamedFile)
		if line != "" && line != carrierText {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

func (e *plainError) Unwrap() error { return e.error }

// closed returns what a call that failed, or did not, and the Close after it
// came to. That a damaged store was halted says nothing new.
func closed(err, closing error) error {
	if errors.Is(err, ErrDamaged) && errors.Is(closing, ErrHalted) {
		return err
	}
	return errors.Join(err, closing)
}
