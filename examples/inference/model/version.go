package model

import (
	"embed"
	"errors"
	"fmt"
)

// ErrUnknownVersion marks a version that this binary does not carry. A newer
// one elsewhere in the fleet may.
var ErrUnknownVersion = errors.New("no such version of the model in this binary")

//go:embed weights
var weights embed.FS

// Versions returns the versions that the binary carries, oldest first.
func Versions() []string { return []string{"v1", "v2"} }

// Load returns an embedded version, checked. Errors wrap ErrUnknownVersion or
// ErrWeights, and name the version.
func Load(version string) (*Classifier, error) {
	b, err := weights.ReadFile("weights/" + version + ".abvm")
	if err != nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownVersion, version)
	}
	c, err := Decode(b)
	if err != nil {
		return nil, fmt.Errorf("version %s: %w", version, err)
	}
	return c, nil
}
