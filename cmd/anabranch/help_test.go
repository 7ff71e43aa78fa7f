package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// walk calls each on every command below cmd, and on it.
func walk(cmd *cobra.Command, each func(*cobra.Command)) {
	each(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, each)
	}
}

func TestEveryVerbHasHelpWithAnExample(t *testing.T) {
	walk(newRoot(), func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())
		r := runIn(t.TempDir(), "", append(path[1:], "--help")...)
		_, example, ok := strings.Cut(r.stdout, "Examples:\n")
		if r.code != exitOK || !ok || !strings.Contains(example, "anabranch ") {
			t.Errorf("%s --help: exit code %d, no example of itself:\n%s%s", cmd.CommandPath(), r.code, r.stdout, r.stderr)
		}
		if cmd.Short == "" || !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: summary %q, example %q", cmd.CommandPath(), cmd.Short, cmd.Example)
		}
	})
}

// A group without a verb prints what verbs it has; that is no error.
func TestGroupsPrintTheirVerbs(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if !cmd.HasSubCommands() {
			continue
		}
		r := runIn(t.TempDir(), "", cmd.Name())
		for _, sub := range cmd.Commands() {
			if r.code != exitOK || !strings.Contains(r.stdout, "\n  "+sub.Name()+" ") {
				t.Errorf("%s: exit code %d, without %s:\n%s", cmd.Name(), r.code, sub.Name(), r.stdout)
			}
		}
	}
}

// What a verb does on a daemon is looked up by the words that a user types.
func TestEveryHandlerIsAVerb(t *testing.T) {
	verbs := map[string]bool{}
	walk(newRoot(), func(cmd *cobra.Command) {
		verbs[strings.TrimPrefix(cmd.CommandPath(), "anabranch ")] = true
	})
	for name := range handlers() {
		if !verbs[name] {
			t.Errorf("the handler %q has no command", name)
		}
	}
}
