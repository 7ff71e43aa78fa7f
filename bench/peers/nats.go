package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsEntrants are those of NATS JetStream's key-value store, with a server in
// this process and a connection that is a pipe in memory.
func natsEntrants() []entrant {
	sets := func(writers int, always bool) func(*lab) (float64, error) {
		return func(l *lab) (float64, error) { return natsSets(l, writers, always) }
	}
	return []entrant{
		{work: "set, 1 writer", who: "NATS KV, sync always", kept: durable, once: sets(1, true)},
		{work: "set, 1 writer", who: "NATS KV, as it comes", kept: atTwo, once: sets(1, false)},
		{work: "set, 8 writers", who: "NATS KV, sync always", kept: durable, once: sets(8, true)},
		{work: "set, 8 writers", who: "NATS KV, as it comes", kept: atTwo, once: sets(8, false)},
		{work: "disk after overwrites", who: "NATS KV, closed", kept: atTwo, once: natsOverwrites},
	}
}

// inBucket calls fn with a bucket of a server that keeps its files in dir.
func inBucket(dir string, always bool, fn func(jetstream.KeyValue) error) error {
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: always, NoLog: true, NoSigs: true,
	})
	if err != nil {
		return err
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("the server does not take connections")
	}
	c, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		return err
	}
	defer c.Close()
	js, err := jetstream.New(c)
	if err != nil {
		return err
	}
	kv, err := js.CreateKeyValue(background, jetstream.KeyValueConfig{Bucket: "bench", History: 1, Storage: jetstream.FileStorage})
	if err != nil {
		return err
	}
	return fn(kv)
}

func natsSets(l *lab, writers int, always bool) (perSecond float64, err error) {
	err = l.folder(func(dir string) error {
		return inBucket(dir, always, func(kv jetstream.KeyValue) (err error) {
			v := value(1)
			perSecond, err = rate(setCount(writers, always), writers, func(i int) error {
				_, err := kv.Put(background, key(shuffled(i)), v)
				return err
			})
			return err
		})
	})
	return perSecond, err
}

func natsOverwrites(l *lab) (bytes float64, err error) {
	err = l.folder(func(dir string) error {
		err := inBucket(dir, false, func(kv jetstream.KeyValue) error {
			_, err := rate(overwrites, 1, func(i int) error {
				_, err := kv.Put(background, key(i%rewritten), value(i))
				return err
			})
			return err
		})
		if err != nil {
			return err
		}
		bytes, err = sizeOf(dir)
		return err
	})
	return bytes, err
}

// sizeOf adds up the files in a folder.
func sizeOf(dir string) (bytes float64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			bytes += float64(info.Size())
		}
		return err
	})
	return bytes, err
}
