package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
	"github.com/anabranch-db/anabranch/replica/lan"
)

type serveArgs struct {
	listen     string
	peers      []string
	namespaces []string
	retention  time.Duration
	meshLinks  int
	discover   bool
	verbose    bool
	profile    string

	clockOffset  time.Duration
	ignoreExpiry bool
}

func serveCommand(g *globals) *cobra.Command {
	var args serveArgs
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the node of a directory: sync with peers, and answer the other verbs",
		Long: `Serve runs the directory's node until it is interrupted: it keeps links with its
peers and syncs the namespaces it holds. The other verbs, run with the same
--dir, talk to it over a socket in the directory.

Peers are those of --peer, 'peer add' and 'join'; beside them the node looks for
some among those that its peers tell it of (--mesh-links), and that it discovers
on the local network (--discover). 'peer list' tells them apart.

It prints one line, "serving ...", once it takes links and verbs.`,
		Example: "  anabranch serve --dir ./hub --listen :7600 --namespace edge\n  anabranch serve --dir ./camera --peer hub.example:7600 --namespace edge",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if args.retention <= 0 {
				return usagef("--retention %v: removals must be kept for some time", args.retention)
			}
			return serve(cmd, g, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&args.listen, "listen", ":0", "the UDP address to listen at; port 0 is any free one")
	flags.StringArrayVar(&args.peers, "peer", nil, "HOST:PORT of a node to keep a link with, as long as this runs; repeated")
	flags.StringArrayVar(&args.namespaces, "namespace", nil, "a namespace to hold, made if it is not here; repeated")
	flags.DurationVar(&args.retention, "retention", replica.DefaultRetention, "how long removals are kept; a node away for longer compares all it has to catch up")
	flags.IntVar(&args.meshLinks, "mesh-links", replica.DefaultMeshLinks, "how many links to have before the node stops to look for peers that others told it of; 0: never look")
	flags.BoolVar(&args.discover, "discover", false, "find nodes of the cluster on the local network by mDNS, and be found by them")
	flags.StringVar(&args.profile, "profile", replica.ProfileStandard.String(), "how much memory to take: small (about 40 MiB with a million keys), standard, or hub; where GOGC and GOMEMLIMIT are not set, it sets them too")
	flags.DurationVar(&args.clockOffset, "clock-offset", 0, "run with a wall clock that is off by this much, for drills: what a device does that believes in 1970, or in ten years from now")
	flags.BoolVar(&args.ignoreExpiry, "ignore-certificate-expiry", false, "link with nodes whose certificates have ended, or not begun, by this clock; revocations still count")
	flags.BoolVar(&args.verbose, "verbose", false, "log links and more to standard error")
	return cmd
}

func serve(cmd *cobra.Command, g *globals, args serveArgs) (err error) {
	level := slog.LevelWarn
	if args.verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level}))
	profile, err := replica.ParseProfile(args.profile)
	if err != nil {
		return usagef("--profile %q: want small, standard or hub", args.profile)
	}
	if _, err := os.Stat(g.dir); err != nil {
		return missingf("no directory %s (make one with 'anabranch init' or 'anabranch join')", g.dir)
	}
	boundCollector(profile)
	var discovery replica.Discovery
	if args.discover {
		discovery = lan.New(log)
	}
	db, err := g.openServed(cmd.Context(), replica.Options{
		Discovery: discovery,
		Listen:    args.listen, Peers: args.peers, Retention: args.retention, Logger: log,
		MeshLinks: meshLinks(args.meshLinks), Profile: profile,
		Now: func() time.Time { return time.Now().Add(args.clockOffset) }, IgnoreExpiry: args.ignoreExpiry,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, name := range args.namespaces {
		if _, err := db.Create(name); err != nil {
			return err
		}
	}
	server, err := listenSocket(g.dir, db, log)
	if err != nil {
		return err
	}
	defer server.Close()
	s, err := db.Status()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "serving %s as node %s at %s\n", g.dir, s.Node.Short(), s.Listen)
	<-cmd.Context().Done()
	return nil
}

// boundCollector sets Go's collector as the profile says, unless the operator
// did.
func boundCollector(p replica.Profile) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(p.GCPercent())
	}
	if limit := p.MemoryLimit(); limit > 0 && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(limit)
	}
}

// meshLinks returns the option for a number of links, of which 0 means none.
func meshLinks(n int) int {
	if n <= 0 {
		return -1
	}
	return n
}

// openServed opens the directory to serve it. A verb that has it open now is
// waited for; another daemon is not.
func (g *globals) openServed(ctx context.Context, o replica.Options) (db *replica.DB, err error) {
	err = retry(ctx, replica.ErrInUse, func() (err error) {
		if conn, err := dialDaemon(ctx, g.dir); err == nil {
			return errors.Join(fmt.Errorf("%s is served by another daemon", g.dir), conn.Close())
		}
		db, err = replica.Open(g.dir, o)
		return err
	})
	return db, err
}
