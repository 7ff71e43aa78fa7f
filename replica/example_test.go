package replica_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

// A program that counts what it saw, on disk, with or without a network.
func Example() {
	dir, err := os.MkdirTemp("", "anabranch")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ns, err := db.Namespace("edge")
	if err != nil {
		log.Fatal(err)
	}
	seen, model := crdt.NewCounter("seen", "cats"), crdt.NewRegister[string]("model")
	err = ns.Update(context.Background(), func(tx *replica.Tx) error {
		return errors.Join(seen.Add(tx, 3), model.Set(tx, "v7"))
	})
	if err != nil {
		log.Fatal(err)
	}
	err = ns.View(context.Background(), func(v *replica.View) error {
		n, err := seen.Get(v)
		fmt.Println("cats:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: cats: 3
}

// A loop that counts more often than a transaction each would be worth.
func ExampleAccumulator() {
	dir, err := os.MkdirTemp("", "anabranch")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close() // it commits what is accumulated
	ns, err := db.Namespace("edge")
	if err != nil {
		log.Fatal(err)
	}
	frames := crdt.NewCounter("frames")
	acc := ns.Accumulator(frames)
	for range 100_000 {
		if err := acc.Add(1); err != nil {
			log.Fatal(err)
		}
	}
	if err := ns.Flush(context.Background()); err != nil { // else it is there in 50 ms
		log.Fatal(err)
	}
	err = ns.View(context.Background(), func(v *replica.View) error {
		n, err := frames.Get(v)
		fmt.Println("frames:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: frames: 100000
}

// A loop that keeps a copy in memory in step, and stops when it is.
func ExampleNamespace_Watch() {
	dir, err := os.MkdirTemp("", "anabranch")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := replica.Open(dir, replica.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ns, err := db.Namespace("edge")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = ns.Update(ctx, func(tx *replica.Tx) error {
		return crdt.NewMap[map[string]any]("config").Put(tx, map[string]any{"rate": 5, "mode": "eco"})
	})
	if err != nil {
		log.Fatal(err)
	}
	for ev, err := range ns.Watch(ctx, replica.WatchOptions{Prefix: crdt.Path{"config"}}) {
		switch {
		case err != nil:
			log.Fatal(err)
		case ev.Kind == replica.Change:
			value, err := crdt.Fold(ev.At, ev.Path, ev.Type)
			if err != nil {
				log.Fatal(err)
			}
			fmt.Println(ev.Path, "=", value)
		case ev.Kind == replica.Synced:
			return // ev.Cursor would resume here
		}
	}
	// Output:
	// config/mode = "eco"
	// config/rate = 5
}
