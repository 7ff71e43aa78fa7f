package main

import (
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"
)

type versionRow struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionCommand(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print which release this is",
		Example: "  anabranch version -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			row := buildVersion()
			p := newPrinter(cmd.OutOrStdout(), g.output)
			cells := []string{"anabranch " + row.Version, row.Revision, row.Go, row.Platform}
			cells = slices.DeleteFunc(cells, func(s string) bool { return s == "" }) // a test or a copy has no revision
			if err := p.row(row, row.Version, cells...); err != nil {
				return err
			}
			return p.flush()
		},
	}
}

// buildVersion reads what the Go toolchain wrote into the binary.
func buildVersion() versionRow {
	row := versionRow{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return row
	}
	if info.Main.Version != "" {
		row.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			row.Revision = s.Value
		}
	}
	return row
}
