// Command steady runs the go command with a runtime that leaves nothing to
// chance within a bubble of testing/synctest:
//
//	go run ./internal/steady test ./replica -run EverySeed -whole.seed 17
//
// A bubble has its own time, but shares with all other programs what the
// runtime draws by chance: which ready case a select takes, which of two timers
// of one instant fires first, where the walk over a map begins; and when a
// goroutine has run for long enough. So a failure that a simulation found may
// not come again. With steady, and on one processor (GOMAXPROCS), what happens
// in a bubble follows from the code and from the bubble's time alone. Another
// instant at which a simulation begins gives other draws.
//
// # How
//
// It reads the source of the runtime that the go command has, makes the changes
// that the table in changes.go says, each at a text that has to occur once, and
// has the go command build with the result (-overlay). Nothing of the toolchain
// is changed or kept. A release of Go with another runtime is refused, with the
// change that does not apply.
//
// # What it does not do
//
// The garbage collector stops goroutines, at a point that the whole process
// decides: the test keeps it off while a bubble runs. The order of a large map
// whose keys are pointers follows from addresses. A system call hands the
// processor on after some real time: a bubble should have none. And a program
// that draws from a source of its own has to seed it.
package main
