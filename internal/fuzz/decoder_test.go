package fuzz

import (
	"fmt"
	"testing"
)

// complaints is a test that takes note in place of failing.
type complaints struct {
	testing.TB
	said []string
}

func (c *complaints) Helper() {}

func (c *complaints) Errorf(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

var sink []byte

func TestWhatIsAllocatedIsBoundedByTheInput(t *testing.T) {
	for size, want := range map[int]int{10: 0, fixedBytes / 2: 0, 2 * fixedBytes: 1, 100 * fixedBytes: 1} {
		c := &complaints{TB: t}
		Bounded(c, 10, 2, func() { sink = make([]byte, size) })
		if len(c.said) != want {
			t.Errorf("%d bytes from 10: %q", size, c.said)
		}
	}
	c := &complaints{TB: t}
	Bounded(c, 10, 2, func() {
		for range fixedBytes {
			sink = make([]byte, 16)
		}
	})
	if len(c.said) != 1 {
		t.Error("many small pieces are not counted")
	}
	Bounded(t, fixedBytes, 2, func() { sink = make([]byte, 2*fixedBytes) })
}
