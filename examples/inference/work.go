package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

// work judges the readings, while another goroutine follows the pointer. It
// begins when the pointer was read, so that the first reading already has the
// model that the device last knew to be active.
func (d *device) work(ctx context.Context, c config, readings iter.Seq2[reading, error], out io.Writer) (run, error) {
	following, stop := context.WithCancel(ctx)
	synced := make(chan struct{}, 1)
	followed := make(chan error, 1)
	go func() {
		followed <- d.follow(following, func() {
			select {
			case synced <- struct{}{}:
			default: // only the first is waited for
			}
		})
	}()
	var r run
	var err error
	select {
	case <-synced:
		r, err = d.judgeAll(ctx, c, readings, out)
		stop()
		err = errors.Join(err, notCancelled(<-followed))
	case err = <-followed:
		stop()
		err = notCancelled(err)
	}
	return r, err
}

// judgeAll judges readings until there are c.n, or no more, or ctx ends.
func (d *device) judgeAll(ctx context.Context, c config, readings iter.Seq2[reading, error], out io.Writer) (r run, err error) {
	for next, err := range readings {
		if err != nil {
			return r, err
		}
		v, err := d.judge(ctx, next)
		if err != nil && ctx.Err() != nil {
			return r, nil // the interrupt ends the run, it is no fault of it
		}
		if err != nil {
			return r, err
		}
		r.add(next, v)
		if c.output == "text" {
			fmt.Fprintf(out, "%-14s %-9s %.3f  by %s\n", v.machine, v.Fault, v.Score, v.version)
		}
		if r.Readings == c.n || !pause(ctx, c.every) {
			return r, nil
		}
	}
	return r, nil
}

// add counts a verdict.
func (r *run) add(of reading, v verdict) {
	r.Readings++
	if of.truth == "" {
		return
	}
	r.Judged++
	if v.Fault.String() == of.truth {
		r.Right++
	}
}

// pause waits, and reports whether ctx is still alive.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// notCancelled drops the error of what was told to end.
func notCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
