// Package bench keeps one invariant: a figure of ours is never shown without
// the raw limit that was measured beside it, in the same run.
//
// # Vocabulary
//
//   - row: a work, done by us and by what lies below us (Pebble, quic-go, a Go
//     map, hand-written code), and the goal for the ratio of the two.
//   - rate: work a second; a greater ratio is better.
//   - cost: time, bytes or round trips for a work; a smaller ratio is better.
//   - repetition: both sides once, in turns, so that what else the machine
//     does meets both. The ratio of a row is the median of the ratios of its
//     repetitions, its spread is the least and the greatest.
//
// # Flow
//
// A Row prepares what it measures in a Lab, which gives it directories and
// takes all of it away afterwards; what Prepare returns is called once a
// repetition. Run runs rows and yields a Result of each; a Report prints as a
// table, as JSON and as an SVG chart, and can be held against an accepted one.
//
// # What it does not do
//
// It compares no absolute figures between runs: machines are noisy, and
// differ. Peers are measured in a module of their own, bench/peers.
package bench
