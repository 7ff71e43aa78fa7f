package replica

import (
	"errors"
	"testing"
	"testing/synctest"
)

func TestAGateWaitsForThoseInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		first, second := errors.New("first"), errors.New("second")
		for range 2 { // whoever is inside may enter again
			if err := g.enter(); err != nil {
				t.Fatal(err)
			}
		}
		shut := 0
		closed := make(chan bool, 2)
		for _, why := range []error{first, second} {
			go func() { closed <- g.shut(why) }()
			synctest.Wait()
		}
		wantIs(t, g.enter(), first)
		for inside := 2; inside > 0; inside-- {
			if len(closed) > 0 {
				t.Fatalf("shut with %d inside", inside)
			}
			g.leave()
			synctest.Wait()
		}
		for range 2 {
			if <-closed {
				shut++
			}
		}
		if shut != 1 {
			t.Errorf("%d calls say that they shut it", shut)
		}
		if g.shut(second) { // does not wait, and changes nothing
			t.Error("shut again")
		}
		wantIs(t, g.enter(), first)
	})
}
