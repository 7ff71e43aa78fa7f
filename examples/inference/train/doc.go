// Command train makes the versions of the model that the example ships.
//
// It keeps one invariant: training is a function. What it writes follows from
// the recipes in this folder alone, so its test trains again and compares bits.
//
//	go run ./examples/inference/train -o examples/inference/model/weights
//
// Run it after a change to the physics, the features or the arithmetic.
package main
