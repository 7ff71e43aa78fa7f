package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"unicode/utf8"

	"github.com/anabranch-db/anabranch/crdt"
	"github.com/anabranch-db/anabranch/internal/fuzz"
	"github.com/anabranch-db/anabranch/replica"
)

// FuzzArguments reads any text as what a person gives a verb. What is taken is
// written as text that means the same; what is not is an error of usage.
func FuzzArguments(f *testing.F) {
	for _, text := range []string{"edge/model/active", "edge/a%2Fb/%25", "edge", "50M", "1.5 GiB", "0.000000001K", `"v2"`, "18446744073709551615", "urgent", crdt.NodeID{1}.String()} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 256, func(t *testing.T, b []byte) {
		text := string(b)
		scope, err := parseScope(text)
		wantUsage(t, err)
		if err == nil {
			if at, again := parseScope(text); again != nil || at != scope || !utf8.ValidString(text) && scope.Path != "" {
				t.Errorf("%q is the scope %+v", text, scope)
			}
		}
		at, err := parseAddress(text)
		wantUsage(t, err)
		if err == nil {
			p, err := at.path()
			if err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			again, err := parseAddress(address{at.Namespace, p.String()}.String())
			q, err2 := again.path()
			if errors.Join(err, err2) != nil || q.String() != p.String() {
				t.Errorf("%q is %q, which is %q (%v)", text, p, q, err)
			}
		}
		if n, err := parseBytes(text); err == nil && (n == 0 || n > 1<<63-1) {
			t.Errorf("%q is %d bytes", text, n)
		} else {
			wantUsage(t, err)
		}
		v, err := parseValue(text)
		wantUsage(t, err)
		if err == nil {
			if again, err := parseValue(v.String()); err != nil || !bytes.Equal(again, v) {
				t.Errorf("%q is %x, which is %s, which is %x (%v)", text, v, v, again, err)
			}
		}
		_, err = parseNode(text)
		wantUsage(t, err)
		_, err = (meterArgs{Metered: true, Least: text}).meter()
		if err != nil && exitCode(err) != exitUsage {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func wantUsage(t *testing.T, err error) {
	t.Helper()
	if err != nil && exitCode(err) != exitUsage {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
}

// FuzzRequest sends any bytes to a daemon's socket: each request is answered,
// with an end.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		`{"verb":"register set","args":{"namespace":"edge","path":"a","value":{"$bytes":"AA=="}}}`,
		`{"verb":"register get","args":{"namespace":"edge","path":"a"}}`,
		`{"verb":"counter add","args":{"namespace":"edge","path":"a","delta":-9223372036854775808}}`,
		`{"verb":"map put","args":{"namespace":"edge","path":"m","value":{"a":{"b":[1]}},"ttl":9223372036854775807}}`,
		`{"verb":"set add","args":{"namespace":"edge","path":"s","policy":"remove-wins","value":"x"}}`,
		`{"verb":"log append","args":{"namespace":"edge","path":"l","value":1.5}}`, `{"verb":"log list","args":{"namespace":"edge","path":"l"}}`,
		`{"verb":"scan","args":{"namespace":"edge"}}`, `{"verb":"watch","args":{"namespace":"edge","once":true}}`, `{"verb":"watch","args":{"namespace":"edge","cursor":"kwEB"}}`,
		`{"verb":"status","args":{"counters":true}}`, `{"verb":"digest","args":{"namespace":"edge"}}`, `{"verb":"doctor","args":{}}`, `{"verb":"export","args":{}}`,
		`{"verb":"peer add","args":{"address":"a:1","metered":true,"bytes_per_day":1,"least":"bulk"}}`, `{"verb":"invite","args":{"valid":-1,"read":["*"]}}`,
		`{"verb":"revoke","args":{"node":"00"}}`, `{"verb":"namespace create","args":{"namespace":"\u0000"}}`, `{"verb":1,"args":[]}`, `{"verb":"scan"}`,
		`{"verb":"import","args":{},"input":true}` + "\n" + `{"namespace":"edge","path":"x","type":"register","value":1}` + "\n",
	} {
		f.Add([]byte(text))
	}
	db, err := replica.Open(f.TempDir(), replica.Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Namespace("edge"); err != nil {
		f.Fatal(err)
	}
	const perVerb = 4096 // whatever the input: what a status or an export takes
	fuzz.Decoder(f, perVerb, func(t *testing.T, b []byte) {
		s := &socketServer{db: db, log: slog.New(slog.DiscardHandler), ctx: t.Context()}
		theirs, ours := net.Pipe()
		served := make(chan struct{})
		go func() { defer close(served); s.serve(theirs) }()
		go func() { // what is left unread is given up
			_, _ = ours.Write(append(bytes.Clone(b), '\n'))
			if !json.Valid(bytes.SplitN(b, []byte("\n"), 2)[0]) || bytes.Contains(b, []byte(`"input"`)) {
				ours.Close() // what may wait for more
			}
		}()
		dec := json.NewDecoder(ours)
		for {
			var reply socketReply
			if err := dec.Decode(&reply); err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%q is answered by what is no reply: %v", b, err)
				}
				break
			}
			if reply.Done || reply.Error != "" || bytes.Contains(b, []byte("watch")) {
				break
			}
		}
		ours.Close()
		<-served
	})
}

// FuzzReply has any bytes answer a request.
func FuzzReply(f *testing.F) {
	for _, text := range []string{`{"row":{"namespace":"edge"}}` + "\n" + `{"done":true}`, `{"error":"no","code":3}`, `{"row":null}`, `{"code":-1,"done":false}`} {
		f.Add([]byte(text))
	}
	fuzz.Decoder(f, 128, func(t *testing.T, b []byte) {
		theirs, ours := net.Pipe()
		go func() {
			_ = json.NewDecoder(theirs).Decode(new(socketRequest))
			_, _ = theirs.Write(b)
			theirs.Close()
		}()
		err := callDaemon(context.Background(), ours, socketRequest{Verb: "scan", Args: json.RawMessage("{}")}, nil, func(row json.RawMessage) error {
			if len(row) > 0 && !json.Valid(row) {
				t.Errorf("the row %q", row)
			}
			return nil
		})
		ours.Close()
		if ended := bytes.Contains(b, []byte(`e"`)); err == nil && !ended {
			t.Errorf("%q ended well", b)
		}
	})
}
