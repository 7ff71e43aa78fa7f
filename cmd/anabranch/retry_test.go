package main

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestRetryWaitsForWhatPasses(t *testing.T) {
	passes := errors.New("busy")
	for _, c := range []struct {
		name string
		errs []error
		want error
	}{
		{"at once", []error{nil}, nil},
		{"after a while", []error{passes, passes, nil}, nil},
		{"what does not pass", []error{passes, context.DeadlineExceeded}, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			err := retry(context.Background(), passes, func() error { n++; return c.errs[n-1] })
			if !errors.Is(err, c.want) || n != len(c.errs) {
				t.Errorf("%s: %d tries, then %v", c.name, n, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		if err := retry(context.Background(), passes, func() error { return passes }); !errors.Is(err, passes) {
			t.Errorf("what never passes: %v", err)
		}
	})
}

func TestWhatATerminalWouldActOnIsQuoted(t *testing.T) {
	for text, want := range map[string]string{
		"plain ä": "plain ä", "a\x1b[2Jb": `"a\x1b[2Jb"`, "two\nlines": `"two\nlines"`,
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %s, want %s", text, got, want)
		}
	}
}
