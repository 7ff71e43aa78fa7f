package simnet

import (
	"cmp"
	"container/heap"
	"hash/fnv"
	"sync"
	"time"
)

// event is something that arrives.
type event struct {
	at     time.Time
	path   path
	number uint64 // on the path
	run    func()
}

// compare orders events by time, then by what does not depend on who was
// scheduled first.
func (e *event) compare(o *event) int {
	return cmp.Or(e.at.Compare(o.at), e.path.compare(o.path), cmp.Compare(e.number, o.number))
}

// queue is a heap of events.
type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].compare(&q[j]) < 0 }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)        { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// schedule runs events when their time has come, one after the other, on one
// goroutine, which exists from the first event on.
type schedule struct {
	mu      sync.Mutex
	events  queue
	started bool
	wake    chan struct{} // holds a token if there is a new first event
	stopped sync.Once
	done    chan struct{} // closed by it
	running sync.WaitGroup
}

func newSchedule() *schedule {
	return &schedule{wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// add takes an event. It is dropped if the schedule has been stopped.
func (s *schedule) add(e event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.started {
		s.started = true
		s.running.Go(s.loop)
	}
	heap.Push(&s.events, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *schedule) loop() {
	for {
		e, wait := s.next()
		if e != nil {
			e.run()
			continue
		}
		var timer <-chan time.Time
		if wait > 0 {
			timer = time.After(wait)
		}
		select {
		case <-timer:
		case <-s.wake:
		case <-s.done:
			return
		}
	}
}

// next returns the first event if it is due, or how long it is until then; 0
// means for ever.
func (s *schedule) next() (*event, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 {
		return nil, 0
	}
	if wait := time.Until(s.events[0].at); wait > 0 {
		return nil, wait
	}
	e := heap.Pop(&s.events).(event)
	return &e, 0
}

// stop drops what is due later and waits for what runs.
func (s *schedule) stop() {
	s.mu.Lock()
	s.started = true // nothing starts it any more
	s.mu.Unlock()
	s.stopped.Do(func() { close(s.done) })
	s.running.Wait()
}

// chance returns the n-th throw of a die with a name on a path: uniform in
// [0, 1), and the same for the same arguments.
func chance(seed uint64, p path, n uint64, die string) float64 {
	h := fnv.New64a()
	for _, s := range []string{die, p.from, p.to} {
		h.Write([]byte(s))
		h.Write([]byte{0xff})
	}
	x := h.Sum64() ^ seed*0x9e3779b97f4a7c15 ^ n*0xd1b54a32d192ed03
	// The finalizer of splitmix64 (Steele, Lea, Flood 2014), twice, since FNV
	// spreads short inputs badly.
	for range 2 {
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		x ^= x >> 31
	}
	return float64(x>>11) / (1 << 53)
}
