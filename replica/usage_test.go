package replica

import (
	"testing"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/transport/simnet"
)

// The background measures counters once a day, if anything has changed.
func TestCountersAreMeasuredOnceADay(t *testing.T) {
	inBubble(t, 1, simnet.Options{}, func(f *wholeFleet) {
		n := f.nodes[0]
		n.collects(time.Hour)
		add := func(counter string) {
			n.update("edge", func(tx *Tx) error { return crdt.NewCounter(counter).Add(tx, 1) })
		}
		want := func(when string, counters int) (measured time.Time) {
			t.Helper()
			s, err := n.db.Status()
			if err != nil {
				t.Fatal(err)
			}
			switch c := s.Namespaces[0].Counters; {
			case c == nil && counters == 0:
			case c == nil || c.Counters != counters:
				t.Errorf("%s: measured %+v, want %d counters", when, c, counters)
			default:
				return c.Measured
			}
			return measured
		}
		add("a")
		want("at first", 0)
		f.pass(time.Hour)
		first := want("after an hour", 1)
		add("b")
		f.pass(time.Hour)
		want("within the day", 1)
		f.pass(24 * time.Hour)
		second := want("after a day", 2)
		if second.Sub(first) < 24*time.Hour {
			t.Errorf("measured at %v and at %v", first, second)
		}
		f.pass(48 * time.Hour)
		if again := want("with nothing new", 2); !again.Equal(second) {
			t.Errorf("measured at %v and at %v with nothing new", second, again)
		}
		got, err := n.namespace("edge").MeasureCounters(t.Context())
		if err != nil || got.Counters != 2 || !want("when asked to", 2).Equal(got.Measured) {
			t.Errorf("measured %+v, %v", got, err)
		}
	})
}
