package store

import (
	"testing"

	"github.com/anabranch-db/anabranch/internal/crashdisk"
)

// A repair that finds no room breaks off, loses nothing, and ends once there is
// some. What the damaged store held back is room for the new one's.
func TestARepairOnAFullDiskCanBeBegunAgain(t *testing.T) {
	mem := filledNode(t)
	hurt(t, mem)
	reserve := ballastBytes(minMemTableBytes)
	d := crashdisk.NewSmall(mem, 0)
	d.Count("db/"+ballastFile, reserve)
	o := repairOptions(d, 1)
	d.SetRoom(reserve + 64<<10)
	for range 3 {
		_, err := Repair(t.Context(), "db", o)
		must(t, err, ErrDiskFull)
		_, err = Open("db", o)
		must(t, err, ErrRepairing)
	}
	d.SetRoom(reserve + ballastHeadroom + 1<<20)
	done, err := Repair(t.Context(), "db", o)
	ok(t, err)
	if done.Aside != "db/damaged-1" || done.Records != 180 {
		t.Errorf("%+v", done)
	}
	s, _ := alone(t, o)
	defer s.Close()
	if keys := held(t, s); len(keys) != 180 {
		t.Errorf("%d keys are there", len(keys))
	}
}
