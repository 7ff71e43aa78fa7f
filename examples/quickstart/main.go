package main

import (
	"context"
	"fmt"
	"log"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/replica"
)

func main() {
	ctx := context.Background()
	db, err := replica.Open("edge.db", replica.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	ns, err := db.Namespace("features")
	if err != nil {
		log.Fatal(err)
	}
	cats := crdt.NewCounter("seen", "cats")
	err = ns.Update(ctx, func(tx *replica.Tx) error { return cats.Add(tx, 1) })
	if err != nil {
		log.Fatal(err)
	}
	err = ns.View(ctx, func(v *replica.View) error {
		n, err := cats.Get(v)
		fmt.Println("cats seen:", n)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}
