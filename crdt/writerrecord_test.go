package crdt

import (
	"bytes"
	"testing"

	"github.com/anabranch-db/anabranch/internal/fuzz"
)

func TestWriterRecordHasOneEncoding(t *testing.T) {
	rec := testRecord()
	whole := AppendWriterRecord(nil, &rec)
	checkGolden(t, "writer.golden", []goldenCase{
		{"writer record", whole},
		{"signed bytes", rec.SigningBytes()},
	})
	r := NewReader(whole)
	got := ReadWriterRecord(r)
	if r.Done() != nil || !got.Equal(&rec) || got.Verify() != nil {
		t.Fatalf("came back as %v, error %v", got, r.Err())
	}
	for cut := range len(whole) {
		r := NewReader(whole[:cut:cut])
		if ReadWriterRecord(r); r.Err() == nil {
			t.Errorf("cut at %d: read", cut)
		}
	}
	for name, change := range map[string]func(w *WriterRecord){
		"parent 0":          func(w *WriterRecord) { w.Parents = []Dot{{WriterID{1}, 0}} },
		"parents unordered": func(w *WriterRecord) { w.Parents = []Dot{{WriterID{2}, 1}, {WriterID{1}, 1}} },
		"parent twice":      func(w *WriterRecord) { w.Parents = []Dot{{WriterID{1}, 1}, {WriterID{1}, 2}} },
		"too many parents":  func(w *WriterRecord) { w.Parents = make([]Dot, MaxParents+1) },
		"namespace long":    func(w *WriterRecord) { w.Namespace = string(make([]byte, MaxNamespaceBytes+1)) },
	} {
		bad := rec
		change(&bad)
		r := NewReader(AppendWriterRecord(nil, &bad))
		if ReadWriterRecord(r); r.Err() == nil {
			t.Errorf("%s: read", name)
		}
	}
}

// FuzzReadWriterRecord: whatever is read is the one encoding of itself.
func FuzzReadWriterRecord(f *testing.F) {
	rec := testRecord()
	f.Add(AppendWriterRecord(nil, &rec))
	fuzz.Decoder(f, 128, func(t *testing.T, in []byte) {
		r := NewReader(in)
		rec := ReadWriterRecord(r)
		if r.Err() == nil && !bytes.Equal(AppendWriterRecord(nil, &rec), in[:len(in)-len(r.Rest())]) {
			t.Fatalf("%x read as %v", in, rec)
		}
	})
}
