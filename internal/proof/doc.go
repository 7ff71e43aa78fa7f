// Command proof keeps one invariant: each number in PROOF.md is the sum of what
// tests counted in runs that the ledger names, commit by commit.
//
// # Flow
//
// proof run runs suites of tests by go test -json. A test publishes what it
// did with testing's T.Attr: a name, such as seeds, crash-points or
// fault.restore, and a decimal number. The numbers of a suite are summed, what
// a fuzz target executed and which tests failed come from the output. Then a
// line is added to ledger.jsonl, also if something failed, and PROOF.md is
// written anew from the whole ledger. proof table only does the last.
//
// A suite that is drawn from seeds goes on after the last that the ledger has,
// whatever the commit was, so that totals are of different seeds. A
// test that fails is a violation: its output is shown, with the command that
// shows it again, and the exit code is 1.
//
// A run is entered with the commit that is checked out, so it refuses a tree
// with changes; --scratch runs it, and enters nothing. What a fuzz target found and
// wrote down meanwhile is no such change: a run that finds something is entered.
//
// # Vocabulary
//
// A suite is what one name of proof run stands for. A job is one go test of it.
// A figure is a number with its name.
package main
