package main

import (
	"errors"
	"testing"
)

// FuzzReading reads any text as a line of the input: a window, or an error that
// says what is wrong with the line.
func FuzzReading(f *testing.F) {
	for _, line := range []string{`{"machine":"a","samples":[1,2]}`, `{"machine":"a","samples":[32768]}`, `{"machine":"","samples":null}`, `{} {}`, `[`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, err := parseReading(line)
		if (err == nil) != (r.window != nil && r.machine != "") || err != nil && !errors.Is(err, errInput) {
			t.Errorf("%q is %+v, %v", line, r, err)
		}
	})
}
