package vibration

// Fault is what is wrong with a machine.
type Fault uint8

// The faults that rigs make and models tell apart. The numbers are those of a
// model's outputs.
const (
	Normal Fault = iota
	Imbalance
	Looseness
	Bearing
	// Faults is how many there are.
	Faults = 4
)

// String returns the fault's name, as paths and output have it.
func (f Fault) String() string {
	names := [Faults]string{"normal", "imbalance", "looseness", "bearing"}
	if f >= Faults {
		return "unknown"
	}
	return names[f]
}
