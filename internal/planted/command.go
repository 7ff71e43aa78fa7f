package planted

import (
	"fmt"
	"io/fs"
	"strings"
)

// Command is a run of tests.
type Command struct {
	Package string   // as go test takes it: ./store
	Tests   []string // names of test functions
	Flags   []string // further ones, as go test takes them: -short
}

func (c Command) String() string {
	return strings.Join(append([]string{c.Package, strings.Join(c.Tests, "|")}, c.Flags...), " ")
}

func readCommand(text string) (Command, error) {
	words := strings.Fields(text)
	if len(words) < 3 || !strings.HasPrefix(words[0], "./") || words[1] != "-run" {
		return Command{}, fmt.Errorf("%q is no test: want ./package -run TestName", text)
	}
	return Command{words[0], strings.Split(words[2], "|"), words[3:]}, nil
}

// Exists returns an error if the package has no test of one of the names.
func (c Command) Exists(tree fs.FS) error {
	files, err := fs.Glob(tree, strings.TrimPrefix(c.Package, "./")+"/*_test.go")
	if err != nil {
		return err
	}
	var all strings.Builder
	for _, name := range files {
		data, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		all.Write(data)
	}
	for _, test := range c.Tests {
		if !strings.Contains(all.String(), "\nfunc "+test+"(") {
			return fmt.Errorf("%s has no %s", c.Package, test)
		}
	}
	return nil
}

// args returns the command's arguments to the package's test binary.
func (c Command) args() []string {
	args := []string{"-test.run", "^(" + strings.Join(c.Tests, "|") + ")$", "-test.timeout", timeLimit.String(), "-test.failfast", "-test.v"}
	for _, f := range c.Flags {
		if f == "-short" {
			f = "-test.short"
		}
		args = append(args, f)
	}
	return args
}
