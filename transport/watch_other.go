//go:build !linux

package transport

import (
	"context"
	"net"
	"slices"
	"time"
)

// lookEvery is how often the addresses are looked at where nobody tells: it is
// within a second that a node is to be back.
const lookEvery = time.Second

// watchNetwork calls changed when the addresses have changed.
func watchNetwork(ctx context.Context, changed func()) error {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	for before := addressTexts(); ; {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if now := addressTexts(); !slices.Equal(now, before) {
			before = now
			changed()
		}
	}
}

// addressTexts returns the addresses of this machine, in order.
func addressTexts() (all []string) {
	addresses, _ := net.InterfaceAddrs() // none where they cannot be told
	for _, a := range addresses {
		all = append(all, a.String())
	}
	slices.Sort(all)
	return all
}
