// Command quickstart is the program of the project's README: it counts in a
// replica that needs no server, and has one more each time that it runs.
//
// It keeps one invariant: what the README shows is this program, and it works.
// Its test compares the two, and runs it.
package main
