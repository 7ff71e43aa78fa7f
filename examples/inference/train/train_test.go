package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anabranch-db/anabranch/examples/inference/model"
)

// The proof that training is a function: on amd64, on arm64, today and later.
func TestTrainingAgainGivesTheShippedWeightsBitForBit(t *testing.T) {
	for _, r := range recipes {
		shipped, err := model.Load(r.version)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.train().Encode(), shipped.Encode()) {
			t.Errorf("training gives another %s than the one in model/weights: see doc.go for how to write it", r.version)
		}
	}
}

func TestThereIsARecipeForEveryShippedVersion(t *testing.T) {
	var versions []string
	for _, r := range recipes {
		versions = append(versions, r.version)
	}
	if !slices.Equal(versions, model.Versions()) {
		t.Errorf("recipes for %v, shipped are %v", versions, model.Versions())
	}
}

func TestTheNewerVersionIsTheBetterOneInTheField(t *testing.T) {
	windows := heldOut()
	bounds := map[string][2]float64{ // chance is 0.25
		"v1": {0.85, 0.92},
		"v2": {0.95, 0.99},
	}
	for version, bound := range bounds {
		c, err := model.Load(version)
		if err != nil {
			t.Fatal(err)
		}
		if got := accuracy(c, windows); got < bound[0] || got > bound[1] {
			t.Errorf("%s is right on %.3f of the held-out windows, want %v", version, got, bound)
		}
	}
}

func TestTheCommandWritesWhatItTrained(t *testing.T) {
	folder := t.TempDir()
	var out strings.Builder
	if err := run(folder, &out); err != nil {
		t.Fatal(err)
	}
	for _, version := range model.Versions() {
		b, err := os.ReadFile(filepath.Join(folder, version+".abvm"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := model.Decode(b); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
	if lines := strings.Count(out.String(), "\n"); lines != len(recipes) {
		t.Errorf("%d lines of output, want one for each of %d versions:\n%s", lines, len(recipes), &out)
	}
}
