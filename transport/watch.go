package transport

import (
	"context"
	"time"
)

// networkSettles is how long after a change of the network the next one is
// told: changes come in bursts, a link, its address and its routes. The first
// is told at once, since it may be all that there is.
const networkSettles = 250 * time.Millisecond

// WatchNetwork calls changed whenever this machine's network has changed in a
// way that packets may take another path from now on: an address came or went,
// a route did, a cable was plugged in. It is called at once, and then at most
// four times a second, never twice at a time; the last change of a burst is
// told as well. It returns when ctx ends, or with an error where the operating
// system does not tell.
//
// On Linux the kernel tells (rtnetlink(7)), and nothing runs in between.
// Elsewhere the addresses are looked at once a second.
func WatchNetwork(ctx context.Context, changed func()) error {
	told := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tellChanges(ctx, told, changed)
	}()
	err := watchNetwork(ctx, func() {
		select {
		case told <- struct{}{}:
		default:
		}
	})
	if err != nil && ctx.Err() == nil {
		close(told)
		<-done
		return err
	}
	<-done
	return ctx.Err()
}

// tellChanges calls changed for what comes from told, with pauses.
func tellChanges(ctx context.Context, told <-chan struct{}, changed func()) {
	for {
		select {
		case _, ok := <-told:
			if !ok {
				return
			}
		case <-ctx.Done():
			return
		}
		changed()
		pause := time.NewTimer(networkSettles)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}
