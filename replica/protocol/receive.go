package protocol

import (
	"errors"
	"fmt"

	"github.com/anabranch-db/anabranch/crdt"
)

// fault is an error that closes the link it came on.
type fault struct {
	code   Code
	reason string
}

func (f *fault) Error() string { return f.reason }

func faultf(c Code, format string, args ...any) error {
	return &fault{c, fmt.Sprintf(format, args...)}
}

// receive takes a frame. One that breaks the rules closes the link: nothing
// that follows it could be understood.
func (m *Machine) receive(l *link, frame []byte) {
	err := m.dispatch(l, frame)
	if err == nil {
		return
	}
	code := CodeProtocol
	if f := (*fault)(nil); errors.As(err, &f) {
		code = f.code
	}
	m.close(l, code, err.Error())
}

// dispatch reads a message and does what it asks for.
func (m *Machine) dispatch(l *link, frame []byte) error {
	msg, err := l.seq.Check(frame)
	if err != nil {
		return err
	}
	l.silent = false
	if isPut(msg) {
		return m.dispatchPut(l, crdt.NewReader(msg[1:]))
	}
	r := crdt.NewReader(msg)
	c, fields := readCode(r)
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case (c == codeHello) == l.greeted:
		err = faultf(CodeProtocol, "Hello is due first, and once")
	case c == codeDelta || c == codeWriters || c == codeCompare || c == codeAnswer:
		err = m.dispatchBody(l, c, fields, r)
	case c == codeHello || c == codeAnnounce || c == codeGone || c == codeRevocations || c == codeAddresses || c == codeClock:
		err = m.dispatchLink(l, c, fields, r)
	default:
		err = m.dispatchSession(l, c, fields, r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

func (m *Machine) dispatchPut(l *link, r *crdt.Reader) error {
	p := readPut(r)
	if err := checked(r, func() error { return m.onPut(l, p) }); err != nil {
		return fmt.Errorf("in a Put: %w", err)
	}
	return nil
}

// dispatchBody takes the messages of which the executor reads the most.
func (m *Machine) dispatchBody(l *link, c code, fields int, r *crdt.Reader) error {
	switch c {
	case codeDelta:
		d := readDeltaHead(r, fields)
		return checked(r, func() error { return m.onDelta(l, d, r.Rest()) })
	case codeCompare:
		h := readCompareHead(r, fields)
		return checked(r, func() error { return m.onCompare(l, h, r.Rest()) })
	case codeAnswer:
		h := readAnswerHead(r, fields)
		return checked(r, func() error { return m.onAnswer(l, h, r.Rest()) })
	}
	number := readWritersHead(r, fields)
	return checked(r, func() error { return m.onWriters(l, number, r.Rest()) })
}

// dispatchLink takes the messages that concern the link.
func (m *Machine) dispatchLink(l *link, c code, fields int, r *crdt.Reader) error {
	switch c {
	case codeHello:
		h := readHello(r, fields)
		return complete(r, func() error { return m.onHello(l, h) })
	case codeAnnounce:
		a := readAnnounce(r, fields)
		return complete(r, func() error { return m.onAnnounce(l, a) })
	case codeClock:
		k := readClock(r, fields)
		return complete(r, func() error { return m.onClock(l, k) })
	case codeGone:
		g := readGone(r, fields)
		return complete(r, func() error { return m.onGone(l, g) })
	case codeAddresses:
		a := readAddresses(r, fields)
		return complete(r, func() error { return m.onAddresses(l, a) })
	}
	v := readRevocations(r, fields)
	return complete(r, func() error { m.onRevocations(l, v); return nil })
}

// dispatchSession takes the messages that concern a namespace.
func (m *Machine) dispatchSession(l *link, c code, fields int, r *crdt.Reader) error {
	switch c {
	case codeVector:
		v := readVector(r, fields)
		return complete(r, func() error { return m.onVector(l, v) })
	case codeHave:
		h := readHave(r, fields)
		return complete(r, func() error { return m.onHave(l, h) })
	case codeWant:
		w := readWant(r, fields)
		return complete(r, func() error { return m.onWant(l, w) })
	case codeSpare:
		sp := readSpare(r, fields)
		return complete(r, func() error { return m.onSpare(l, sp) })
	case codeDigest:
		d := readDigest(r, fields)
		return complete(r, func() error { return m.onDigest(l, d) })
	case codeSource:
		src := readSource(r, fields)
		return complete(r, func() error { return m.onSource(l, src) })
	}
	f := readRefuse(r, fields)
	return complete(r, func() error { return m.onRefuse(l, f) })
}

// complete goes on if the whole message was read.
func complete(r *crdt.Reader, then func() error) error {
	r.Done()
	return checked(r, then)
}

// checked goes on if what was read of the message is well formed.
func checked(r *crdt.Reader, then func() error) error {
	if err := r.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return then()
}
