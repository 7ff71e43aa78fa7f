package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Damage that a read comes upon stops writing, and outlasts the run: nothing
// is served of a store that is known to be damaged.
func TestDamageThatARunFoundOutlastsIt(t *testing.T) {
	mem, held := damagedStore(t)
	table := ""
	ls, err := mem.List("store/data")
	ok(t, err)
	for _, name := range ls {
		if strings.HasSuffix(name, ".sst") {
			table = "store/data/" + name
		}
	}
	b := readFile(t, mem, table)
	b[100] ^= 1
	writeFile(t, mem, table, b)
	if got := outcomeOfGets(t, mem, held); got != readRefused {
		t.Fatalf("reading: %s", got)
	}
	_, err = openEngine("store", smallEngine(mem))
	must(t, err, ErrDamaged)
	if !strings.Contains(err.Error(), "an earlier run found") {
		t.Errorf("the refusal says %v", err)
	}
}

func TestAnyMarkIsDamage(t *testing.T) {
	for _, text := range []string{"", "anabranch damaged\nsomething", strings.Repeat("x", 3*maxDamagedBytes)} {
		mem := vfs.NewMem()
		ok(t, mem.MkdirAll("store", 0o755))
		writeFile(t, mem, "store/"+damagedFile, []byte(text))
		must(t, checkMark(mem, "store"), ErrDamaged)
		ok(t, unmark(mem, "store"))
		ok(t, errors.Join(checkMark(mem, "store"), unmark(mem, "store")))
	}
}
