package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/replica"
)

// open returns a device in dir, and where it logs.
func open(t *testing.T, dir string, o replica.Options) (*replica.DB, *device, *bytes.Buffer) {
	t.Helper()
	db, err := replica.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	log := new(bytes.Buffer)
	d, err := newDevice(db, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return db, d, log
}

// followed lets d follow the pointer, and returns a channel that has the
// version that serves each time that d caught up. It is closed when d ended.
func followed(t *testing.T, d *device) <-chan string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	versions := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(versions)
		err := d.follow(ctx, func() {
			select {
			case versions <- d.serving.Load().version:
			case <-ctx.Done():
			}
		})
		if notCancelled(err) != nil {
			t.Errorf("following the pointer: %v", err)
		}
	}()
	t.Cleanup(func() { stop(); <-done })
	return versions
}

func TestAPromotionSwapsTheModelOfARunningDevice(t *testing.T) {
	_, d, _ := open(t, t.TempDir(), replica.Options{})
	versions := followed(t, d)
	if got := <-versions; got != "v1" {
		t.Fatalf("%s serves before any promotion", got)
	}
	r := take(t, "north", 1)[0]
	for _, version := range []string{"v2", "v1", "v2"} {
		if err := d.promote(t.Context(), version); err != nil {
			t.Fatal(err)
		}
		for got := range versions {
			if got == version {
				break
			}
		}
		v, err := d.judge(t.Context(), r)
		if err != nil || v.version != version {
			t.Errorf("judged by %s (%v), want %s", v.version, err, version)
		}
	}
}

// A newer binary elsewhere may promote what this one has never heard of.
func TestAPointerToAVersionThatIsNotHereLeavesTheOldOneServing(t *testing.T) {
	_, d, log := open(t, t.TempDir(), replica.Options{})
	set := func(version string) {
		t.Helper()
		err := d.ns.Update(t.Context(), func(tx *replica.Tx) error {
			return activePointer().Set(tx, version)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	set("v2")
	versions := followed(t, d)
	if got := <-versions; got != "v2" {
		t.Fatalf("%s serves, want v2", got)
	}
	set("v9")
	if got := <-versions; got != "v2" {
		t.Errorf("%s serves, want v2 still", got)
	}
	if !strings.Contains(log.String(), "v9") || !strings.Contains(log.String(), model.ErrUnknownVersion.Error()) {
		t.Errorf("the log does not say so:\n%s", log)
	}
	set("v1")
	if got := <-versions; got != "v1" {
		t.Errorf("%s serves, want v1", got)
	}
}
