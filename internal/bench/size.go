package bench

import (
	"debug/elf"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// programBudget is what the whole program may take, in MB, as a device gets it:
// without symbols. .ci/run holds the one for linux/arm64 against it, and those
// that embed.
const programBudget = 24

func sizeRows() []Row {
	goal := Goal{AtMost: 1}
	if usesCgo() {
		goal = Goal{} // it is of what is shipped
	}
	return []Row{{
		Name: "size/program", Work: "this program, but for symbols and what debuggers need", Raw: "its budget",
		Unit: "MB", Goal: goal,
		Prepare: func(*Lab) (Repetition, error) {
			return func() (Pair, error) {
				n, err := programBytes()
				return Pair{Ours: float64(n) / 1e6, Raw: programBudget}, err
			}, nil
		},
	}}
}

// usesCgo reports whether the program that runs was built with cgo.
func usesCgo() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"})
}

// programBytes returns what the file of the program that runs would take without
// symbols.
func programBytes() (uint64, error) {
	name, err := os.Executable()
	if err != nil {
		return 0, err
	}
	f, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := strippedBytes(f)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// strippedBytes returns how much of an ELF file is no symbol, and nothing for
// debuggers.
func strippedBytes(file io.ReaderAt) (n uint64, err error) {
	f, err := elf.NewFile(file)
	if err != nil {
		return 0, err
	}
	for _, s := range f.Sections {
		symbols := s.Name == ".symtab" || s.Name == ".strtab" || strings.HasPrefix(s.Name, ".debug_") || strings.HasPrefix(s.Name, ".zdebug_")
		if s.Type != elf.SHT_NOBITS && !symbols {
			n += s.FileSize
		}
	}
	return n, nil
}
