// Package model keeps one invariant: a version of the model is its bytes. They
// are checked before they are used, and the same bytes give the same answer to
// the same features, bit for bit, on every machine.
//
// A [Classifier] is a multilayer perceptron with one hidden layer, small
// enough to run on any device thousands of times a second, and to be trained
// in a moment. The binary carries its versions ([Versions]), so that a device
// with no network can run each of them; which one it does run is decided
// elsewhere, by a replicated pointer.
//
// # Flow
//
// [Load] decodes an embedded version; [Classifier.Predict] scores features.
// [Train] makes a classifier from examples: the command in ../train does so
// for the versions that are shipped, and its test checks that they are what
// training gives.
package model
