package transport

import (
	"errors"
	"strings"
	"time"
)

// How a node that has no room says when there may be some: in the words beside
// CodeBusy, which older releases print.
//
//	retry after 1.5s

const retryAfterWords = "retry after "

// busyReason returns the words that ask a peer to come back after a while.
func busyReason(after time.Duration) string { return retryAfterWords + after.String() }

// RetryAfter returns how long a peer that had no room asked to be left alone,
// or 0 if err is something else or it did not say.
func RetryAfter(err error) time.Duration {
	end, ok := errors.AsType[*CloseError](err)
	if !ok || end.Code != CodeBusy || !end.Remote {
		return 0
	}
	text, ok := strings.CutPrefix(end.Reason, retryAfterWords)
	if !ok {
		return 0
	}
	after, err := time.ParseDuration(text)
	if err != nil {
		return 0
	}
	return max(0, after)
}
