package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/aguada-dev/aguada/auth"
	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/telemetry"
	"github.com/aguada-dev/aguada/transport/internal/streamsvc/gen/tape"
)

// event is one that a client dispatches.
type event struct{ ID, Kind, Data string }

// parseEvents is the parser of the HTML standard, section 9.2.6, byte for byte
// of the stream. Retry is the last reconnection time, and comments are those that
// came.
func parseEvents(stream string) (all []event, retry string, comments []string) {
	stream = strings.TrimPrefix(strings.ToValidUTF8(stream, "\ufffd"), "\ufeff")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var data strings.Builder
	var kind, id string
	for {
		line, rest, whole := strings.Cut(stream, "\n")
		if !whole { // an event that is not whole is discarded
			return all, retry, comments
		}
		stream = rest
		if line == "" {
			if data.Len() > 0 {
				all = append(all, event{id, kind, strings.TrimSuffix(data.String(), "\n")})
			}
			data.Reset()
			kind = ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		if field == "" {
			comments = append(comments, strings.TrimPrefix(value, " "))
			continue
		}
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			kind = value
		case "data":
			data.WriteString(value + "\n")
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if regexp.MustCompile(`^[0-9]+$`).MatchString(value) {
				retry = value
			}
		}
	}
}

// inLine is what is left of a text in an id or a kind, and inLines in data.
func inLine(s string) string {
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s), "\ufffd")
}

func inLines(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n"), "\ufffd")
}

// nasty are texts that want to be more than a field.
var nasty = []string{
	"", " ", "\n", "\r", "\r\n", "\n\n", "\r\r", "a\nb", "a\r\nb\rc", "\x00", "x\x00y", "\ufeff",
	"x\n\nid: 7\nevent: admin\ndata: forged\n\n", "x\rdata: forged\r\r", "data: x", "\ndata: ", "data: ", "\n\n\n", ": comment",
	"retry: 1", "x\nretry: 1\n", " leading", "trailing ", "\u2028\u2029\u0085", "\xff\n\xfe", "日本\n語", strings.Repeat("y\n", 2000),
}

// Whatever a service sends, a client sees an event per Send, with these fields.
func TestEventsAreNotForged(t *testing.T) {
	r := newTape(t, nil)
	texts := rapid.OneOf(rapid.SampledFrom(nasty), rapid.StringOfN(rapid.SampledFrom([]rune("ab:\r\n\x00 \ufeffdit")), 0, 12, -1), rapid.String())
	maybe := rapid.OneOf(rapid.Just(""), texts)
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *tape.Tick {
			return &tape.Tick{ID: maybe.Draw(t, "id"), Kind: maybe.Draw(t, "kind"), Retry: rapid.UintRange(0, 3).Draw(t, "retry"), Text: texts.Draw(t, "text")}
		}), 1, 6).Draw(t, "sent")
		r.svc.ticks = func(_ context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
			for _, tick := range sent {
				if err := s.Send(tick); err != nil {
					return err
				}
			}
			return nil
		}
		var want []event
		retry, id := "", ""
		for _, s := range sent {
			if s.ID != "" {
				id = inLine(s.ID)
			}
			if s.Retry > 0 {
				retry = fmt.Sprint(s.Retry)
			}
			want = append(want, event{id, inLine(s.Kind), inLines(s.Text)})
		}
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, request("GET", "/ticks", "", ""))
		got, gotRetry, comments := parseEvents(w.Body.String())
		if diff := cmp.Diff(want, got); diff != "" || gotRetry != retry || len(comments) > 0 {
			t.Fatalf("retry %q, want %q; comments %q\n%s", gotRetry, retry, comments, diff)
		}
	})
}

// Bytes are data too.
func TestEventsOfBytes(t *testing.T) {
	r := newTape(t, nil)
	r.svc.blobs = func(_ context.Context, s tape.BlobsServerStream) error {
		return errors.Join(s.Send(&tape.Blob{Data: []byte("a\n\ndata: forged\n\n")}), s.Send(&tape.Blob{Data: []byte{}}))
	}
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, request("GET", "/blobs", "", ""))
	got, _, _ := parseEvents(w.Body.String())
	if diff := cmp.Diff([]event{{Data: "a\n\ndata: forged\n\n"}, {}}, got); diff != "" {
		t.Error(diff)
	}
}

// JSON-RPC's streams write an event in four parts, of which an encoder writes
// one.
func TestEventsInParts(t *testing.T) {
	texts := rapid.OneOf(rapid.SampledFrom(nasty), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		sent := rapid.SliceOfN(texts, 1, 5).Draw(t, "sent")
		var out strings.Builder
		e := &events{}
		write := func(s string) {
			b, ok := e.take([]byte(s))
			if !ok {
				t.Fatalf("%q is refused", s)
			}
			out.Write(b)
		}
		var want []event
		for _, s := range sent {
			b, _ := json.Marshal(s)
			write("event: response\n")
			write("data: ")
			write(string(b) + "\n")
			write(eventEnd)
			want = append(want, event{Kind: "response", Data: strings.ToValidUTF8(string(b), "\ufffd")})
		}
		got, _, _ := parseEvents(out.String())
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// However writes come, nothing but whole events goes out, and none of what is
// no field.
func FuzzEvents(f *testing.F) {
	f.Add("id: 1\n\x01event: x\n\x01data: y\n\n")
	f.Add("data: \x01a\nb\x01\n\n\x01event: a\n\x01id: b\n\x01data: \n\n")
	f.Add("\n\n\x01data: a\n\nid: 5\n\n\x01data: x")
	f.Fuzz(func(t *testing.T, writes string) {
		e := &events{}
		var out strings.Builder
		ends := 0
		for w := range strings.SplitSeq(writes, "\x01") {
			b, ok := e.take([]byte(w))
			if !ok && len(b) > 0 {
				t.Fatalf("%q is refused, and writes %q", w, b)
			}
			if len(b) > 0 {
				ends++
				if !strings.HasSuffix(string(b), eventEnd) {
					t.Fatalf("%q writes %q, which is no whole event", w, b)
				}
			}
			out.Write(b)
		}
		if got, _, comments := parseEvents(out.String()); len(got) != ends || len(comments) > 0 {
			t.Fatalf("%d events of %d, comments %q in %q", len(got), ends, comments, out.String())
		}
	})
}

// What is no field is refused and in the log: a middleware that cuts writes into
// other pieces would take the protection away.
func TestEventsOfOthers(t *testing.T) {
	p := policy.Method{Name: "m", Kind: policy.EventStream, Routes: []policy.Route{{Verb: "GET", Pattern: "/"}}}
	r := one(t, p, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		_, _ = io.WriteString(w, "data: fine\n\n")
		if _, err := io.WriteString(w, "x\ndata: forged\n\n"); err == nil {
			t.Error("no error")
		}
		if _, err := io.Copy(w, strings.NewReader("data: forged\n")); err == nil {
			t.Error("no error of ReadFrom")
		}
	})
	w := r.do(request("GET", "/", "", ""))
	if got, _, _ := parseEvents(w.Body.String()); len(got) != 1 || got[0].Data != "fine" {
		t.Errorf("%q", w.Body)
	}
	if line := r.log.last(t); line["error.type"] != "write" || !strings.Contains(fmt.Sprint(line["error"]), "no field") {
		t.Errorf("%v", line)
	}
}

func TestEventHeaders(t *testing.T) {
	r := newTape(t, nil)
	since := ""
	r.svc.ticks = func(_ context.Context, p *tape.TicksPayload, s tape.TicksServerStream) error {
		if p.Since != nil {
			since = *p.Since
		}
		return s.Send(&tape.Tick{Text: "x"})
	}
	req := request("GET", "/ticks", "", "")
	req.Header.Set("Last-Event-ID", "tick 41")
	w := httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	h := w.Header()
	if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Buffering") != "no" || h.Get("X-Content-Type-Options") != "nosniff" || !w.Flushed {
		t.Errorf("header %v", h)
	}
	if since != "tick 41" {
		t.Errorf("Last-Event-ID %q", since)
	}
	r.svc.ticks = func(context.Context, *tape.TicksPayload, tape.TicksServerStream) error { return errors.New("secret") }
	w = httptest.NewRecorder()
	r.h.ServeHTTP(w, req)
	if w.Code != 500 || w.Header().Get("Content-Type") != "application/json" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an error before the first event: %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// until waits for the end of a stream's context.
func until(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// held is a response writer of a middleware that does not let go of the
// connection.
type held struct {
	http.ResponseWriter
	*http.ResponseController
}

// Hijack is that of neither.
func (held) Hijack() {}

// FlushError is the controller's.
func (h held) FlushError() error { return h.Flush() }

// A stream ends when nothing was sent for StreamIdle, and not before, whoever
// holds the connection.
func TestIdleEvents(t *testing.T) {
	for name, dials := range map[string]int{"on its own": 2, "of the server": 1} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m *telemetry.Telemetry
				r := newTape(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(10 * time.Second) }, measured(t, &m))
				if dials == 1 {
					r.wrap = func(h http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
							h.ServeHTTP(held{w, http.NewResponseController(w)}, req)
						})
					}
				}
				idleEvents(t, r, m, dials)
			})
		})
	}
}

func idleEvents(t *testing.T, r *tapeRig, m *telemetry.Telemetry, want int) {
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		for range 5 {
			if err := s.Send(&tape.Tick{Text: "x"}); err != nil {
				return err
			}
			time.Sleep(9 * time.Second)
		}
		return until(ctx)
	}
	_, dial := r.pipes(t)
	dials := 0
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials++
		return dial(ctx, network, addr)
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	begun := time.Now()
	resp, err := client.Get("http://tape.test/ticks")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	got, _, comments := parseEvents(string(body))
	if len(got) != 5 || err != nil || len(comments) != 1 || comments[0] != "stream_idle" {
		t.Errorf("%q %v", body, err)
	}
	if took := time.Since(begun); took != 46*time.Second { // ten after the fifth
		t.Errorf("ended after %v", took)
	}
	synctest.Wait()
	if line := r.log.lines(t, "request")[0]; line["error.type"] != "stream_idle" || line["http.response.status_code"] != 200.0 {
		t.Errorf("%v", line)
	}
	if n := refusals(m, "stream_idle"); n != "1" {
		t.Errorf("%q in the metrics", n)
	}
	// Whatever deadline the stream had, the next request does not have it.
	time.Sleep(time.Minute)
	resp, err = client.Get("http://tape.test/none")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != 404 || dials != want {
		t.Errorf("the next request: %d on connection %d", resp.StatusCode, dials)
	}
}

// Before the first event an idle stream is an error like any other.
func TestIdleBeforeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(10 * time.Second) })
		r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, _ tape.TicksServerStream) error { return until(ctx) }
		client, _ := r.pipes(t)
		resp, err := client.Get("http://tape.test/ticks")
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 408 || !strings.Contains(string(body), "stream_idle") {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
	})
}

// A client that reads nothing is idle, whatever is written to it.
func TestEventsToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newTape(t, func(m *policy.Method) { m.StreamIdle = policy.Duration(10 * time.Second) })
		begun := time.Now()
		r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
			for ctx.Err() == nil {
				if err := s.Send(&tape.Tick{Text: strings.Repeat("x", 10000)}); err != nil {
					return err
				}
			}
			return ctx.Err()
		}
		_, dial := r.pipes(t)
		conn, err := dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "GET /ticks HTTP/1.1\r\nHost: tape.test\r\n\r\n")
		synctest.Wait() // it is open
		r.ended(t)
		if took := time.Since(begun); took < 10*time.Second || took > 12*time.Second {
			t.Errorf("ended after %v", took)
		}
		if line := r.log.lines(t, "request")[0]; line["error.type"] != "stream_idle" {
			t.Errorf("%v", line)
		}
	})
}

// A stream ends with the credential that it was opened with; one that was taken
// though its end had come has a minute.
func TestEventsOutliveNoCredential(t *testing.T) {
	for name, test := range map[string]struct{ life, with, want time.Duration }{
		"own": {time.Hour, 0, time.Hour}, "of another scheme": {time.Hour, time.Minute, time.Minute},
		"in the leeway": {-10 * time.Second, 0, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m *telemetry.Telemetry
				r := newTape(t, func(m *policy.Method) { secured(m); m.Audit = true }, measured(t, &m), func(c *Config) {
					c.Verifiers = auth.Verifiers{"jwt": fixed{func() *auth.Principal {
						p := &auth.Principal{Subject: "ann", Scheme: "jwt", ExpiresAt: time.Now().Add(test.life)}
						if test.with > 0 {
							p.With = []*auth.Principal{{Subject: "kim", ExpiresAt: time.Now().Add(test.with)}}
						}
						return p
					}}}
				})
				r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
					_ = s.Send(&tape.Tick{Text: "x"})
					return until(ctx)
				}
				client, _ := r.pipes(t)
				begun := time.Now()
				resp, err := client.Do(request("GET", "/ticks", "token", ""))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if _, _, comments := parseEvents(string(body)); err != nil || len(comments) != 1 || comments[0] != "expired" {
					t.Errorf("%q %v", body, err)
				}
				if took := time.Since(begun); took != test.want {
					t.Errorf("ended after %v", took)
				}
				synctest.Wait()
				line, event := r.log.lines(t, "request")[0], r.log.lines(t, "audit")[0]
				if line["error.type"] != "expired" || event["error.type"] != "expired" || event["outcome"] != "failure" || event["enduser.id"] != "ann" {
					t.Errorf("%v %v", line, event)
				}
				if n := refusals(m, "credential_expired"); n != "1" {
					t.Errorf("%q in the metrics", n)
				}
			})
		})
	}
}

// Streams are calls in flight as long as they are open.
func TestEventsInFlight(t *testing.T) {
	r := newTape(t, func(m *policy.Method) { m.MaxInFlight = 2 })
	r.svc.ticks = func(ctx context.Context, _ *tape.TicksPayload, s tape.TicksServerStream) error {
		_ = s.Send(&tape.Tick{Text: "x"})
		return until(ctx)
	}
	addr := r.listen(t)
	t.Cleanup(r.h.CloseStreams)
	open := func() (int, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/ticks", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = bufio.NewReader(resp.Body).ReadString('\n')
		return resp.StatusCode, cancel
	}
	one, leave := open()
	two, _ := open()
	three, _ := open()
	if one != 200 || two != 200 || three != 503 {
		t.Errorf("%d %d %d", one, two, three)
	}
	leave()
	for end := time.Now().Add(10 * time.Second); ; {
		if status, _ := open(); status == 200 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place is not free")
		}
	}
}
