package plot

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The colors that every chart uses.
const (
	Ink   = "#1a1a1a" // text
	Faint = "#666666" // text of axes
	Grid  = "#e4e4e4"
	Ours  = "#2a78b8"
	Other = "#b0b7bf"
	Alarm = "#d9822b"
)

// palette are the colors of lines: told apart in grey, and by those who do not
// see red and green (Okabe, Ito, "Color Universal Design", 2008).
var palette = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#999999"}

// Canvas is an SVG that is drawn on. Places are pixels from the left upper
// corner. The zero value is not usable: see NewCanvas.
type Canvas struct{ b strings.Builder }

// NewCanvas returns a white canvas of a size in pixels.
func NewCanvas(width, height int) *Canvas {
	c := &Canvas{}
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	c.Rect(0, 0, float64(width), float64(height), "#ffffff")
	return c
}

// WriteTo ends the canvas and writes it. It is called once.
func (c *Canvas) WriteTo(w io.Writer) (int64, error) {
	c.b.WriteString("</svg>\n")
	n, err := io.WriteString(w, c.b.String())
	return int64(n), err
}

// Rect draws a filled rectangle.
func (c *Canvas) Rect(x, y, width, height float64, color string) {
	fmt.Fprintf(&c.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, color)
}

// Line draws a line.
func (c *Canvas) Line(x1, y1, x2, y2 float64, color string) {
	fmt.Fprintf(&c.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, color)
}

// Dot draws a point of a line.
func (c *Canvas) Dot(x, y float64, color string) {
	fmt.Fprintf(&c.b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x, y, color)
}

// Path draws a line through points, x and y in turns, dashed or not.
func (c *Canvas) Path(points []float64, color string, dashed bool) {
	dash := ""
	if dashed {
		dash = ` stroke-dasharray="5 4"`
	}
	fmt.Fprintf(&c.b, `<polyline fill="none" stroke="%s" stroke-width="1.6"%s points="`, color, dash)
	for i := 0; i+1 < len(points); i += 2 {
		fmt.Fprintf(&c.b, "%.1f,%.1f ", points[i], points[i+1])
	}
	c.b.WriteString("\"/>\n")
}

// Text writes text that begins, is centred or ends at x, as anchor says: start,
// middle or end.
func (c *Canvas) Text(x, y float64, anchor, color, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, anchor, color, escape(text))
}

// Title writes bold text.
func (c *Canvas) Title(x, y float64, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" font-weight="bold" fill="%s">%s</text>`+"\n", x, y, Ink, escape(text))
}

// Upwards writes text that is read from below, its middle at a place.
func (c *Canvas) Upwards(x, y float64, text string) {
	fmt.Fprintf(&c.b, `<text x="%.1f" y="%.1f" text-anchor="middle" fill="%s" transform="rotate(-90 %.1f %.1f)">%s</text>`+"\n", x, y, Faint, x, y, escape(text))
}

func escape(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes all
	return b.String()
}

// Figure prints a figure with three digits that count, and with a letter for
// its thousands.
func Figure(f float64) string {
	for _, step := range []struct {
		size   float64
		letter string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if f >= step.size {
			return fmt.Sprintf("%.3g%s", f/step.size, step.letter)
		}
	}
	return fmt.Sprintf("%.3g", f)
}
