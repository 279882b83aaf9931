package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// The tests here fail when the service gets better: it is a target whose
// defects have to stay. Names of subtests are the ids of DEFECTS.md.

var basic = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))

// sampled makes a span of every request, whatever Clue's sampler decides.
const sampled = "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func order(id, kind string) string {
	return fmt.Sprintf(`{"id":%q,"amount":1,"type":%q}`, id, kind)
}

func TestSecurity(t *testing.T) {
	p := start(t)
	is := func(id string, got, want any) {
		t.Helper()
		t.Run(id, func(t *testing.T) {
			if got != want {
				t.Errorf("got %v: the defect is gone, which showed as %v", got, want)
			}
		})
	}
	res := p.do("GET", "/users/admin", "")
	is("missing-credential-400", res.StatusCode, http.StatusBadRequest)
	res = p.do("GET", "/users/admin", "", "Authorization: Bearer garbage")
	is("no-challenge", fmt.Sprint(res.StatusCode, res.Header.Values("WWW-Authenticate")), "401 []")
	is("wrong-auth-scheme", p.do("GET", "/users/admin", "", "Authorization: Basic "+token(t)).StatusCode, http.StatusOK)
	is("scope-not-enforced", p.do("GET", "/users/admin", "", "Authorization: Bearer "+token(t)).StatusCode, http.StatusOK)
	is("health-404", p.do("GET", "/healthz", "").StatusCode, http.StatusNotFound)
	is("pprof-public", p.do("GET", "/debug/pprof/heap", "").StatusCode, http.StatusOK)
	is("debug-switch-public", p.do("GET", "/debug?debug-logs=on", "").body, `{"debug-logs":"on"}`)
	res = p.do("POST", "/orders", order(strings.Repeat("A", 1<<20), "t"))
	is("body-before-auth", res.StatusCode, http.StatusBadRequest)
	is("input-echoed", strings.Count(res.body, "A") >= 1<<20, true)
	is("404-405-no-json", p.do("GET", "/nothing", "").Header.Get("Content-Type")+p.do("POST", "/users/public", "").body, "text/plain; charset=utf-8")
	res = p.do("POST", "/orders", order("empty", ""), basic)
	is("error-text-leaks", fmt.Sprint(res.StatusCode, strings.Contains(res.body, "CHECK constraint failed: length(type)")), "500 true")
	_, err := p.send("GET", "/orders/unknown", "", "Authorization: Bearer "+token(t))
	is("no-recovery", errors.Is(err, io.EOF), true)
	is("what is right still works", p.do("GET", "/orders/ord_1", "", "Authorization: Bearer "+token(t)).body, `{"id":"ord_1","amount":74.5,"type":"online"}`+"\n")
}

func TestLog(t *testing.T) {
	p := start(t)
	p.do("GET", "/users?key="+apiKey, "", "X-Forwarded-For: 203.0.113.9")
	p.do("GET", "/debug", "")
	p.do("POST", "/orders", `{"id":"a\u0001b","amount":1,"type":"t"}`, basic)
	p.do("GET", "/users/public", "", "X-Forwarded-For: last")
	p.wait("all is logged", func() bool { return strings.Contains(p.log.String(), `"last"`) })
	for id, want := range map[string]string{
		"credential-in-log": `"http.url":"/users?key=` + apiKey + `"`,
		"forwarded-for":     `"http.remote_addr":"203.0.113.9"`,
		"status-0":          `"http.url":"/debug","http.status":0`,
	} {
		t.Run(id, func(t *testing.T) {
			if !strings.Contains(p.log.String(), want) {
				t.Errorf("the defect is gone: no %s in the log", want)
			}
		})
	}
	t.Run("log-not-json", func(t *testing.T) {
		for line := range strings.Lines(p.log.String()) {
			if strings.Contains(line, "processing order") && json.Valid([]byte(line)) {
				t.Errorf("the defect is gone: valid JSON %q", line)
			}
		}
	})
}

func TestStreams(t *testing.T) {
	p := start(t, "WRITE_TIMEOUT=2s")
	events := p.watch()
	p.do("POST", "/orders", order("inject", "a\n\ndata: forged"), basic)
	go func() { // the timeout shows with an event after it
		for i := 0; t.Context().Err() == nil; i++ {
			_, _ = p.send("POST", "/orders", order(fmt.Sprint("more-", i), "more"), basic)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	text, err := io.ReadAll(events)
	t.Run("event-injection", func(t *testing.T) {
		if !strings.Contains(string(text), "data: a\n\ndata: forged\n\n") {
			t.Errorf("the defect is gone: events %q", text)
		}
	})
	t.Run("stream-cut", func(t *testing.T) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("the defect is gone: the stream ended with %v", err)
		}
	})
	t.Run("socket-left-open", func(t *testing.T) {
		c, res, err := websocket.DefaultDialer.Dial("ws://"+p.addr+"/orders/track", http.Header{"Authorization": {"Bearer " + token(t)}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		defer res.Body.Close()
		if err := c.WriteJSON(map[string]string{"id": "unknown"}); err != nil {
			t.Fatal(err)
		}
		p.wait("the method has returned", func() bool {
			return strings.Contains(p.log.String(), `"msg":"end","http.method":"GET","http.url":"/orders/track"`)
		})
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		var late interface{ Timeout() bool }
		if _, _, err := c.ReadMessage(); !errors.As(err, &late) || !late.Timeout() {
			t.Errorf("the defect is gone: the connection ended with %v", err)
		}
	})
}

func TestTelemetry(t *testing.T) {
	s := listen(t)
	p := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.addr, "OTEL_BSP_SCHEDULE_DELAY=50")
	p.do("POST", "/orders", order("empty", ""), basic, sampled)
	p.wait("the span is there", func() bool { return len(s.named("create_order")) == 1 })
	t.Run("span-status-unset", func(t *testing.T) {
		failed := s.named("create_order")[0]
		if len(failed.GetEvents()) != 1 || failed.GetStatus().GetCode() != tracepb.Status_STATUS_CODE_UNSET {
			t.Errorf("the defect is gone: events %v, status %v", failed.GetEvents(), failed.GetStatus())
		}
	})
	t.Run("telemetry-lost", func(t *testing.T) {
		p := start(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://"+s.addr, "OTEL_BSP_SCHEDULE_DELAY=60000")
		p.do("GET", "/users/public", "", sampled)
		p.terminate()
		<-p.done
		if n := len(s.named("GET /users/public")); n != 0 {
			t.Errorf("the defect is gone: %d spans arrived", n)
		}
	})
}

func TestLifecycle(t *testing.T) {
	p := start(t)
	t.Run("address-in-use", func(t *testing.T) {
		second := launch(t, p.addr)
		select {
		case <-second.done:
			t.Error("the defect is gone: it ended by itself")
		case <-time.After(2 * time.Second):
		}
		second.terminate()
		<-second.done
		if code, log := second.cmd.ProcessState.ExitCode(), second.log.String(); code != 0 || log != "" {
			t.Errorf("the defect is gone: exit code %d, log %q", code, log)
		}
	})
	t.Run("stream-burns-shutdown", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes the 30 seconds of the shutdown")
		}
		p.watch()
		began := time.Now()
		p.terminate()
		p.wait("the listener is closed", func() bool { _, err := p.send("GET", "/users/public", ""); return err != nil })
		p.terminate() // second-signal-ignored
		<-p.done
		if took, code := time.Since(began), p.cmd.ProcessState.ExitCode(); took < 29*time.Second || code != 0 {
			t.Errorf("the defect is gone: it took %s, exit code %d", took, code)
		}
	})
}
