package protocol

import (
	"fmt"
	"iter"
	"slices"

	"github.com/anabranch-db/anabranch/crdt"
)

// Writer records travel ahead of what mentions their writers:
//
//	writers      = [6 number certificates records]
//	number       = the sender's number of the namespace
//	certificates = [*bytes] of nodes of these records, so that a receiver that
//	               never met a node can check its signature
//	records      = [*writer-record], ancestors first (crdt.AppendWriterRecord)

const writersFields = 3

// EncodeWriters returns Writers frames with records, in order. certificate
// returns a node's certificate, or nil if there is none to send.
func EncodeWriters(number uint64, records []*crdt.WriterRecord, certificate func(crdt.NodeID) []byte) iter.Seq[Frame] {
	return func(yield func(Frame) bool) {
		w := writersEncoder{number: number, seen: map[crdt.NodeID]bool{}}
		for _, rec := range records {
			if w.full() {
				if !yield(w.frame()) {
					return
				}
			}
			if !w.seen[rec.Node] {
				w.seen[rec.Node] = true
				w.certify(certificate(rec.Node))
			}
			w.records = crdt.AppendWriterRecord(w.records, rec)
			w.count++
		}
		if w.count > 0 {
			yield(w.frame())
		}
	}
}

type writersEncoder struct {
	number       uint64
	seen         map[crdt.NodeID]bool // nodes whose certificate is in this frame
	certs        int
	certificates []byte
	count        int
	records      []byte
}

// full reports whether the frame is to end. One more record with its
// certificate always fits between the target and the bound.
func (w *writersEncoder) full() bool {
	return len(w.certificates)+len(w.records) >= TargetFrameBytes || w.count == MaxWritersPerFrame
}

func (w *writersEncoder) certify(cert []byte) {
	if len(cert) > 0 {
		w.certificates = crdt.AppendBytes(w.certificates, cert)
		w.certs++
	}
}

// frame ends the frame and starts the next.
func (w *writersEncoder) frame() Frame {
	b := newMessage(32+len(w.certificates)+len(w.records), writersFields, codeWriters)
	b = crdt.AppendUint(b, w.number)
	b = append(crdt.AppendArray(b, w.certs), w.certificates...)
	b = append(crdt.AppendArray(b, w.count), w.records...)
	*w = writersEncoder{number: w.number, seen: map[crdt.NodeID]bool{}}
	return Frame{b}
}

// readWritersHead reads up to the certificates.
func readWritersHead(r *crdt.Reader, fields int) (number uint64) {
	wantFields(r, fields, writersFields)
	return readNumber(r)
}

// DecodeWriters takes the Body of a Learn effect apart. It verifies nothing.
// Certificates alias body. Errors wrap ErrMalformed.
func DecodeWriters(body []byte) (certificates [][]byte, records []*crdt.WriterRecord, err error) {
	r := crdt.NewReader(body)
	for range r.Array(MaxWritersPerFrame) {
		certificates = append(certificates, r.Bytes(MaxCertificateBytes))
		if r.Err() != nil {
			break
		}
	}
	for range r.Array(MaxWritersPerFrame) {
		rec := crdt.ReadWriterRecord(r)
		if r.Err() != nil {
			break
		}
		records = append(records, &rec)
	}
	if err := r.Done(); err != nil {
		return nil, nil, fmt.Errorf("%w: Writers: %w", ErrMalformed, err)
	}
	return certificates, records, nil
}

// Unintroduced returns the writers that are not in introduced, which is
// ordered.
func Unintroduced(writers, introduced []crdt.WriterID) []crdt.WriterID {
	return slices.DeleteFunc(writers, func(w crdt.WriterID) bool {
		_, found := slices.BinarySearchFunc(introduced, w, crdt.WriterID.Compare)
		return found
	})
}
