package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	folder := flag.String("o", ".", "the folder to write the versions to")
	flag.Parse()
	if err := run(*folder, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// run trains all versions, writes them to the folder, and says how good they
// are.
func run(folder string, out io.Writer) error {
	test := heldOut()
	for _, r := range recipes {
		c := r.train()
		name := filepath.Join(folder, r.version+".abvm")
		if err := os.WriteFile(name, c.Encode(), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: trained on %d windows, right on %.1f%% of %d others\n",
			name, r.perFault*4, 100*accuracy(c, test), len(test))
	}
	return nil
}
