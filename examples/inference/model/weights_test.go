package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/vibration"
)

func TestEveryVersionLoadsAndEncodesToItsFile(t *testing.T) {
	for _, version := range Versions() {
		c, err := Load(version)
		if err != nil {
			t.Fatal(err)
		}
		file, err := weights.ReadFile("weights/" + version + ".abvm")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(c.Encode(), file) {
			t.Errorf("%s: decoding and encoding changed the file", version)
		}
	}
}

func TestAnUnknownVersionIsNamed(t *testing.T) {
	for _, version := range []string{"v3", "", "../model", "v1.abvm"} {
		if _, err := Load(version); !errors.Is(err, ErrUnknownVersion) {
			t.Errorf("Load(%q): %v, want ErrUnknownVersion", version, err)
		}
	}
}

func TestDamagedWeightsAreRefused(t *testing.T) {
	good := encoded(t)
	for n := range good {
		if _, err := Decode(good[:n]); !errors.Is(err, ErrWeights) {
			t.Fatalf("the first %d bytes: %v, want ErrWeights", n, err)
		}
		flipped := bytes.Clone(good)
		flipped[n] ^= 0x10
		if _, err := Decode(flipped); !errors.Is(err, ErrWeights) {
			t.Fatalf("a flipped bit in byte %d: %v, want ErrWeights", n, err)
		}
	}
}

// A right sum does not make a right file.
func TestWeightsOfAnotherShapeOrWithoutAValueAreRefused(t *testing.T) {
	for name, change := range map[string]func(body []byte){
		"another magic":   func(b []byte) { b[0] = 'X' },
		"another version": func(b []byte) { b[4]++ },
		"another shape":   func(b []byte) { b[6]++ },
		"a NaN":           func(b []byte) { binary.BigEndian.PutUint64(b[headBytes:], math.Float64bits(math.NaN())) },
		"an infinity":     func(b []byte) { binary.BigEndian.PutUint64(b[headBytes:], math.Float64bits(math.Inf(1))) },
	} {
		if _, err := Decode(resum(encoded(t), change)); !errors.Is(err, ErrWeights) {
			t.Errorf("%s: %v, want ErrWeights", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good := encoded(f)
	f.Add(good)
	f.Add(resum(good, func(b []byte) { clear(b[headBytes:]) }))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(c.Encode(), b) {
			t.Error("decoding and encoding changed the bytes")
		}
		c.Predict(new(vibration.Features)) // whatever the numbers are
	})
}

func encoded(t testing.TB) []byte {
	c, err := Load("v1")
	if err != nil {
		t.Fatal(err)
	}
	return c.Encode()
}

// resum returns file changed, under the sum of what it then is.
func resum(file []byte, change func(body []byte)) []byte {
	body := bytes.Clone(file[:len(file)-sha256.Size])
	change(body)
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}
