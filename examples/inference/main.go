package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// config is what the flags say.
type config struct {
	dir     string
	listen  string
	peers   []string
	site    string
	input   string
	n       int
	every   time.Duration
	promote string
	output  string
}

// errUsage marks a command line that makes no sense.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "inference:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "inference:", err)
		os.Exit(1)
	}
}

// parse reads the flags. Errors wrap errUsage, or are flag.ErrHelp.
func parse(args []string, stderr io.Writer) (config, error) {
	var c config
	f := flag.NewFlagSet("inference", flag.ContinueOnError)
	f.SetOutput(io.Discard) // what is wrong is said once, by main
	f.StringVar(&c.dir, "dir", "", "the device's `directory` (required; made if it is not there)")
	f.StringVar(&c.listen, "listen", "", "the UDP `address` to take connections of peers on, such as :7600")
	f.Func("peer", "the `address` of a peer; may be repeated, need not be reachable", func(s string) error {
		c.peers = append(c.peers, s)
		return nil
	})
	f.StringVar(&c.site, "site", "north", "the `name` of the site whose pumps are simulated")
	f.StringVar(&c.input, "input", "", "a `file` of recorded readings in place of simulated ones, - for standard input")
	f.IntVar(&c.n, "n", 60, "how many readings to judge, 0 for all that come until the interrupt")
	f.DurationVar(&c.every, "every", 0, "how long to wait between readings")
	f.StringVar(&c.promote, "promote", "", "first make this `version` of the model the fleet's active one")
	f.StringVar(&c.output, "o", "text", "the output's `format`: text or json")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			f.SetOutput(stderr)
			f.Usage()
			return c, err
		}
		return c, fmt.Errorf("%w: %w (-help lists the flags)", errUsage, err)
	}
	switch {
	case f.NArg() > 0:
		return c, fmt.Errorf("%w: unexpected argument %q", errUsage, f.Arg(0))
	case c.dir == "":
		return c, fmt.Errorf("%w: -dir is required", errUsage)
	case c.n < 0:
		return c, fmt.Errorf("%w: -n %d is negative", errUsage, c.n)
	case c.output != "text" && c.output != "json":
		return c, fmt.Errorf("%w: -o %q is neither text nor json", errUsage, c.output)
	}
	return c, nil
}

// start is the program. An interrupt, which ends ctx, ends the readings, and
// the summary still comes.
func start(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (err error) {
	c, err := parse(args, stderr)
	if err != nil {
		return err
	}
	readings, closeInput, err := c.source(stdin)
	if err != nil {
		return err
	}
	defer closeInput()
	log := slog.New(slog.NewTextHandler(stderr, nil))
	db, err := replica.Open(c.dir, replica.Options{Listen: c.listen, Peers: c.peers, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d, err := newDevice(db, log)
	if err != nil {
		return err
	}
	if c.promote != "" {
		if err := d.promote(ctx, c.promote); err != nil {
			return err
		}
	}
	judged, err := d.work(ctx, c, readings, stdout)
	if err != nil {
		return err
	}
	s, err := d.summarize(context.WithoutCancel(ctx), judged)
	if err != nil {
		return err
	}
	s.Node = db.Node().String()
	if c.output == "json" {
		return s.printJSON(stdout)
	}
	return s.printText(stdout)
}

// source returns where the readings come from, and what closes it.
func (c config) source(stdin io.Reader) (iter.Seq2[reading, error], func() error, error) {
	switch c.input {
	case "":
		return simulated(c.site), func() error { return nil }, nil
	case "-":
		return recorded(stdin), func() error { return nil }, nil
	}
	f, err := os.Open(c.input)
	if err != nil {
		return nil, nil, err
	}
	return recorded(f), f.Close, nil
}
