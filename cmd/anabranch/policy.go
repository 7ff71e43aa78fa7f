package main

import (
	"slices"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// policies are the types that one command is for, by the names of their
// policies: the first is the default of what is made.
type policies []struct {
	name string
	kind crdt.Type
}

// choose returns the type that a command acts on: that of the policy asked
// for, else that of what is at the path, else the default. A policy is fixed
// when a set or flag is first made: another one is an error. Two nodes that
// made it with different policies made two: then one must be asked for.
func (ps policies) choose(v crdt.View, a address, p crdt.Path, asked string) (crdt.Type, error) {
	var there []string
	span, err := p.Here()
	if err != nil {
		return 0, err
	}
	for leaf, err := range crdt.Leaves(v, span) {
		if err != nil {
			return 0, err
		}
		for _, policy := range ps {
			if policy.kind == leaf.Type {
				there = append(there, policy.name)
			}
		}
	}
	name := asked
	switch {
	case asked == "" && len(there) > 1:
		return 0, usagef("%s: both policies are there (%s): say which with --policy", a, strings.Join(there, " and "))
	case asked == "" && len(there) == 1:
		name = there[0]
	case asked == "":
		name = ps[0].name
	case len(there) > 0 && !slices.Contains(there, asked):
		return 0, usagef("%s: it was made with the policy %s, not %s", a, there[0], asked)
	}
	for _, policy := range ps {
		if policy.name == name {
			return policy.kind, nil
		}
	}
	return 0, usagef("policy %q: want %s or %s", asked, ps[0].name, ps[1].name)
}

// help names the policies, for a flag's usage.
func (ps policies) help() string {
	return ps[0].name + " or " + ps[1].name + "; fixed when it is first made (default " + ps[0].name + ")"
}
