package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

func demoCommand(g *globals) *cobra.Command {
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Three nodes part, keep working, and rejoin",
		Long: `Demo runs three nodes of an edge AI fleet as three processes on this machine, each
with its own identity and its own disk, linked by QUIC. They write while they are
connected, then while they are parted, in conflict with each other, and rejoin.
It shows what each node sees at every moment, what won and why, and what the
rejoin took. It exits with 0 if the three end in the same state.`,
		Example: "  anabranch demo\n  anabranch demo -o json | jq .",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd, g, keep)
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "leave the nodes' directories behind, and say where")
	return cmd
}

// demoTimeout bounds the whole demo, so that it fails rather than hangs.
const demoTimeout = 2 * time.Minute

func runDemo(cmd *cobra.Command, g *globals, keep bool) (err error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "anabranch-demo-")
	if err != nil {
		return err
	}
	stage := newStage(cmd.OutOrStdout(), g.output)
	if keep {
		stage.say("The nodes' directories stay in " + dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	f := &fleet{}
	defer func() { err = errors.Join(err, f.stop()) }()
	for _, name := range []string{"gateway", "camera", "kiosk"} {
		f.nodes = append(f.nodes, &demoNode{name: name, dir: filepath.Join(dir, name), binary: self})
	}
	if err := f.start(ctx); err != nil {
		return fmt.Errorf("start the fleet: %w", err)
	}
	return tell(ctx, f, stage)
}

// demoNamespace is what the nodes sync.
const demoNamespace = "edge"

// tell runs the story.
func tell(ctx context.Context, f *fleet, stage *stage) error {
	play := func(scenes []scene) error {
		for _, s := range scenes {
			if err := stage.play(ctx, f, s); err != nil {
				return err
			}
		}
		return nil
	}
	stage.chapter("Connected", "Three processes, three disks, linked by QUIC with mutual TLS. Each writes to its own disk only.")
	if err := play(connectedScenes()); err != nil {
		return err
	}
	if _, err := f.converge(ctx); err != nil {
		return err
	}
	if err := stage.show(ctx, f); err != nil {
		return err
	}

	stage.chapter("Parted", "Every link is down. Nobody stops: each goes on reading and writing what it has.")
	if err := f.each(ctx, "offline"); err != nil {
		return err
	}
	if err := play(partedScenes()); err != nil {
		return err
	}
	if err := stage.show(ctx, f); err != nil {
		return err
	}

	stage.chapter("Rejoined", "The links are back. Each node sends the others what they lack, and nothing else.")
	rejoin, err := f.rejoin(ctx)
	if err != nil {
		return err
	}
	if err := stage.show(ctx, f); err != nil {
		return err
	}
	stage.rejoined(rejoin)
	if err := stage.explain(ctx, f); err != nil {
		return err
	}
	return stage.verdict(ctx, f)
}
