package protocol

import (
	"fmt"
	"strings"

	"github.com/anabranch-db/anabranch/crdt"
)

// namer says how nodes and writers read in transcripts and traces: nodes as
// n1, n2, ..., a node's runs as n1a, n1b, ...
type namer map[crdt.WriterID]string

func (na namer) add(w crdt.WriterID, n crdt.NodeID) {
	runs := 0
	for _, name := range na {
		if strings.HasPrefix(name, na.node(n)) {
			runs++
		}
	}
	na[w] = na.node(n) + string(rune('a'+runs%26))
}

func (na namer) node(n crdt.NodeID) string { return fmt.Sprintf("n%d", n[0]) }

func (na namer) writer(w crdt.WriterID) string {
	if name := na[w]; name != "" {
		return name
	}
	return w.String()[:6]
}

func (na namer) vector(v crdt.Vector) string {
	if v == nil {
		return "nil"
	}
	return na.entries(v.Entries())
}

// past shows the expanded vector.
func (na namer) past(p *crdt.Past) string {
	if p == nil {
		return "nil"
	}
	return na.vector(p.Expand())
}

func (na namer) entries(es []crdt.Dot) string {
	parts := make([]string, len(es))
	for i, e := range es {
		parts[i] = fmt.Sprintf("%s:%d", na.writer(e.Writer), e.Seq)
	}
	return "{" + strings.Join(parts, " ") + "}"
}

func (na namer) writers(ws []crdt.WriterID) string {
	parts := make([]string, len(ws))
	for i, w := range ws {
		parts[i] = na.writer(w)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (na namer) nodes(ns []crdt.NodeID) string {
	parts := make([]string, len(ns))
	for i, n := range ns {
		parts[i] = na.node(n)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (na namer) whereabouts(all []Whereabouts) string {
	parts := make([]string, len(all))
	for i, w := range all {
		parts[i] = fmt.Sprintf("%s(%d) %ds %q", na.node(w.Node), w.How, w.AgeSeconds, w.Places)
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (na namer) spares(b Build) string {
	if !b.OwnOnly {
		return ""
	}
	return " spares=" + na.nodes(b.Spared)
}

func (na namer) records(recs []*crdt.WriterRecord) string {
	parts := make([]string, len(recs))
	for i, rec := range recs {
		parts[i] = na.writer(rec.Writer)
		if len(rec.Parents) > 0 {
			parts[i] += na.entries(rec.Parents)
		}
	}
	return "[" + strings.Join(parts, " ") + "]"
}

func (na namer) event(ev Event) string {
	switch ev := ev.(type) {
	case LinkUp:
		how := "accepted from"
		if ev.Dialed {
			how = "dialed to"
		}
		return fmt.Sprintf("LinkUp %d %s %s", ev.Link, how, na.node(ev.Peer))
	case LinkDown:
		return fmt.Sprintf("LinkDown %d", ev.Link)
	case Received:
		return fmt.Sprintf("Received %d %s", ev.Link, na.frame(ev.Frame))
	case Metered:
		return fmt.Sprintf("Metered %d used=%d", ev.Link, ev.Class.Used)
	case Prioritized:
		return fmt.Sprintf("Prioritized %s %s", ev.Namespace, ev.Priority)
	case Flushed:
		return fmt.Sprintf("Flushed %d", ev.Link)
	case Opened:
		return fmt.Sprintf("Opened %s %s", ev.Namespace.Name(), na.past(ev.Durable))
	case Closed:
		return "Closed " + ev.Namespace
	case Durable:
		return fmt.Sprintf("Durable %s %s", ev.Namespace, na.past(ev.Past))
	case Built:
		return fmt.Sprintf("Built job=%d to=%s introduced=%s%s", ev.Job, na.vector(ev.To),
			na.writers(ev.Introduced), describeError(ev.Err))
	case Applied:
		return fmt.Sprintf("Applied job=%d durable=%s%s", ev.Job, na.past(ev.Durable), describeError(ev.Err))
	case Learned:
		return fmt.Sprintf("Learned job=%d%s", ev.Job, describeError(ev.Err))
	case Revoked:
		return fmt.Sprintf("Revoked %s %q", na.node(ev.Revocation.Node), ev.Revocation.Statement)
	}
	return "Tick"
}

func describeError(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprintf(" err=%q", err)
}

func (na namer) effect(e Effect) string {
	switch e := e.(type) {
	case Send:
		return fmt.Sprintf("Send %d %s", e.Link, na.message(e.Frame.buf[stampRoom:]))
	case Introduce:
		return fmt.Sprintf("Introduce %d ns=%d %s", e.Link, e.Number, na.records(e.Namespace.(*simSpace).recordsOf(e.Writers)))
	case Build:
		return fmt.Sprintf("Build job=%d link=%d ns=%d epoch=%d from=%s told=%s introduced=%s", e.Job, e.Link,
			e.Number, e.Epoch, na.past(e.From), na.vector(e.Told), na.writers(e.Introduced)) + na.spares(e)
	case Cancel:
		return fmt.Sprintf("Cancel job=%d", e.Job)
	case Apply:
		s := fmt.Sprintf("Apply job=%d link=%d %s epoch=%d", e.Job, e.Link, e.Namespace.Name(), e.Epoch)
		if e.First {
			s += " first"
		}
		if e.Last {
			s += " last to=" + na.vector(e.To)
		}
		return s + " " + na.body(e.Body)
	case Learn:
		_, recs, err := DecodeWriters(e.Body)
		return fmt.Sprintf("Learn job=%d link=%d %s %s%s", e.Job, e.Link, e.Namespace.Name(),
			na.records(recs), describeError(err))
	case LearnRevocations:
		return fmt.Sprintf("LearnRevocations %d %q", e.Link, e.Statements)
	case Close:
		return fmt.Sprintf("Close %d %s: %s", e.Link, e.Code, e.Reason)
	case SetTimer:
		return fmt.Sprintf("SetTimer %d", e.AtMillis)
	case Ahead:
		return fmt.Sprintf("Ahead %s %s %s", na.node(e.Peer), e.Namespace.Name(), na.entries(e.Entries))
	}
	return fmt.Sprintf("%T", e)
}

// describeFrame describes a frame as it is on the wire.
func (na namer) frame(b []byte) string {
	r := crdt.NewReader(b)
	seq := r.Uint()
	if r.Err() != nil {
		return fmt.Sprintf("malformed %x", b)
	}
	return fmt.Sprintf("#%d %s", seq, na.message(r.Rest()))
}

func (na namer) message(b []byte) string {
	r := crdt.NewReader(b)
	c, fields := readCode(r)
	s := na.fields(c, fields, r)
	if r.Err() != nil {
		return fmt.Sprintf("malformed %x", b)
	}
	return c.String() + " " + s
}

func (na namer) fields(c code, fields int, r *crdt.Reader) string {
	switch c {
	case codeHello:
		h := readHello(r, fields)
		s := fmt.Sprintf("versions=%d-%d cluster=%x revocations=%x", h.min, h.max, h.cluster[:2], h.revocations[:2])
		for _, g := range h.namespaces {
			s += fmt.Sprintf(" %s=%x", g.name, g.hash[:3])
		}
		if len(h.features) > 0 {
			s += fmt.Sprintf(" features=%d", h.features)
		}
		return s
	case codeAnnounce:
		return readAnnounce(r, fields).name
	case codeGone:
		return fmt.Sprintf("ns=%d", readGone(r, fields).number)
	case codeVector:
		v := readVector(r, fields)
		return fmt.Sprintf("ns=%d epoch=%d %s", v.number, v.epoch, na.vector(v.entries))
	case codeHave:
		h := readHave(r, fields)
		return fmt.Sprintf("ns=%d %s", h.number, na.vector(h.diff))
	case codeWant:
		return fmt.Sprintf("ns=%d", readWant(r, fields).number)
	case codeRefuse:
		f := readRefuse(r, fields)
		return fmt.Sprintf("ns=%d epoch=%d %s %s", f.number, f.epoch, f.reason, na.vector(f.entries))
	case codeDigest:
		d := readDigest(r, fields)
		if d.stage == stageOffer {
			return fmt.Sprintf("ns=%d offer run=%d %s", d.number, d.run, na.vector(d.vector))
		}
		return fmt.Sprintf("ns=%d %s", d.number, stageNames[d.stage])
	case codeSpare:
		sp := readSpare(r, fields)
		return fmt.Sprintf("ns=%d epoch=%d %s", sp.number, sp.epoch, na.nodes(sp.nodes))
	case codeAddresses:
		a := readAddresses(r, fields)
		return fmt.Sprintf("seen=%q %s", a.seen, na.whereabouts(a.nodes))
	case codeRevocations:
		return fmt.Sprintf("%q", readRevocations(r, fields).statements)
	case codeWriters:
		n := readWritersHead(r, fields)
		_, recs, err := DecodeWriters(r.Rest())
		return fmt.Sprintf("ns=%d %s%s", n, na.records(recs), describeError(err))
	}
	d := readDeltaHead(r, fields)
	s := fmt.Sprintf("ns=%d epoch=%d", d.number, d.epoch)
	if d.last {
		s += " last diff=" + na.vector(d.diff)
	}
	if d.brings != nil {
		s += " brings=" + na.vector(d.brings)
	}
	return s + " " + na.body(r.Rest())
}

// describeBody describes the records of a Delta frame.
func (na namer) body(body []byte) string {
	var d DeltaDecoder
	var parts []string
	show := func(e crdt.Entry) {
		p, _, _, _ := e.Key.Split()
		s := p.String() + "="
		for i, ev := range e.Record {
			if i > 0 {
				s += ","
			}
			s += fmt.Sprintf("%s:%d", na.writer(ev.Writer), ev.Seq)
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
