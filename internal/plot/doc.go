// Package plot keeps one invariant: what it writes is well-formed SVG that shows
// every figure that it was given, and nothing that it was not: no line goes
// where nothing was measured.
//
// # Vocabulary
//
//   - Lines: a plot of lines over logarithmic axes, a point for each figure.
//   - Bars: groups of bars, each group of one work in one unit, on an axis of
//     its own that begins at nothing.
//   - Scale: a logarithmic axis, from figures to pixels.
//   - Canvas: the SVG that all of these are drawn on.
//
// # What it does not do
//
// It knows nothing of what is measured. Figures that a logarithm cannot show
// (0 and below, infinite, not a number) are left out of Lines.
package plot
