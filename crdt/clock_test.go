package crdt

import (
	"testing"

	"pgregory.net/rapid"
)

const (
	hour  = int64(3_600_000)
	year  = 365 * 24 * hour
	today = int64(1_800_000_000_000)
)

func TestClockStartsIn1970AndBefore(t *testing.T) {
	var c Clock
	if a, b := c.Now(0), c.Now(-5*year); a.Millis() != 0 || b <= a {
		t.Fatalf("readings %d and %d", a, b)
	}
	if got := c.Now(today); got.Millis() != today {
		t.Fatalf("after the clock was set it reads %d", got.Millis())
	}
	if TimestampOf(1<<60) != TimestampOf(maxMillis) || TimestampOf(-1) != 0 {
		t.Fatal("times out of range are not clamped")
	}
}

func TestClockAnHourBackGoesOn(t *testing.T) {
	var c Clock
	before := c.Now(today)
	for range 100_000 { // more than the counter of one millisecond holds
		now := c.Now(today - hour)
		if now <= before {
			t.Fatalf("reading %d after %d", now, before)
		}
		before = now
	}
	if ahead := before.Millis() - today; ahead > 1 {
		t.Fatalf("100,000 readings took the clock %d ms ahead", ahead)
	}
	if now := c.Now(today + hour); now.Millis() != today+hour {
		t.Fatal("the wall caught up, the clock did not")
	}
}

func TestForeignClockTenYearsAheadPullsByTheSkewOnly(t *testing.T) {
	c := Clock{MaxSkewMillis: 60_000}
	if !c.Observe(TimestampOf(today+10*year), today) {
		t.Fatal("ten years ahead were not reported")
	}
	if now := c.Now(today); now.Millis() > today+60_001 {
		t.Fatalf("pulled %d ms ahead", now.Millis()-today)
	}
	if c = (Clock{MaxSkewMillis: 60_000}); c.Observe(TimestampOf(today+59_000), today) {
		t.Fatal("59 seconds ahead were reported")
	}
	if now := c.Now(today); now <= TimestampOf(today+59_000) {
		t.Fatal("a reading does not exceed what was observed")
	}
}

func TestReadingsAlwaysGrow(t *testing.T) {
	walls := rapid.SampledFrom([]int64{-year, 0, 1, today - hour, today, today + 1, today + 10*year, maxMillis - 1, maxMillis})
	rapid.Check(t, func(t *rapid.T) {
		c := Clock{MaxSkewMillis: 60_000}
		for range rapid.IntRange(1, 20).Draw(t, "steps") {
			before, wall := c.Last(), walls.Draw(t, "wall")
			if rapid.Bool().Draw(t, "observe") {
				seen := Timestamp(rapid.Uint64().Draw(t, "seen"))
				skewed := c.Observe(seen, wall)
				if c.Last() < before || (!skewed && c.Last() < seen) {
					t.Fatalf("observed %d, clock went from %d to %d", seen, before, c.Last())
				}
				if bound := min(max(wall, 0)+60_000, maxMillis); c.Last() > before && c.Last().Millis() > bound {
					t.Fatalf("pulled to %d, %d ms beyond the bound", c.Last(), c.Last().Millis()-bound)
				}
				continue
			}
			if now := c.Now(wall); now <= before && before != 1<<64-1 {
				t.Fatalf("reading %d after %d", now, before)
			}
		}
	})
}
