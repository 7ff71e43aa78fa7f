// Package crashdisk is a disk in memory that loses its power, for the tests of
// what persists. What a [Disk] would hold after a power cut is known at any
// moment, and follows from a seed: Pebble's own partial clones draw their
// chance in the order of Go's maps. Its operations can be watched and made to
// fail, and an fsync that failed is one that never is made up for.
package crashdisk
