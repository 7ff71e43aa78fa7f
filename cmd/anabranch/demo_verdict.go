package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// rejoined tells what the rejoin took.
func (s *stage) rejoined(r rejoin) {
	if s.emit("rejoin", r) {
		return
	}
	took := time.Duration(r.Millis * float64(time.Millisecond))
	s.print("\n  The rejoin took %v and %s over %d links, handshakes included.\n",
		took.Round(time.Millisecond), byteCount(r.Bytes), r.Links)
}

// explain tells what won and why, and fails if a node sees anything else.
func (s *stage) explain(ctx context.Context, f *fleet) error {
	vs, err := f.look(ctx)
	if err != nil {
		return err
	}
	if s.json == nil {
		s.print("\n  %s\n", s.bold("What won, and why"))
	}
	var wrong []error
	for _, o := range outcomes() {
		if !s.emit("outcome", o) {
			s.print("  %s = %s\n      %s\n", o.Path, o.Value, strings.ReplaceAll(o.Why, "\n", "\n      "))
		}
		for i, seen := range vs {
			if got := seen[o.Path]; got != o.Value {
				wrong = append(wrong, fmt.Errorf("%s sees %s = %q, want %q", f.nodes[i].name, o.Path, got, o.Value))
			}
		}
	}
	if err := s.conflicts(ctx, f.nodes[0]); err != nil {
		return err
	}
	return errors.Join(wrong...)
}

// conflicts shows the value that lost, which is still there.
func (s *stage) conflicts(ctx context.Context, n *demoNode) error {
	at := address{demoNamespace, "model/active"}
	if s.json == nil {
		s.print("\n  $ anabranch register conflicts %s\n", at)
	}
	return call(ctx, n.globals(), "register conflicts", at, func(r conflictRow) error {
		if s.emit("conflict", r) {
			return nil
		}
		mark := "loses"
		if r.Wins {
			mark = "wins"
		}
		s.print("  %-5s  %s  written %s by node %s\n", mark, r.Value, r.Time.Format(writtenLayout), r.Node[:8])
		return nil
	})
}

// verdict compares the digests: the last word of the demo.
func (s *stage) verdict(ctx context.Context, f *fleet) error {
	if s.json == nil {
		s.print("\n  %s\n", s.bold("Digests of all that can be read"))
	}
	var first string
	equal := true
	for _, n := range f.nodes {
		err := call(ctx, n.globals(), "digest", nameArgs{demoNamespace}, func(r digestRow) error {
			if first == "" {
				first = r.Digest
			}
			equal = equal && r.Digest == first
			if !s.emit("digest", map[string]string{"node": n.name, "digest": r.Digest}) {
				s.print("  %-8s %s\n", n.name, r.Digest)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	if !equal {
		return errors.New("the nodes rejoined to different states")
	}
	if !s.emit("equal", true) {
		s.print("\n  Equal: three nodes parted, kept working, and rejoined to one state.\n")
	}
	return nil
}
