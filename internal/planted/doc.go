// Package planted keeps one invariant: for each rule that the system stands on
// there is a test that fails once the rule is broken, and a run shows it.
//
// A mistake is an archive in testdata: a small change of the shipped source
// that breaks one rule, where such a mistake was seen, and the test that finds
// it. A mistake is never in the source itself: go test -overlay puts the
// changed file in the place of the true one, for one build.
//
// # Flow
//
// go test ./internal/planted reads the archives and checks, in a second, that
// each still applies: its old text occurs once, the result parses, and the
// test that it names exists; and that each rule of rule.go is broken by one. So
// whoever changes a line that a mistake stands on learns of it at once, and
// moves the mistake along.
//
// go test ./internal/planted -planted -v -timeout 0 builds and runs them all, as
// many at a time as there are processors, and says of each which test found it;
// with -run TestEachMistakeIsFound/store-.* those with such names.
//
// A mistake is found if its test runs and fails; a build that fails, a test
// that is not there, one that runs out of time or that fails without the
// mistake too proves nothing, and is reported. A test is ended as soon as it
// has failed.
//
// # What it does not do
//
// It does not draw mistakes at random, as mutation testing does. Each of these
// was made once, here or in a system of this kind.
package planted
