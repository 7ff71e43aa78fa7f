package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/anabranch-db/anabranch/replica"
)

// pair opens two databases that are not linked yet: the first listens.
func pair(l *lab, fn func(a, b *replica.DB) error) error {
	who, err := identities()
	if err != nil {
		return err
	}
	return l.folder(func(one string) error {
		return l.folder(func(two string) error {
			a, err := replica.Open(one, replica.Options{Identity: who[0], Listen: "127.0.0.1:0"})
			if err != nil {
				return err
			}
			b, err := replica.Open(two, replica.Options{Identity: who[1], Listen: "127.0.0.1:0"})
			if err != nil {
				return errors.Join(err, a.Close())
			}
			return errors.Join(fn(a, b), b.Close(), a.Close())
		})
	})
}

// link links them, and returns how long it took until b held all that a does.
func link(a, b *replica.DB) (took time.Duration, bytes uint64, err error) {
	from, err := a.Namespace("bench")
	if err != nil {
		return 0, 0, err
	}
	to, err := b.Namespace("bench")
	if err != nil {
		return 0, 0, err
	}
	s, err := a.Status()
	if err != nil {
		return 0, 0, err
	}
	want := from.Vector()
	start := time.Now()
	if err := b.AddPeer(s.Listen); err != nil {
		return 0, 0, err
	}
	for ev, err := range to.Watch(background, replica.WatchOptions{}) {
		switch {
		case err != nil:
			return 0, 0, err
		case ev.Kind == replica.Synced && to.Vector().CoversAll(want):
			took = time.Since(start)
			t, err := b.Status()
			return took, t.Traffic.BytesSent + t.Traffic.BytesReceived, err
		case time.Since(start) > time.Minute:
			return 0, 0, fmt.Errorf("after a minute not all is there")
		}
	}
	return 0, 0, errors.New("the watch ended")
}

// ourCatchUp links an empty node with one that holds the document. The time is
// all of it: dialing, the handshake with both certificates, and what is on disk at
// the end.
func ourCatchUp(l *lab, bytes bool) (figure float64, err error) {
	err = pair(l, func(a, b *replica.DB) error {
		from, err := a.Namespace("bench")
		if err != nil {
			return err
		}
		if err := fill(from, false, 0); err != nil {
			return err
		}
		took, sent, err := link(a, b)
		figure = keyCount / took.Seconds()
		if bytes {
			figure = float64(sent) / keyCount
		}
		return err
	})
	return figure, err
}

func ourMerge(l *lab) (perSecond float64, err error) {
	err = pair(l, func(a, b *replica.DB) error {
		for i, db := range []*replica.DB{a, b} {
			ns, err := db.Namespace("bench")
			if err != nil {
				return err
			}
			if err := fill(ns, false, i); err != nil {
				return err
			}
		}
		took, _, err := link(a, b)
		perSecond = keyCount / took.Seconds()
		return err
	})
	return perSecond, err
}
