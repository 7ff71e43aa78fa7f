package protocol

import (
	"fmt"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// How events, effects and frames read in transcripts and traces. Writers are
// shown by what names them, or else by their first bytes.

var writerName = func(w crdt.WriterID) string { return w.String()[:6] }

func describeVector(v crdt.Vector) string {
	if v == nil {
		return "nil"
	}
	return describeEntries(v.Entries())
}

func describeEntries(es []crdt.Dot) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = fmt.Sprintf("%s:%d", writerName(e.Writer), e.Seq)
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func describeWriters(ws []crdt.WriterID) string {
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = writerName(w)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func describeRecords(recs []*crdt.WriterRecord) string {
	parts := make([]string, len(recs))
	for i, rec := range recs {
		parts[i] = writerName(rec.Writer)
		if len(rec.Parents) > 0 {
			parts[i] += describeEntries(rec.Parents)
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func describeEvent(ev Event) string {
	switch ev := ev.(type) {
	case LinkUp:
		how := "accepted from"
		if ev.Dialed {
			how = "dialed to"
		}
		return fmt.Sprintf("LinkUp %d %s %s", ev.Link, how, ev.Peer.Short())
	case LinkDown:
		return fmt.Sprintf("LinkDown %d", ev.Link)
	case Received:
		return fmt.Sprintf("Received %d %s", ev.Link, describeFrame(ev.Frame))
	case Flushed:
		return fmt.Sprintf("Flushed %d", ev.Link)
	case Opened:
		return fmt.Sprintf("Opened %s %s", ev.Namespace.Name(), describeVector(ev.Durable))
	case Closed:
		return "Closed " + ev.Namespace
	case Durable:
		return fmt.Sprintf("Durable %s %s", ev.Namespace, describeVector(ev.Vector))
	case Built:
		return fmt.Sprintf("Built job=%d to=%s introduced=%s%s", ev.Job, describeVector(ev.To),
			describeWriters(ev.Introduced), describeError(ev.Err))
	case Applied:
		return fmt.Sprintf("Applied job=%d durable=%s%s", ev.Job, describeVector(ev.Durable), describeError(ev.Err))
	case Learned:
		return fmt.Sprintf("Learned job=%d%s", ev.Job, describeError(ev.Err))
	case Revoked:
		return fmt.Sprintf("Revoked %s %q", ev.Revocation.Node.Short(), ev.Revocation.Statement)
	}
	return "Tick"
}

func describeError(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" err=%q", err)
}

func describeEffect(e Effect) string {
	switch e := e.(type) {
	case Send:
		return fmt.Sprintf("Send %d %s", e.Link, describeMessage(e.Frame.buf[stampRoom:]))
	case Introduce:
		return fmt.Sprintf("Introduce %d ns=%d %s", e.Link, e.Number, describeRecords(e.Records))
	case Build:
		return fmt.Sprintf("Build job=%d link=%d ns=%d epoch=%d from=%s told=%s introduced=%s", e.Job, e.Link,
			e.Number, e.Epoch, describeVector(e.From), describeVector(e.Told), describeWriters(e.Introduced))
	case Cancel:
		return fmt.Sprintf("Cancel job=%d", e.Job)
	case Apply:
		s := fmt.Sprintf("Apply job=%d link=%d %s epoch=%d", e.Job, e.Link, e.Namespace.Name(), e.Epoch)
		if e.First {
			s += " first"
		}
		if e.Last {
			s += " last to=" + describeVector(e.To)
		}
		return s + " " + describeBody(e.Body)
	case Learn:
		_, recs, err := DecodeWriters(e.Body)
		return fmt.Sprintf("Learn job=%d link=%d %s %s%s", e.Job, e.Link, e.Namespace.Name(),
			describeRecords(recs), describeError(err))
	case LearnRevocations:
		return fmt.Sprintf("LearnRevocations %d %q", e.Link, e.Statements)
	case Close:
		return fmt.Sprintf("Close %d %s: %s", e.Link, e.Code, e.Reason)
	case SetTimer:
		return fmt.Sprintf("SetTimer %d", e.AtMillis)
	case Ahead:
		return fmt.Sprintf("Ahead %d %s %s", e.Link, e.Namespace.Name(), describeEntries(e.Entries))
	}
	return fmt.Sprintf("%T", e)
}

// describeFrame describes a frame as it is on the wire.
func describeFrame(b []byte) string {
	r := crdt.NewReader(b)
	seq := r.Uint()
	if r.Err() != nil {
		return fmt.Sprintf("malformed %x", b)
	}
	return fmt.Sprintf("#%d %s", seq, describeMessage(r.Rest()))
}

func describeMessage(b []byte) string {
	r := crdt.NewReader(b)
	c, fields := readCode(r)
	s := describeFields(c, fields, r)
	if r.Err() != nil {
		return fmt.Sprintf("malformed %x", b)
	}
	return c.String() + " " + s
}

func describeFields(c code, fields int, r *crdt.Reader) string {
	switch c {
	case codeHello:
		h := readHello(r, fields)
		s := fmt.Sprintf("versions=%d-%d cluster=%x revocations=%x", h.min, h.max, h.cluster[:2], h.revocations[:2])
		for _, g := range h.namespaces {
			s += fmt.Sprintf(" %s=%x", g.name, g.hash[:3])
		}
		return s
	case codeAnnounce:
		return readAnnounce(r, fields).name
	case codeGone:
		return fmt.Sprintf("ns=%d", readGone(r, fields).number)
	case codeVector:
		v := readVector(r, fields)
		return fmt.Sprintf("ns=%d epoch=%d %s", v.number, v.epoch, describeVector(v.entries))
	case codeHave:
		h := readHave(r, fields)
		return fmt.Sprintf("ns=%d %s", h.number, describeVector(h.diff))
	case codeWant:
		return fmt.Sprintf("ns=%d", readWant(r, fields).number)
	case codeRefuse:
		f := readRefuse(r, fields)
		return fmt.Sprintf("ns=%d epoch=%d %s %s", f.number, f.epoch, f.reason, describeVector(f.entries))
	case codeRevocations:
		return fmt.Sprintf("%q", readRevocations(r, fields).statements)
	case codeWriters:
		n := readWritersHead(r, fields)
		_, recs, err := DecodeWriters(r.Rest())
		return fmt.Sprintf("ns=%d %s%s", n, describeRecords(recs), describeError(err))
	}
	d := readDeltaHead(r, fields)
	s := fmt.Sprintf("ns=%d epoch=%d", d.number, d.epoch)
	if d.last {
		s += " last diff=" + describeVector(d.diff)
	}
	return s + " " + describeBody(r.Rest())
}

// describeBody describes the records of a Delta frame.
func describeBody(body []byte) string {
	var d DeltaDecoder
	var parts []string
	show := func(e crdt.Entry) {
		p, _, _, _ := e.Key.Split()
		s := p.String() + "="
		for i, ev := range e.Record {
			if i > 0 {
				s += ","
			}
			s += fmt.Sprintf("%s:%d", writerName(ev.Writer), ev.Seq)
		}
		parts = append(parts, s)
	}
	for e, err := range d.Add(body) {
		if err != nil {
			return describeError(err)
		}
		show(e)
	}
	if e, ok := d.Rest(); ok {
		show(e)
	}
	return "[" + strings.Join(parts, " ") + "]"
}
