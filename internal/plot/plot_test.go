package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

// elements counts the elements of a document by name, or fails the test if it is
// not well formed.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	count := map[string]int{}
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			count[e.Name.Local]++
		}
	}
}

func TestLinesHaveAPointForEachFigureThatALogarithmShows(t *testing.T) {
	var svg bytes.Buffer
	p := Lines{Title: "a < b & c", X: "x", Y: "y", Lines: []Line{
		{Name: "some", X: []float64{1, 10, 100, 1000}, Y: []float64{5, 0, math.NaN(), 7}},
		{Name: "beside", X: []float64{1, 10}, Y: []float64{1, 1}, Dashed: true},
	}}
	if err := p.Write(&svg); err != nil {
		t.Fatal(err)
	}
	if n := elements(t, svg.String()); n["circle"] != 2 || n["polyline"] != 4 {
		t.Errorf("%v", n)
	}
	if strings.Contains(svg.String(), "NaN") || strings.Contains(svg.String(), "Inf") {
		t.Error(svg.String())
	}
}

func TestBarsAreAsLongAsTheirFigures(t *testing.T) {
	var svg bytes.Buffer
	p := Bars{Groups: []Group{{Bars: []Bar{{Name: "<a>", Value: 10}, {Value: 5}, {Value: 0}}}, {}}}
	if err := p.Write(&svg); err != nil {
		t.Fatal(err)
	}
	if n := elements(t, svg.String()); n["rect"] != 4 { // one is the ground
		t.Errorf("%v", n)
	}
	for _, width := range []string{`width="400.0"`, `width="200.0"`, `width="1.0"`} {
		if !strings.Contains(svg.String(), width) {
			t.Errorf("no bar of %s in %s", width, &svg)
		}
	}
}

func TestAScaleHoldsItsFiguresBetweenRoundOnes(t *testing.T) {
	s := NewScale([]float64{3, 70}, 0, 100)
	if s.least != 2 || s.greatest != 100 || s.At(2) != 0 || s.At(100) != 100 {
		t.Errorf("%+v", s)
	}
	if at := s.Ticks(); !slices.Equal(at, []float64{2, 5, 10, 20, 50, 100}) {
		t.Errorf("%v", at)
	}
	for _, figures := range [][]float64{nil, {5}, {1e-9, 1e12}, {1000, 1000}} {
		s := NewScale(figures, 0, 1)
		if at := s.Ticks(); len(at) < 2 || len(at) > 12 || !(s.greatest > s.least) {
			t.Errorf("%v: %+v, %v", figures, s, at)
		}
		for _, f := range figures {
			if at := s.At(f); at < -1e-9 || at > 1+1e-9 {
				t.Errorf("%g lies at %g", f, at)
			}
		}
	}
}

func TestFiguresHaveThreeDigits(t *testing.T) {
	for f, want := range map[float64]string{0: "0", 0.01234: "0.0123", 999: "999", 12345: "12.3k", 2e6: "2M", 3.5e9: "3.5G"} {
		if got := Figure(f); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
}
