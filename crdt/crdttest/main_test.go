package crdttest

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"testing"
)

// cases is how many random cases each lens of package crdt passes, unless
// -rapid.checks asks for another number.
const cases = 10_000

// gcPercent lets garbage grow: what is live here is small, and collecting it
// every 4 MB takes a quarter of the time.
const gcPercent = 1600

func TestMain(m *testing.M) {
	flag.Parse()
	chosen := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { chosen[f.Name] = true })
	for name, value := range map[string]string{
		"rapid.checks": fmt.Sprint(cases),
		// Lenses broken on purpose fail: no files of that.
		"rapid.nofailfile": "true",
		"rapid.shrinktime": "1s",
	} {
		if !chosen[name] {
			if err := flag.Set(name, value); err != nil {
				panic(err)
			}
		}
	}
	checksChosen = chosen["rapid.checks"]
	debug.SetGCPercent(gcPercent)
	os.Exit(m.Run())
}

// checksChosen says that -rapid.checks was given.
var checksChosen bool

// setChecks sets how many cases a test passes.
func setChecks(n int) {
	if err := flag.Set("rapid.checks", fmt.Sprint(n)); err != nil {
		panic(err)
	}
}
