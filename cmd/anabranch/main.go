package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/internal/bench"
)

func main() {
	if bench.Child() { // a row of the verb bench started this process
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "%s: %s%s\n", cmd.CommandPath(), withoutLongWords(err.Error()), hint(err))
	}
	return exitCode(err)
}

// longWord is a word of an error that nobody reads: far longer than a path of
// a file, it is something that was given by mistake.
var longWord = regexp.MustCompile(`\S{512,}`)

// withoutLongWords returns an error's text with such words cut, as cited does.
func withoutLongWords(text string) string {
	return longWord.ReplaceAllStringFunc(text, func(word string) string {
		return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(word[:maxQuoted], ""), len(word))
	})
}

// newRoot builds the command tree.
func newRoot() *cobra.Command {
	g := &globals{output: outputTable}
	root := &cobra.Command{
		Use:   "anabranch",
		Short: "State that stays on the device, and merges when peers reconnect",
		Long: `Anabranch keeps the state of an edge device on the device: registers, counters,
sets, flags, maps and logs that are written and read with no network at all,
and merge deterministically when peers reconnect.

Exit codes: 0 ok, 1 error, 2 usage, 3 missing.`,
		Example: "  anabranch demo\n  anabranch init --dir ./a && anabranch serve --dir ./a --namespace edge",
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if g.dir == "" {
				return usagef("--dir \"\": the directory has no name")
			}
			return nil
		},
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	dir := os.Getenv("ANABRANCH_DIR")
	if dir == "" {
		dir = "anabranch-data"
	}
	root.PersistentFlags().StringVar(&g.dir, "dir", dir, "the node's directory (default from ANABRANCH_DIR)")
	root.PersistentFlags().VarP(&g.output, "output", "o", "how to print")
	root.AddCommand(commands(g)...)
	root.SetFlagErrorFunc(flagError)
	asUsage(root)
	return root
}

// flagError is a usage error; one about a negative number says how to pass it.
func flagError(_ *cobra.Command, err error) error {
	var unknown interface{ GetSpecifiedName() string }
	if errors.As(err, &unknown) {
		if name := unknown.GetSpecifiedName(); len(name) == 1 && name[0] >= '0' && name[0] <= '9' {
			return usagef("%w (put '--' before the arguments where one is a negative number)", err)
		}
	}
	return usagef("%w", err)
}

// asUsage makes every complaint about arguments a usage error, and an unknown
// verb under a group an error rather than its help.
func asUsage(cmd *cobra.Command) {
	check := cmd.Args
	if cmd.HasSubCommands() && check == nil {
		check = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("unknown verb %q (see '%s --help')", args[0], cmd.CommandPath())
		}
		if cmd.RunE == nil {
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	if check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%w", err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		asUsage(sub)
	}
}

// group makes a command that only holds others.
func group(use, short, example string, subs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Example: example}
	cmd.AddCommand(subs...)
	return cmd
}
