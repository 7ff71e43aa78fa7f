package plot

import (
	"io"
	"math"
)

// Lines is a plot of lines over two logarithmic axes.
type Lines struct {
	Title string
	X, Y  string // what the axes are of, with their units
	Lines []Line
}

// Line is one of them: at each X a Y, in ascending order of X.
type Line struct {
	Name   string
	X, Y   []float64
	Dashed bool // for what is set beside what was measured
}

// The measures of a plot, in pixels.
const (
	linesWidth  = 640
	linesHeight = 300
	linesLeft   = 74
	linesTop    = 34
	linesRight  = 190 // for the names of lines
	linesBottom = 46
)

// Write writes the plot as SVG.
func (p *Lines) Write(w io.Writer) error {
	c := NewCanvas(linesWidth+linesRight, linesHeight)
	x, y := p.scales()
	c.Title(8, 18, p.Title)
	for _, at := range x.Ticks() {
		px := x.At(at)
		c.Line(px, linesTop, px, linesHeight-linesBottom, Grid)
		c.Text(px, linesHeight-linesBottom+16, "middle", Faint, Figure(at))
	}
	for _, at := range y.Ticks() {
		py := y.At(at)
		c.Line(linesLeft, py, linesWidth, py, Grid)
		c.Text(linesLeft-6, py+4, "end", Faint, Figure(at))
	}
	c.Text((linesLeft+linesWidth)/2, linesHeight-10, "middle", Faint, p.X)
	c.Upwards(14, (linesTop+linesHeight-linesBottom)/2, p.Y)
	for i, l := range p.Lines {
		color := palette[i%len(palette)]
		var points []float64
		for j := range l.X {
			if shows(l.X[j]) && shows(l.Y[j]) {
				points = append(points, x.At(l.X[j]), y.At(l.Y[j]))
			}
		}
		c.Path(points, color, l.Dashed)
		for j := 0; j < len(points) && !l.Dashed; j += 2 {
			c.Dot(points[j], points[j+1], color)
		}
		at := float64(linesTop + 14 + 18*i)
		c.Path([]float64{linesWidth + 10, at - 4, linesWidth + 30, at - 4}, color, l.Dashed)
		c.Text(linesWidth+36, at, "start", Ink, l.Name)
	}
	_, err := c.WriteTo(w)
	return err
}

// scales returns axes that hold all lines.
func (p *Lines) scales() (x, y Scale) {
	var xs, ys []float64
	for _, l := range p.Lines {
		for j := range l.X {
			if shows(l.X[j]) && shows(l.Y[j]) {
				xs, ys = append(xs, l.X[j]), append(ys, l.Y[j])
			}
		}
	}
	return NewScale(xs, linesLeft, linesWidth), NewScale(ys, linesHeight-linesBottom, linesTop)
}

// shows tells whether a logarithm can show a figure.
func shows(f float64) bool { return f > 0 && !math.IsInf(f, 0) && !math.IsNaN(f) }

// Scale is a logarithmic axis, from figures to pixels.
type Scale struct {
	least, greatest float64 // of figures
	from, to        float64 // in pixels
}

// NewScale returns an axis that holds figures, all above 0.
func NewScale(figures []float64, from, to float64) Scale {
	if len(figures) == 0 {
		figures = []float64{1}
	}
	s := Scale{math.Inf(1), 0, from, to}
	for _, f := range figures {
		s.least, s.greatest = min(s.least, f), max(s.greatest, f)
	}
	s.least, s.greatest = down(s.least), up(s.greatest)
	if s.least == s.greatest {
		s.greatest *= 10
	}
	return s
}

// down and up return the nearest of 1, 2, 5, 10, 20, ... that is not above, and
// not below.
func down(f float64) float64 {
	ten := math.Pow(10, math.Floor(math.Log10(f)))
	for _, m := range []float64{5, 2} {
		if f >= m*ten {
			return m * ten
		}
	}
	return ten
}

func up(f float64) float64 {
	at := down(f)
	for _, m := range []float64{1, 2, 2.5, 5} {
		if at*m >= f*(1-1e-9) {
			return at * m
		}
	}
	return at * 10
}

// At returns where a figure lies.
func (s Scale) At(f float64) float64 {
	return s.from + (s.to-s.from)*math.Log(f/s.least)/math.Log(s.greatest/s.least)
}

// Ticks are round figures on the axis: at most some ten.
func (s Scale) Ticks() (at []float64) {
	decades := math.Log10(s.greatest / s.least)
	marks := []float64{1}
	switch {
	case decades <= 1.5:
		marks = []float64{1, 2, 3, 5, 7}
	case decades <= 3:
		marks = []float64{1, 2, 5}
	}
	step := 1
	if decades > 10 {
		step = 3
	}
	for e := int(math.Floor(math.Log10(s.least))); e <= int(math.Ceil(math.Log10(s.greatest))); e += step {
		for _, m := range marks {
			if t := m * math.Pow(10, float64(e)); t >= s.least*(1-1e-9) && t <= s.greatest*(1+1e-9) {
				at = append(at, t)
			}
		}
	}
	return at
}
