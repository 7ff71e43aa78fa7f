package transport

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestABusyPeerSaysWhenToComeBack(t *testing.T) {
	busy := func(reason string) error {
		return refusedWith(&CloseError{Code: CodeBusy, Remote: true, Reason: reason})
	}
	for _, c := range []struct {
		err  error
		want time.Duration
	}{
		{busy(busyReason(1500 * time.Millisecond)), 1500 * time.Millisecond},
		{fmt.Errorf("dial hub: %w", busy("retry after 3s")), 3 * time.Second},
		{busy(""), 0}, // of the first release
		{busy("the peer does not read"), 0},
		{busy("retry after never"), 0},
		{busy("retry after -1h"), 0},
		{busy("retry after 3"), 0},
		{&CloseError{Code: CodeBusy, Reason: "retry after 3s"}, 0}, // this end was busy
		{&CloseError{Code: CodeGoingAway, Remote: true, Reason: "retry after 3s"}, 0},
		{ErrBusy, 0},
		{errors.New("retry after 3s"), 0},
		{nil, 0},
	} {
		if got := RetryAfter(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}
