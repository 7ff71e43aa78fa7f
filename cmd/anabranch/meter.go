package main

import (
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/anabranch-db/anabranch/replica"
)

type (
	// meterArgs are the flags of a metered peer.
	meterArgs struct {
		Metered     bool   `json:"metered,omitempty"`
		BytesPerDay uint64 `json:"bytes_per_day,omitempty"`
		Least       string `json:"least,omitempty"`
	}
	meterRow struct {
		BytesPerDay uint64 `json:"bytes_per_day"`
		Used        uint64 `json:"used"`
		// TurnsSeconds is in how long the day ends.
		TurnsSeconds int64 `json:"turns_s"`
		// Flows is the least priority that flows now.
		Flows    string   `json:"flows"`
		HeldBack []string `json:"held_back"`
	}
)

func meterFlags(cmd *cobra.Command) func() (meterArgs, error) {
	metered := cmd.Flags().Bool("metered", false, "bytes cost on the way there: what is of priority bulk waits for another link")
	bytes := cmd.Flags().String("bytes-per-day", "", "how much may be sent and received in 24 hours, such as 50M; then only what is urgent flows")
	least := cmd.Flags().String("least", "", "the least priority that flows: bulk, normal (default) or urgent")
	return func() (args meterArgs, err error) {
		if args = (meterArgs{Metered: *metered, Least: *least}); !args.Metered && (*bytes != "" || *least != "") {
			return args, usagef("--bytes-per-day and --least are of --metered")
		}
		if *bytes != "" {
			args.BytesPerDay, err = parseBytes(*bytes)
		}
		return args, err
	}
}

// meter returns the meter of the flags, or nil if there is none.
func (a meterArgs) meter() (*replica.Meter, error) {
	if !a.Metered {
		return nil, nil
	}
	o := &replica.Meter{BytesPerDay: a.BytesPerDay}
	var err error
	if a.Least != "" {
		o.Least, err = replica.ParsePriority(a.Least)
	}
	return o, err
}

// byteNumber is how a number of bytes is written.
var byteNumber = regexp.MustCompile(`^([0-9]{1,19}(?:\.[0-9]{1,9})?) ?(?:([KMG])(?:i?B)?|B)?$`)

// parseBytes reads a number of bytes: in units of 1,024 with K, M or G behind,
// or as 'status' prints it.
func parseBytes(text string) (uint64, error) {
	if m := byteNumber.FindStringSubmatch(text); m != nil {
		n, _ := new(big.Rat).SetString(m[1])
		n.Mul(n, new(big.Rat).SetInt64(map[string]int64{"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}[m[2]]))
		whole := new(big.Int).Quo(n.Num(), n.Denom())
		if whole.Sign() > 0 && whole.IsInt64() {
			return whole.Uint64(), nil
		}
	}
	return 0, usagef("%s: want a number of bytes, such as 500000, 64K, 1.5M or 2GiB", cited(text))
}

func meterRowOf(m *replica.MeterStatus) *meterRow {
	if m == nil {
		return nil
	}
	return &meterRow{
		BytesPerDay: m.BytesPerDay, Used: m.UsedBytes, TurnsSeconds: int64(m.Turns / time.Second),
		Flows: m.Flows.String(), HeldBack: append([]string{}, m.HeldBack...),
	}
}

// printMeters prints how the metered peers stand.
func printMeters(out io.Writer, peers []peerRow) {
	for _, p := range peers {
		if p.Meter == nil {
			continue
		}
		m := p.Meter
		fmt.Fprintf(out, "\n%s is metered: %s used", p.Address, byteCount(m.Used))
		if m.BytesPerDay > 0 {
			fmt.Fprintf(out, " of %s a day, which turns in %v", byteCount(m.BytesPerDay), time.Duration(m.TurnsSeconds)*time.Second)
		}
		if len(m.HeldBack) > 0 {
			fmt.Fprintf(out, "; held back, being less than %s: %s", m.Flows, strings.Join(m.HeldBack, ", "))
		}
		fmt.Fprintln(out)
	}
}
