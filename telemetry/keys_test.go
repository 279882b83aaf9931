package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// keysOf returns the members of a JSON line that are outside of groups, each as
// often as it is there.
func keysOf(t *testing.T, line []byte) []string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	var keys []string
	depth, value := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth, value = depth+1, false
			continue
		case json.Delim('}'), json.Delim(']'):
			depth, value = depth-1, false
			continue
		}
		if depth != 1 {
			continue
		}
		if key, ok := token.(string); ok && !value {
			keys, value = append(keys, key), true
			continue
		}
		value = false
	}
}

// A line says of itself what it says, once, whatever keys a caller chooses.
func TestCallersKeysAreNotTheLines(t *testing.T) {
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	within := WithScope(trace.ContextWithSpanContext(t.Context(), span), &Scope{RequestID: "r1", Service: "orders", Method: "create"})
	theirs := []any{"time", 1, "level", "L", "msg", "M", "trace_id", "T", "span_id", "S", "request_id", "R", "service", "V", "method", "P", "a", 2}
	var buf bytes.Buffer
	log := slog.New(NewContextHandler(NewHandler(&buf, JSON, nil)))
	for name, write := range map[string]func(){
		"call":   func() { log.InfoContext(within, "m", theirs...) },
		"with":   func() { log.With(theirs...).InfoContext(within, "m") },
		"inline": func() { log.InfoContext(within, "m", slog.Group("", theirs...)) },
		"line": func() {
			_ = LogRequest(within, log.With(theirs...).Handler(), &Request{Time: time.Now(), ID: "r1", Service: "orders", Method: "create", Trace: span})
		},
	} {
		t.Run(name, func(t *testing.T) {
			buf.Reset()
			write()
			keys := keysOf(t, buf.Bytes())
			if unique := slices.Compact(slices.Sorted(slices.Values(keys))); len(unique) != len(keys) {
				t.Errorf("a key is there twice: %s", buf.String())
			}
			got := decode(t, buf.Bytes())
			for key, want := range map[string]any{
				"level": "INFO", "request_id": "r1", "service": "orders", "method": "create", "trace_id": span.TraceID().String(), "span_id": span.SpanID().String(),
				"attr.level": "L", "attr.msg": "M", "attr.time": 1.0, "attr.trace_id": "T", "attr.span_id": "S", "attr.request_id": "R",
				"attr.service": "V", "attr.method": "P", "a": 2.0,
			} {
				if got[key] != want {
					t.Errorf("%s is %v, want %v", key, got[key], want)
				}
			}
		})
	}
	buf.Reset()
	log.WithGroup("g").InfoContext(within, "m", theirs...)
	if group := decode(t, buf.Bytes())["g"].(map[string]any); group["service"] != "V" || group["msg"] != "M" {
		t.Errorf("keys within a group are changed: %s", buf.String())
	}
	buf.Reset()
	log.InfoContext(t.Context(), "m", "service", "shop", "method", "x")
	if got := decode(t, buf.Bytes()); got["service"] != "shop" || got["method"] != "x" {
		t.Errorf("keys outside of a request are changed: %s", buf.String())
	}
	foreign := slog.New(NewContextHandler(slog.NewJSONHandler(&buf, nil)))
	for _, write := range []func(){
		func() { foreign.InfoContext(within, "m", "service", "V", "trace_id", "T") },
		func() { foreign.With("service", "V", "trace_id", "T").InfoContext(within, "m") },
	} {
		buf.Reset()
		write()
		got := decode(t, buf.Bytes())
		if got["service"] != "orders" || got["attr.service"] != "V" || strings.Count(buf.String(), `"trace_id"`) != 1 {
			t.Errorf("in front of a foreign handler: %s", buf.String())
		}
	}
}

// Times are as long as each other, in UTC, whatever they are.
func TestAppendTime(t *testing.T) {
	zone := time.FixedZone("", 5*3600)
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(1, 999_999_999), time.Unix(1, 1000), time.Date(2026, 11, 22, 1, 2, 3, 120_000_000, zone), time.Unix(-5, 7000)} {
		got := string(appendTime(nil, at))
		back, err := time.Parse(time.RFC3339Nano, got)
		if err != nil || !back.Equal(at.Truncate(time.Microsecond)) || len(got) != len("2026-11-22T01:02:03.000000Z") {
			t.Errorf("%v is written %s (%v)", at, got, err)
		}
	}
}

func TestAppendMilliseconds(t *testing.T) {
	for _, d := range []time.Duration{0, 999, time.Microsecond, 10 * time.Microsecond, 120 * time.Microsecond, time.Millisecond, 1_234_567, time.Hour, -time.Millisecond, -5} {
		b, err := json.Marshal(milliseconds(d))
		if got := string(appendMilliseconds(nil, d)); err != nil || got != string(b) {
			t.Errorf("%v is written %s, not %s (%v)", d, got, b, err)
		}
	}
}

type full struct{ n int }

func (f *full) Write([]byte) (int, error) { f.n++; return 0, errors.New("no space left") }

// A log that cannot be written is heard of: once in words, always in numbers.
func TestWriteErrorsAreCounted(t *testing.T) {
	clean(t)
	tel, err := New(t.Context(), Config{Service: "orders"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(t.Context()) }()
	var told bytes.Buffer
	h := NewHandler(&full{}, JSON, nil)
	h.out.told = &told
	log := slog.New(NewContextHandler(tel.Handler(h)))
	log.Info("a")
	log.With("b", 1).WithGroup("g").Warn("c", "d", 2)
	_ = LogRequest(t.Context(), log.Handler(), &Request{Time: time.Now()})
	if want := "log lines cannot be written and are lost: no space left\n"; told.String() != want {
		t.Errorf("said %q, want %q", told.String(), want)
	}
	if text, _ := scrape(t, tel, ""); !strings.Contains(text, "\naguada_log_write_errors_total 3\n") {
		t.Errorf("not counted: %s", text)
	}
}
