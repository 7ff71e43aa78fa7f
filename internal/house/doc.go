// Package house keeps one invariant: the tree keeps the project's house rules,
// or go test ./... says which file and line breaks which rule.
//
// A rule is here if a reader relies on it and a machine can check it: how long
// a file and a function may be, which package may import which, what the pure
// packages must not touch, what a package and a test must look like. The
// checks are syntactic: they read the files, they type-check nothing, so they
// take milliseconds and run on a tree that does not build.
//
// # Flow
//
// [Check] parses the tree once and gives every file to every rule. A rule is
// a function in the file that bears its name: size.go, imports.go, purity.go,
// packages.go, habits.go. The table of who may import whom is in rooms.go: a
// new package is entered there, deliberately, before it builds.
//
// # What it does not do
//
// It does not format, vet or lint; gofmt, go vet and staticcheck do. It does
// not look into testdata, nor into folders whose name begins with '.' or '_',
// nor into those with a go.mod of their own.
package house
