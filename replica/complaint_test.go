package replica

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Why a repair waits is logged when that changes, and not each time that it does
// where it changes all the time.
func TestAComplaintIsMadeOnceInAWhile(t *testing.T) {
	var c complaint
	now := time.Unix(1_000_000, 0)
	logged := 0
	for i := range 600 {
		if c.due(fmt.Errorf("reason %d", i%2), now) {
			logged++
		}
		now = now.Add(time.Second)
	}
	if logged < 2 || logged > 11 {
		t.Errorf("in ten minutes %d complaints", logged)
	}
	logged = 0
	for range 600 {
		if c.due(errors.New("one reason"), now) {
			logged++
		}
		now = now.Add(time.Second)
	}
	if logged != 1 {
		t.Errorf("of one reason %d complaints", logged)
	}
}
