// Package vibration keeps one invariant: a rig's seed decides its windows, and
// a window decides its features, bit for bit, on every machine.
//
// It is the example's world: pumps, each with an accelerometer on its bearing
// housing. No public recording small enough to ship comes with a licence to
// ship it, so a [Rig] makes windows from the physics that vibration analysts
// teach:
//
//   - every shaft is a little out of balance: a sine at the shaft's frequency,
//     whose force grows with the square of the speed;
//   - an imbalance is much of that;
//   - a loose foot rattles: harmonics of the shaft's frequency, halves of it,
//     and peaks that hit the stop;
//   - a pitted outer race is struck by each ball that rolls over it: 3.58
//     times a turn a shock makes the housing ring at its resonance, under a
//     little slip;
//   - and the sensor adds noise.
//
// # Flow
//
// A [Window] is what the converter gives: half a second of 16-bit samples. An
// [Analyzer] turns it into [Features]: the level, the crest factor and the
// kurtosis of the signal, what its spectrum has in each band, and the same of
// its envelope, which is where a bearing shows first. From then on nothing
// knows that the pump was made up: a program that reads a real sensor at
// [SampleRate] uses the rest as it is.
package vibration
