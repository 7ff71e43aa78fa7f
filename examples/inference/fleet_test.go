package main

import (
	"testing"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

// until waits for the replica to show what is wanted.
func until(t *testing.T, d *device, what string, holds func(crdt.View) (bool, error)) {
	t.Helper()
	for ev, err := range d.ns.Watch(t.Context(), replica.WatchOptions{}) {
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ev.Kind != replica.Change {
			continue
		}
		ok, err := holds(ev.At)
		if err != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		if ok {
			return
		}
	}
}

// has tells whether a view shows n readings judged by version.
func has(version string, n int64) func(crdt.View) (bool, error) {
	return func(v crdt.View) (bool, error) {
		all, err := counts(v, []string{version}, served)
		return all[version] == n, err
	}
}

func judge(t *testing.T, d *device, rs []reading) {
	t.Helper()
	for _, r := range rs {
		if _, err := d.judge(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// Two devices with a link between them: one works alone first, what it found
// comes to the other one, and a promotion there swaps its model.
func TestAPromotionOnOneDeviceSwapsTheModelOfTheOther(t *testing.T) {
	north, south := t.TempDir(), t.TempDir()
	if _, err := replica.Init(north); err != nil {
		t.Fatal(err)
	}
	hub, there, _ := open(t, north, replica.Options{Listen: "127.0.0.1:0"})
	token, _, err := hub.Invite(replica.InviteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	member, err := replica.Join(t.Context(), south, token)
	if err != nil {
		t.Fatal(err)
	}

	alone, here, _ := open(t, south, replica.Options{})
	judge(t, here, take(t, "south", 12))
	if err := alone.Close(); err != nil {
		t.Fatal(err)
	}

	_, here, _ = open(t, south, replica.Options{Peers: member.Peers})
	versions := followed(t, here)
	if got := <-versions; got != "v1" {
		t.Fatalf("%s serves before any promotion", got)
	}
	until(t, there, "what the other one found alone", has("v1", 12))

	if err := there.promote(t.Context(), "v2"); err != nil {
		t.Fatal(err)
	}
	for got := range versions {
		if got == "v2" {
			break
		}
	}
	judge(t, here, take(t, "south", 6))
	until(t, there, "what the new model found", has("v2", 6))

	mine, err := here.summarize(t.Context(), run{})
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := there.summarize(t.Context(), run{})
	if err != nil {
		t.Fatal(err)
	}
	if mine.Digest != theirs.Digest || len(theirs.Machines) != 6 || theirs.Machines[0].Count != 3 {
		t.Errorf("here %+v, there %+v", mine, theirs)
	}
}
