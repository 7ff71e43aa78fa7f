package bench

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"
)

// The measures of the chart, in pixels.
const (
	chartLabel  = 190 // for names
	chartBars   = 520 // for bars
	chartFigure = 200 // for figures
	chartRow    = 22
	chartTop    = 46
)

// Chart writes an SVG with a bar for each result that has a goal: how we stand
// to the raw limit, on a logarithmic scale on which right is better. The mark
// is the goal, the thin line the spread.
func Chart(w io.Writer, results []Result) error {
	var rows []*Result
	for i := range results {
		if !results[i].Goal().None() {
			rows = append(rows, &results[i])
		}
	}
	scale := newChartScale(rows)
	var b strings.Builder
	height := chartTop + chartRow*len(rows) + 12
	width := chartLabel + chartBars + chartFigure
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="8" y="18" font-weight="bold" fill="#1a1a1a">Against the raw limit, in the same run: right is better, the mark is the goal</text>`+"\n")
	for _, at := range scale.ticks() {
		x := scale.x(at)
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>`, x, chartTop-6, x, height-8, tickColor(at))
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#666666" font-size="10">%.3g</text>`+"\n", x, chartTop-10, at)
	}
	for i, r := range rows {
		chartBar(&b, scale, r, chartTop+chartRow*i)
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// chartBar draws one result at y.
func chartBar(b *strings.Builder, scale chartScale, r *Result, y int) {
	color := "#2a78b8"
	if !r.Reached {
		color = "#d9822b"
	}
	var name strings.Builder
	_ = xml.EscapeText(&name, []byte(r.Name)) // a Builder takes all
	least, greatest := r.Spread()
	goal := r.AtLeast
	if r.AtMost > 0 {
		least, greatest, goal = 1/greatest, 1/least, 1/r.AtMost
	}
	from, to := scale.x(scale.least), scale.x(r.Advantage())
	fmt.Fprintf(b, `<text x="8" y="%d" fill="#1a1a1a">%s</text>`, y+14, name.String())
	fmt.Fprintf(b, `<rect x="%.1f" y="%d" width="%.1f" height="12" fill="%s"/>`, from, y+4, to-from, color)
	fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#1a1a1a"/>`, scale.x(least), y+10, scale.x(greatest), y+10)
	fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#1a1a1a" stroke-width="2"/>`, scale.x(goal), y+2, scale.x(goal), y+18)
	fmt.Fprintf(b, `<text x="%d" y="%d" fill="#1a1a1a">%.3g (goal %s)</text>`+"\n", chartLabel+chartBars+8, y+14, r.Ratio, escapeGoal(r.Goal()))
}

func escapeGoal(g Goal) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(g.String())
}

func tickColor(at float64) string {
	if at == 1 {
		return "#888888"
	}
	return "#e4e4e4"
}

// chartScale is the logarithmic axis: from least to greatest, both powers of
// two.
type chartScale struct{ least, greatest float64 }

func newChartScale(rows []*Result) chartScale {
	s := chartScale{0.5, 2}
	for _, r := range rows {
		for _, ratio := range []float64{r.Advantage(), r.best()} {
			if ratio > 0 && !math.IsInf(ratio, 0) {
				s.least = min(s.least, math.Exp2(math.Floor(math.Log2(ratio)-0.1)))
				s.greatest = max(s.greatest, math.Exp2(math.Ceil(math.Log2(ratio))))
			}
		}
	}
	return s
}

// x returns where a ratio lies; what is off the axis lies at its end.
func (s chartScale) x(ratio float64) float64 {
	ratio = min(max(ratio, s.least), s.greatest)
	return chartLabel + chartBars*math.Log2(ratio/s.least)/math.Log2(s.greatest/s.least)
}

// ticks are the powers of two on the axis, every other one where it is long.
func (s chartScale) ticks() (at []float64) {
	step := 2.0
	if s.greatest/s.least > 1<<10 {
		step = 8
	}
	for t := s.least; t <= s.greatest; t *= step {
		at = append(at, t)
	}
	if step > 2 {
		at = append(at, 1)
	}
	return at
}
