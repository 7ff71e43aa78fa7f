// Package usage keeps one invariant: what it says that this process uses is what
// the kernel counts, and not what Go's runtime thinks.
//
// # Vocabulary
//
//   - Memory: what is resident, now and at most since the process began.
//   - Written: what was handed to disks, in whole pages.
//
// # What it does not do
//
// It works on Linux alone: elsewhere its calls return an error.
package usage
