package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
)

func main() {
	repetitions := flag.Int("repetitions", 3, "how often each does each work")
	run := flag.String("run", "", "only works or entrants whose names match this regexp; nothing is written then")
	dir := flag.String("dir", "", "measure on the disk of this folder (default: that of temporary files)")
	flag.Parse()
	if err := compare(*repetitions, *run, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func compare(repetitions int, run, dir string) error {
	if repetitions < 1 {
		return errors.New("-repetitions is at least 1")
	}
	match, err := regexp.Compile(run)
	if err != nil {
		return err
	}
	progress := func(what string) { fmt.Fprintln(os.Stderr, what) }
	entrants := slices.Concat(ours(), natsEntrants(), sqliteEntrants(), automergeEntrants())
	entrants = slices.DeleteFunc(entrants, func(e entrant) bool { return !match.MatchString(e.work + ", " + e.who) })
	figures, err := hold(&lab{dir}, entrants, repetitions, progress)
	if err != nil {
		return err
	}
	var skipped []string
	if len(automergeEntrants()) == 0 {
		skipped = append(skipped, "Automerge for Go, which needs cgo, and so gcc")
	}
	if run == "" {
		js, err := javaScript(repetitions, progress)
		switch {
		case errors.Is(err, errSkipped):
			skipped = append(skipped, err.Error())
		case err != nil:
			return err
		}
		figures = append(figures, js...)
	}
	r := newReport(figures, skipped, repetitions)
	for _, f := range r.Figures {
		if !f.Quoted {
			fmt.Printf("%-28s %-44s %12.6g %s\n", f.Work, f.Who, f.Value, f.Unit)
		}
	}
	if run != "" {
		return nil
	}
	return r.write(".")
}
