// Package sweep keeps one invariant: a sweep of seeds finds what running them one
// after the other would.
//
// It runs many seeds of package sim on all processors, each in a world of its
// own, and makes small what fails.
package sweep
