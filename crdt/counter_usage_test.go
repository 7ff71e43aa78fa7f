package crdt

import (
	"errors"
	"testing"
)

func TestMeasuredCounters(t *testing.T) {
	a, b := duo()
	measure := func(want CounterUsage) {
		t.Helper()
		got, err := MeasureCounters(a.View())
		if err != nil || got.Bytes <= 0 && want != (CounterUsage{}) {
			t.Errorf("%v, %d bytes", err, got.Bytes)
		}
		if got.Bytes = 0; got != want {
			t.Errorf("measured %+v, want %+v", got, want)
		}
	}
	measure(CounterUsage{})
	for run := range CounterChunkAmounts + 3 {
		add(t, restart(a, 0x20+byte(run)), 1)
	}
	add(t, b, 1)
	commit(t, b, 1, func(tx Tx) error {
		return errors.Join(NewCounter("other").Add(tx, 1), NewRegister[int]("seen").Set(tx, 1))
	})
	meet(t, a, b)
	amounts := CounterChunkAmounts + 2
	measure(CounterUsage{Counters: 2, Slots: 3, Chunks: 2, Amounts: amounts})
	commitFound(t, a, seen.Reset) // the two slots as well
	measure(CounterUsage{Counters: 2, Slots: 3, Chunks: 2, Floors: 1, Amounts: 2*amounts + 2})
	commitFound(t, a, seen.Delete)
	measure(CounterUsage{Counters: 2, Slots: 1, Floors: 1, Amounts: amounts + 2})
}
