package plot

import "io"

// Bars are groups of bars.
type Bars struct {
	Title  string
	Groups []Group
}

// Group is bars of one work in one unit.
type Group struct {
	Title string // what is measured, and which way is better
	Bars  []Bar
}

// Bar is a figure, at least 0, of somebody.
type Bar struct {
	Name  string
	Text  string // the figure, for people
	Value float64
	Ours  bool // drawn in the color that is ours
}

// The measures of bars, in pixels.
const (
	barsName   = 330
	barsLength = 400
	barsText   = 130
	barsRow    = 19
	barsHead   = 30
	barsTop    = 34
)

// Write writes the bars as SVG.
func (p *Bars) Write(w io.Writer) error {
	height := barsTop + 10
	for _, g := range p.Groups {
		height += barsHead + barsRow*len(g.Bars)
	}
	c := NewCanvas(barsName+barsLength+barsText, height)
	c.Title(8, 20, p.Title)
	y := float64(barsTop)
	for _, g := range p.Groups {
		greatest := 0.0
		for _, b := range g.Bars {
			greatest = max(greatest, b.Value)
		}
		c.Title(8, y+18, g.Title)
		y += barsHead
		for _, b := range g.Bars {
			color, length := Other, 0.0
			if b.Ours {
				color = Ours
			}
			if greatest > 0 {
				length = barsLength * b.Value / greatest
			}
			c.Text(barsName-8, y+12, "end", Ink, b.Name)
			c.Rect(barsName, y+2, max(length, 1), barsRow-6, color)
			c.Text(barsName+length+6, y+12, "start", Ink, b.Text)
			y += barsRow
		}
	}
	_, err := c.WriteTo(w)
	return err
}
