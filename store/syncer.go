package store

import (
	"sync"
	"time"
)

// syncer fsyncs what was committed without an fsync of its own: applies at
// once, buffered commits within the stated interval. One fsync serves all
// namespaces and all that became visible before it began.
type syncer struct {
	engine *engine
	delay  time.Duration

	mu      sync.Mutex
	dirty   []*Namespace // each once: those with unsynced set
	urgent  bool
	stopped bool

	wake chan struct{} // there is something dirty, or urgent, or an end
	done chan struct{}
	err  error // of the last fsync; read after done
}

func newSyncer(e *engine, delay time.Duration) *syncer {
	s := &syncer{engine: e, delay: delay, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go s.loop()
	return s
}

// add asks for an fsync of what is visible in ns: at once if urgent, else
// within the delay.
func (s *syncer) add(ns *Namespace, urgent bool) {
	known := ns.unsynced.Load() || ns.unsynced.Swap(true)
	if known && !urgent {
		return
	}
	s.mu.Lock()
	if !known {
		s.dirty = append(s.dirty, ns)
	}
	s.urgent = s.urgent || urgent
	s.mu.Unlock()
	s.poke()
}

func (s *syncer) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *syncer) loop() {
	defer close(s.done)
	for range s.wake {
		deadline := time.NewTimer(s.delay)
		for !s.hurried() {
			select {
			case <-s.wake:
				continue
			case <-deadline.C:
			}
			break
		}
		deadline.Stop()
		s.err = s.sync()
		s.mu.Lock()
		end := s.stopped && len(s.dirty) == 0
		s.mu.Unlock()
		if end {
			return
		}
	}
}

func (s *syncer) hurried() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.urgent || s.stopped
}

// sync fsyncs once.
func (s *syncer) sync() error {
	s.mu.Lock()
	dirty := s.dirty
	s.dirty, s.urgent = nil, false
	s.mu.Unlock()
	if len(dirty) == 0 {
		return nil
	}
	upTo := make([]uint64, len(dirty))
	for i, ns := range dirty {
		ns.unsynced.Store(false) // before: what comes after asks again
		upTo[i] = ns.position().commit
	}
	err := s.engine.sync()
	for i, ns := range dirty {
		if err == nil {
			ns.noteDurable(upTo[i])
		} else {
			ns.noteFault()
		}
	}
	return err
}

// stop fsyncs what is left and ends the syncer.
func (s *syncer) stop() error {
	s.mu.Lock()
	s.stopped = true
	s.mu.Unlock()
	s.poke()
	<-s.done
	return s.err
}
