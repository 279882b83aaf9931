package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestHandlerConforms(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return NewHandler(&buf, JSON, slog.LevelInfo)
	}, func(t *testing.T) map[string]any {
		return decode(t, buf.Bytes())
	})
}

type secret struct{ Card string }

func (secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "{Card:***}") }

type panics struct{}

func (panics) String() string { panic("no string") }

type panicsError struct{}

func (*panicsError) Error() string { panic("no error") }

type valuer struct{}

func (valuer) LogValue() slog.Value { return slog.GroupValue(slog.String("masked", "yes")) }

func TestValuesAreAlwaysValidJSON(t *testing.T) {
	tests := []struct {
		name string
		attr slog.Attr
		want any
	}{
		{"control characters", slog.String("k", "a\x00\x1b[31m\n\u2028\x7f\u0085"), "a\x00\x1b[31m\n\u2028\x7f\u0085"},
		{"invalid UTF-8", slog.String("k", "a\xffb"), "a\ufffdb"},
		{"quotes in the key", slog.Int(`k"\`, 1), nil},
		{"not a number", slog.Float64("k", math.NaN()), "NaN"},
		{"infinity", slog.Float64("k", math.Inf(-1)), "-Inf"},
		{"error", slog.Any("k", errors.New("broken \"pipe\"")), "broken \"pipe\""},
		{"nil error", slog.Any("k", error(nil)), nil},
		{"panicking String", slog.Any("k", panics{}), "%!v(PANIC=String method: no string)"},
		{"panicking Error", slog.Any("k", &panicsError{}), "%!v(PANIC=Error method: no error)"},
		{"LogValuer", slog.Any("k", valuer{}), map[string]any{"masked": "yes"}},
		{"masked in a slice", slog.Any("k", []secret{{Card: "4111"}}), "[{Card:***}]"},
		{"masked in a struct", slog.Any("k", struct{ P *secret }{&secret{"4111"}}), nil},
		{"raw JSON", slog.Any("k", json.RawMessage("{\n\"a\":1}")), map[string]any{"a": 1.0}},
		{"broken raw JSON", slog.Any("k", json.RawMessage("{")), "{"},
		{"strings", slog.Any("k", []string{"a", "b\""}), []any{"a", "b\""}},
		{"channel", slog.Any("k", make(chan int)), nil},
		{"duration", slog.Duration("k", time.Second), "1s"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var buf bytes.Buffer
			slog.New(NewHandler(&buf, JSON, nil)).Info("m", test.attr)
			got := decode(t, buf.Bytes())
			if strings.Contains(buf.String(), "4111") {
				t.Errorf("a masked value is in the line: %s", buf.String())
			}
			if test.want == nil {
				return
			}
			if diff := cmp.Diff(test.want, got["k"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzLineIsOneValidJSONDocument(f *testing.F) {
	f.Add("msg", "key", "value")
	f.Add("\x00\xff", "\"", "\\u2028\u2028")
	f.Fuzz(func(t *testing.T, msg, key, value string) {
		var buf bytes.Buffer
		h := NewHandler(&buf, JSON, nil)
		slog.New(h).WithGroup(key).With(key, value).Info(msg, key, value)
		decode(t, buf.Bytes())
		buf.Reset()
		if err := h.Request(&Request{ID: msg, Path: value, Error: key}); err != nil {
			t.Fatal(err)
		}
		got := decode(t, buf.Bytes())
		if value != "" && utf8.ValidString(value) && got["url.path"] != value {
			t.Errorf("url.path = %q, want %q", got["url.path"], value)
		}
		buf.Reset()
		text := NewHandler(&buf, Terminal, nil)
		slog.New(text).Info(msg, key, value)
		if n := strings.Count(buf.String(), "\n"); n != 1 || strings.Contains(buf.String(), "\x1b") {
			t.Errorf("a text line has %d line ends or an escape: %q", n, buf.String())
		}
	})
}

// decode reads exactly one line that is a JSON object.
func decode(t *testing.T, line []byte) map[string]any {
	t.Helper()
	if n := bytes.Count(line, []byte("\n")); n != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("want one line, got %q", line)
	}
	m := map[string]any{}
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return m
}

func TestRequestLine(t *testing.T) {
	r := Request{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC), ID: "r1", Service: "orders", Method: "create",
		Verb: "POST", Route: "/orders", Status: 201, Duration: 1234567 * time.Nanosecond, Client: "10.0.0.1",
		BodyIn: 10, BodyOut: 20, User: "ann", Scheme: "jwt",
	}
	var buf bytes.Buffer
	h := NewHandler(&buf, JSON, nil)
	if err := h.Request(&r); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2026-01-02T03:04:05.678901Z","level":"INFO","msg":"request","request_id":"r1","service":"orders",` +
		`"method":"create","http.request.method":"POST","http.route":"/orders","http.response.status_code":201,` +
		`"duration_ms":1.234,"client.address":"10.0.0.1","http.request.body.size":10,"http.response.body.size":20,` +
		`"enduser.id":"ann","auth.scheme":"jwt"}` + "\n"
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Error(diff)
	}
	ours := decode(t, buf.Bytes())
	buf.Reset()
	if err := LogRequest(context.Background(), slog.NewJSONHandler(&buf, nil), &r); err != nil {
		t.Fatal(err)
	}
	theirs := decode(t, buf.Bytes())
	delete(ours, "time")
	delete(theirs, "time")
	if diff := cmp.Diff(ours, theirs); diff != "" {
		t.Errorf("another handler writes another schema: %s", diff)
	}
	buf.Reset()
	r.Status, r.ErrorID = 503, "e1"
	_ = slog.New(h).With("a", 1).WithGroup("g").With("b", 2).Handler().(*Handler).Request(&r)
	got := decode(t, buf.Bytes())
	if got["level"] != "ERROR" || got["error.id"] != "e1" || got["a"] != 1.0 {
		t.Errorf("line = %v", got)
	}
}

func TestRequestLineHonoursLevel(t *testing.T) {
	var level slog.LevelVar
	level.Set(slog.LevelError)
	var buf bytes.Buffer
	h := NewHandler(&buf, JSON, &level)
	_ = h.Request(&Request{Status: 200})
	if buf.Len() != 0 {
		t.Errorf("info line written at error level: %s", &buf)
	}
	_ = h.Request(&Request{Status: 101, Fault: true})
	level.Set(slog.LevelInfo)
	_ = h.Request(&Request{Status: 500, Quiet: true})
	_ = h.Request(&Request{Status: 404})
	if n := strings.Count(buf.String(), "\n"); n != 2 {
		t.Errorf("%d lines, want 2: %s", n, &buf)
	}
}

func TestTerminal(t *testing.T) {
	var buf bytes.Buffer
	h := NewHandler(&buf, Terminal, nil)
	l := slog.New(h).WithGroup("db")
	l.Warn("slow \x1b[31mquery", "ms", 12, "sql", "select 1")
	if got, want := buf.String()[len("15:04:05.000 "):], "WARN  slow \\x1b[31mquery           db.ms=12 db.sql=\"select 1\"\n"; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	buf.Reset()
	_ = h.Request(&Request{Verb: "GET", Route: "/orders/{id}", Status: 500, ErrorType: "panic", Stack: "main.go:1\n\x1b[2J"})
	if !strings.Contains(buf.String(), " 500 GET /orders/{id} 0ms error.type=panic\nmain.go:1\n[2J\n") {
		t.Errorf("line = %q", buf.String())
	}
}

// writes counts calls, to see that a line is one Write.
type writes struct {
	mu sync.Mutex
	n  int
	b  bytes.Buffer
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	return w.b.Write(p)
}

func TestLinesDoNotMix(t *testing.T) {
	var w writes
	h := NewHandler(&w, JSON, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				slog.New(h).With("i", i).Info("line", "text", strings.Repeat("x", 100*i))
				_ = h.Request(&Request{ID: "r", Status: 200})
			}
		})
	}
	wg.Wait()
	if w.n != 800 {
		t.Errorf("%d writes, want 800", w.n)
	}
	for line := range bytes.Lines(w.b.Bytes()) {
		decode(t, line)
	}
}

func TestRequestDoesNotAllocate(t *testing.T) {
	h := NewHandler(io.Discard, JSON, nil)
	r := &Request{Time: time.Now(), ID: "0123456789", Service: "orders", Method: "create", Verb: "POST", Route: "/orders", Status: 201}
	if n := testing.AllocsPerRun(100, func() { _ = h.Request(r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	h := NewHandler(io.Discard, JSON, nil)
	r := &Request{Time: time.Now(), ID: "0123456789abcdefghijklmn", Service: "orders", Method: "create", Verb: "POST", Route: "/orders",
		Status: 201, Duration: 1234 * time.Microsecond, Client: "127.0.0.1", BodyIn: 300, BodyOut: 400, User: "user-1", Scheme: "jwt"}
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Request(r)
	}
}
