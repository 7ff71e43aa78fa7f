// Package exact keeps one invariant: the same arguments give the same bits on
// every machine that Go runs on.
//
// Two things would break that. Where the processor has a fused multiply-add
// (ARM64 has, x86-64 has not by default), the compiler may contract a*b + c,
// which then rounds once in place of twice; a conversion, float64(a*b) + c,
// forbids it. And some functions of package math are written in assembly on
// some platforms. So what is here uses only the four operations, each rounded
// by itself, and functions that IEEE 754 defines exactly: Sqrt, Floor, Ldexp.
//
// Weights that are trained with this arithmetic come out equal everywhere, so
// a test can train them anew and compare bits, and a device in the field can
// check a score that another one reported.
//
// It is not the fastest arithmetic, and is accurate to about 1e-14, not to the
// last bit.
package exact
