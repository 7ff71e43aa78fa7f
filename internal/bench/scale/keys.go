package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/plot"
	"github.com/anabranch-db/anabranch/replica"
)

const keysMeans = `A namespace of so many keys of 16 bytes, with 100 bytes each, in a database with its
defaults (16 MiB of cache). Sets are buffered, one in a transaction; sets and reads
are of keys drawn at random. Open is from closed to one value read. The digest is
what two peers with equal vectors compare in the background.

What it means: to open hardly follows the keys: a thousand times as many take seven
times as long, a tenth of a second. A set writes without reading, and does not slow down
as the keys grow. A read falls once the keys are more than the
caches hold. A digest reads every key, and so grows as they do: it runs at most once an
hour, beside all else. Of 10,000 keys the tables hold the 20,000 sets as well, which no
compaction has met yet. To reconcile is not measured here.`

// keysAtOnce are the keys of a transaction while a database is filled.
const keysAtOnce = 1000

// keyed is what was measured at a number of keys.
type keyed struct {
	sets, reads  float64 // a second
	openMillis   float64
	digestMillis float64
	bytesPerKey  float64
}

func keysPart(o *options) (section, error) {
	s := section{name: "keys", title: "Keys of a namespace", means: keysMeans,
		head: []string{"keys", "set, op/s", "read, op/s", "open, ms", "digest, ms", "tables, B/key"}}
	rates := plot.Lines{Title: "Operations a second", X: "keys", Y: "op/s"}
	times := plot.Lines{Title: "Milliseconds", X: "keys", Y: "ms"}
	for _, n := range o.keys {
		k, err := measureKeys(o, n)
		if err != nil {
			return s, err
		}
		o.progress("%d keys: %+v", n, k)
		s.row(figure(n), figure(k.sets), figure(k.reads), figure(k.openMillis), figure(k.digestMillis), figure(k.bytesPerKey))
		add(&rates, "set, buffered", float64(n), k.sets)
		add(&rates, "read", float64(n), k.reads)
		add(&times, "open", float64(n), k.openMillis)
		add(&times, "digest", float64(n), k.digestMillis)
	}
	s.plots = []plot.Lines{rates, times}
	return s, nil
}

func measureKeys(o *options, n int) (k keyed, err error) {
	dir, err := os.MkdirTemp(o.dir, "scale-")
	if err != nil {
		return k, err
	}
	defer os.RemoveAll(dir)
	err = inNamespace(dir, replica.Options{}, func(_ *replica.DB, ns *replica.Namespace) error {
		if err := fill(ns, n); err != nil {
			return err
		}
		k.sets, err = perSecond(20_000, func() error { return set(ns, rand.IntN(n)) })
		return err
	})
	if err != nil {
		return k, err
	}
	start := time.Now()
	err = inNamespace(dir, replica.Options{}, func(db *replica.DB, ns *replica.Namespace) error {
		if err := read(ns, n/2); err != nil {
			return err
		}
		k.openMillis = float64(time.Since(start).Microseconds()) / 1000
		status, err := db.Status()
		if err != nil {
			return err
		}
		k.bytesPerKey = float64(status.Disk.Tables) / float64(n)
		if k.reads, err = perSecond(20_000, func() error { return read(ns, rand.IntN(n)) }); err != nil {
			return err
		}
		start := time.Now()
		_, err = ns.Digest(context.Background())
		k.digestMillis = float64(time.Since(start).Microseconds()) / 1000
		return err
	})
	return k, err
}

func inNamespace(dir string, o replica.Options, fn func(*replica.DB, *replica.Namespace) error) error {
	db, err := replica.Open(dir, o)
	if err != nil {
		return err
	}
	ns, err := db.Namespace(namespace)
	if err == nil {
		err = fn(db, ns)
	}
	return errors.Join(err, db.Close())
}

func perSecond(n int, op func() error) (float64, error) {
	start := time.Now()
	for range n {
		if err := op(); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// register is the i-th key: 16 bytes.
func register(i int) crdt.Register[[]byte] { return crdt.NewRegister[[]byte](fmt.Sprintf("%016d", i)) }

var buffered = replica.UpdateOptions{Buffered: true}

func fill(ns *replica.Namespace, n int) error {
	for from := 0; from < n; from += keysAtOnce {
		err := ns.UpdateWith(context.Background(), buffered, func(tx *replica.Tx) error {
			for i := from; i < min(from+keysAtOnce, n); i++ {
				if err := register(i).Set(tx, noise(i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// noise is a value that does not compress.
func noise(i int) []byte {
	b := make([]byte, valueBytes)
	chance := rand.New(rand.NewPCG(uint64(i), 1))
	for j := range b {
		b[j] = byte(chance.Uint32())
	}
	return b
}

func set(ns *replica.Namespace, i int) error {
	v := noise(i)
	return ns.UpdateWith(context.Background(), buffered, func(tx *replica.Tx) error { return register(i).Set(tx, v) })
}

func read(ns *replica.Namespace, i int) error {
	return ns.View(context.Background(), func(v *replica.View) error {
		_, err := register(i).Get(v)
		return err
	})
}
