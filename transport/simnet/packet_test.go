package simnet_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anabranch-db/anabranch/transport/simnet"
)

func TestPacketsAreLostDelayedAndReordered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{Seed: 4, Latency: time.Second, Jitter: time.Second, Loss: 0.25})
		defer net.Close()
		a, err := net.ListenPacket("10.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		b, err := net.ListenPacket("10.0.0.2:1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := net.ListenPacket("10.0.0.1:1"); err == nil {
			t.Error("an address was given twice")
		}
		if _, err := net.ListenPacket("somewhere"); err == nil {
			t.Error("no address was an address")
		}
		const sent = 200
		for i := range sent {
			a.WriteTo([]byte{byte(i)}, b.LocalAddr())
		}
		began := time.Now()
		b.SetReadDeadline(began.Add(3 * time.Second))
		var got []byte
		for buf := make([]byte, 10); ; {
			n, from, err := b.ReadFrom(buf)
			if err != nil {
				break
			}
			if n != 1 || from.String() != "10.0.0.1:1" {
				t.Fatalf("%d bytes from %v", n, from)
			}
			got = append(got, buf[0])
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("the deadline passed after %v", took)
		}
		if len(got) < sent/2 || len(got) > sent*9/10 {
			t.Errorf("%d of %d packets arrived", len(got), sent)
		}
		if slices.IsSorted(got) {
			t.Error("they kept their order")
		}
		slices.Sort(got)
		if len(slices.Compact(got)) != len(got) {
			t.Error("some came twice")
		}
	})
}

func TestAPacketSocketCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(simnet.Options{})
		defer net.Close()
		a, err := net.ListenPacket("10.0.0.1:1")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		read := func() {
			_, _, err := a.ReadFrom(make([]byte, 10))
			done <- err
		}
		go read()
		synctest.Wait()
		a.SetReadDeadline(time.Now())
		if err := <-done; err == nil {
			t.Error("a deadline that passed did not end a read")
		}
		a.SetReadDeadline(time.Time{})
		a.WriteTo(bytes.Repeat([]byte("x"), 5), a.LocalAddr())
		go read()
		if err := <-done; err != nil {
			t.Error(err)
		}
		go read()
		synctest.Wait()
		a.Close()
		a.Close()
		if err := <-done; err == nil {
			t.Error("closing did not end a read")
		}
		if _, err := a.WriteTo([]byte("x"), a.LocalAddr()); err == nil {
			t.Error("a closed socket writes")
		}
	})
}
