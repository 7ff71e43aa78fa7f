// Package simtest keeps one invariant: a run that fails prints the one command
// that runs it again.
//
// It runs the seeds of package sim in a test, on all processors:
//
//	func TestRollout(t *testing.T) {
//		simtest.Run(t, func() sim.App { return &rollout{} })
//	}
//
// What the runs did is published as attributes of the test: seeds, violations,
// operations, fault.cut and so on, decimal numbers.
//
// With -sim.seeds N a test runs so many, from -sim.first on; with -sim.seed N that
// one only, made small if it fails, and tells all that happens. What is left of it
// is kept in testdata, for a test that runs such files from then on:
//
//	func TestRolloutsThatFailedOnce(t *testing.T) {
//		simtest.Replay(t, "testdata/*.txt", func() sim.App { return &rollout{} })
//	}
//
// A plan means something to the App that it failed with, so each App wants a
// folder of its own; move the file there.
package simtest
