package main

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/anabranch-db/anabranch/examples/inference/model"
	"github.com/anabranch-db/anabranch/examples/inference/vibration"
	"github.com/anabranch-db/anabranch/replica"
)

// device judges readings, and keeps what came of them in a replica. One
// goroutine judges; another may follow the pointer meanwhile.
type device struct {
	ns       *replica.Namespace
	log      *slog.Logger
	analyzer *vibration.Analyzer
	// serving is the model that judges. It is never nil, and is replaced as
	// a whole: a reading is judged by one version.
	serving atomic.Pointer[serving]
}

// serving is a version that was loaded and checked.
type serving struct {
	version    string
	classifier *model.Classifier
}

// newDevice returns a device that judges by the oldest version that the binary
// carries, until the pointer says otherwise. That is not written down: what
// nobody decided must not look like a decision to the fleet.
func newDevice(db *replica.DB, log *slog.Logger) (*device, error) {
	ns, err := db.Namespace(namespace)
	if err != nil {
		return nil, err
	}
	d := &device{ns: ns, log: log, analyzer: vibration.NewAnalyzer()}
	return d, d.serve(model.Versions()[0])
}

// serve swaps the version in, if the binary carries it and its bytes are good.
func (d *device) serve(version string) error {
	c, err := model.Load(version)
	if err == nil {
		d.serving.Store(&serving{version, c})
	}
	return err
}

// judge scores a reading and records the verdict, in one transaction. That is
// buffered: it is on disk a little later, in one write with its neighbours,
// which spares the device's flash. A power cut costs the last verdicts, of
// readings that come again.
func (d *device) judge(ctx context.Context, r reading) (verdict, error) {
	features, s := d.analyzer.Features(r.window), d.serving.Load()
	v := verdict{
		machine: r.machine, version: s.version,
		Prediction: s.classifier.Predict(features),
		level:      features[vibration.FeatureRMS],
		at:         time.Now(),
	}
	return v, d.ns.UpdateWith(ctx, replica.UpdateOptions{Buffered: true}, func(tx *replica.Tx) error {
		return v.record(tx)
	})
}
