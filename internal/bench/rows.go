package bench

import "slices"

// Rows returns all rows, in the order of the table. Each group is in a file of
// its own.
func Rows() []Row {
	return slices.Concat(
		localRows(), readRows(), codecRows(), liveRows(), wireRows(), helloRows(), idleRows(),
		diskRows(), openRows(), checkpointRows(), flashRows(), applyRows(), rejoinRows(), memoryRows(), sizeRows(),
	)
}
