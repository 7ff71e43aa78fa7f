package vibration_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

// The sums below were the same on amd64 and on arm64. They change when the
// physics does, and then the shipped weights have to be trained anew.
func TestASeedDecidesWindowsAndFeaturesOnEveryMachine(t *testing.T) {
	rig, analyzer := vibration.NewRig(vibration.Field, 42), vibration.NewAnalyzer()
	samples, features := sha256.New(), sha256.New()
	for range 10 {
		for fault := range vibration.Fault(vibration.Faults) {
			w := rig.Window(fault)
			for _, s := range w {
				samples.Write(binary.BigEndian.AppendUint16(nil, uint16(s)))
			}
			for _, x := range analyzer.Features(w) {
				features.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(x)))
			}
		}
	}
	if got, want := hex.EncodeToString(samples.Sum(nil)), "fbadd56874abf2e37b7112ad78222fca64622e3b9b16bc19375181582e8a82b0"; got != want {
		t.Errorf("windows have the sum %s, want %s", got, want)
	}
	if got, want := hex.EncodeToString(features.Sum(nil)), "0fb8800523575e626fb191cf11810fa16b052a0c2af7779a5d44fe790f3ab751"; got != want {
		t.Errorf("features have the sum %s, want %s", got, want)
	}
}

func TestAnotherSeedGivesAnotherWindow(t *testing.T) {
	one, other := vibration.NewRig(vibration.Bench, 1), vibration.NewRig(vibration.Bench, 2)
	if *one.Window(vibration.Normal) == *other.Window(vibration.Normal) {
		t.Error("two seeds gave one window")
	}
}

// What the analysts' textbooks say: an imbalance shows at the shaft's speed, a
// loose foot at its harmonics, a bearing in the shocks.
func TestFaultsShowWhereTextbooksSay(t *testing.T) {
	rig, analyzer := vibration.NewRig(vibration.Bench, 5), vibration.NewAnalyzer()
	normal := analyzer.Features(rig.Window(vibration.Normal))
	for fault, feature := range map[vibration.Fault]int{
		vibration.Imbalance: 4, // 16 to 34 Hz
		vibration.Looseness: 6, // 52 to 72 Hz
		vibration.Bearing:   2, // the kurtosis
	} {
		if got := analyzer.Features(rig.Window(fault)); got[feature] < 1.2*normal[feature] {
			t.Errorf("%v: feature %d is %v, %v without a fault", fault, feature, got[feature], normal[feature])
		}
	}
}

func TestAFaultOutOfRangeHasAName(t *testing.T) {
	if got := vibration.Fault(9).String(); got != "unknown" {
		t.Errorf("got %q", got)
	}
}
