package main

import (
	"context"
	"errors"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/replica"
)

// promote points the fleet at a version: this device now, each of the others
// when it hears of it. It is on disk when promote returns. A version that this
// binary cannot run is refused: nobody has tried it here.
func (d *device) promote(ctx context.Context, version string) error {
	if _, err := model.Load(version); err != nil {
		return err
	}
	return d.ns.Update(ctx, func(tx *replica.Tx) error {
		return activePointer().Set(tx, version)
	})
}

// follow serves what the pointer says, as long as ctx lives. It calls synced
// each time that it has caught up with the replica, from the start on. It
// returns why it ended.
func (d *device) follow(ctx context.Context, synced func()) error {
	for ev, err := range d.ns.Watch(ctx, replica.WatchOptions{Prefix: activePointer().Path()}) {
		if err != nil {
			return err
		}
		switch ev.Kind {
		case replica.Change:
			if err := d.obey(ev.At); err != nil {
				return err
			}
		case replica.Synced:
			synced()
		}
	}
	return nil
}

// obey swaps in what the pointer says. A version that is not in this binary,
// or whose bytes are damaged, cannot be served: the one before goes on, since
// an old verdict is better than none.
func (d *device) obey(at crdt.View) error {
	version, err := activePointer().Get(at)
	if errors.Is(err, crdt.ErrMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	before := d.serving.Load().version
	if version == before {
		return nil
	}
	if err := d.serve(version); err != nil {
		d.log.Warn("the active model cannot be served here", "active", version, "serving", before, "cause", err)
		return nil
	}
	d.log.Info("model swapped", "from", before, "to", version)
	return nil
}
