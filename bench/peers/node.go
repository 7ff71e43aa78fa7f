package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// nodeScript does the works with the JavaScript libraries.
const nodeScript = "node/documents.mjs"

// errSkipped says that something that is needed is not here.
var errSkipped = errors.New("skipped")

// javaScript runs the script so often, and returns its figures in the order in
// which it gives them.
func javaScript(repetitions int, progress func(string)) ([]Figure, error) {
	if _, err := exec.LookPath("node"); err != nil {
		return nil, fmt.Errorf("%w: Yjs, Automerge (JavaScript) and Loro: there is no node", errSkipped)
	}
	if _, err := os.Stat(filepath.Join("node", "node_modules")); err != nil {
		return nil, fmt.Errorf("%w: Yjs, Automerge (JavaScript) and Loro: run npm --prefix node ci", errSkipped)
	}
	type line struct {
		Work, Who string
		Value     float64
	}
	var order []line
	values := map[line][]float64{}
	for r := range repetitions {
		progress(fmt.Sprintf("%d of %d: JavaScript", r+1, repetitions))
		cmd := exec.Command("node", nodeScript)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", nodeScript, err)
		}
		for dec := json.NewDecoder(bytes.NewReader(out)); ; {
			var l line
			if err := dec.Decode(&l); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", nodeScript, err)
			}
			of := line{Work: l.Work, Who: l.Who}
			if !slices.Contains(order, of) {
				order = append(order, of)
			}
			values[of] = append(values[of], l.Value)
		}
	}
	var figures []Figure
	for _, of := range order {
		kept := inMemory
		if w := workOf(of.Work); w.Unit == "B" || w.Unit == "ms" {
			kept = asOneFile
		}
		figures = append(figures, newFigure(of.Work, of.Who, kept, false, values[of]))
	}
	return figures, nil
}
