package transport

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/transport/internal/testsvc/gen/shop"
)

func TestBadBodies(t *testing.T) {
	r := newRig(t, nil)
	r.shop.create = func(context.Context, *shop.CreatePayload) (*shop.Order, error) {
		t.Error("called with a bad body")
		return stored, nil
	}
	with := func(old, new string) string { return strings.Replace(order, old, new, 1) }
	tests := []struct {
		name, body string
		errName    string
		message    string
	}{
		{"empty", " \n", "missing_payload", "missing required payload"},
		{"malformed", `{"customer_id": secret}`, "decode_payload", "the body is not valid JSON (at byte 17)"},
		{"truncated", order[:60], "decode_payload", "the body is not valid JSON (at byte 60)"},
		{"two values", order + `{"secret":1}`, "decode_payload", ""},
		{"not an object", `"secret"`, "decode_payload", "the body must be an object (at byte 8)"},
		{"wrong type", with(`"quantity":2`, `"quantity":"secret"`), "decode_payload", "items.quantity must be an integer in range (at byte 116)"},
		{"number out of range", with(`"quantity":2`, `"quantity":1e400`), "decode_payload", ""},
		{"not UTF-8", with("ring", "secret \xff"), "decode_payload", "the body is not UTF-8"},
		{"nested", with("{", `{"extra":{"a":`+strings.Repeat("[", 500)+strings.Repeat("]", 500)+`},`), "decode_payload", "the body is nested too deeply"},
		{"nested with quotes", with("{", `{"extra":{"a":"\"[","b":`+strings.Repeat(`{"x":`, 300)+"1"+strings.Repeat("}", 300)+`},`), "decode_payload", "the body is nested too deeply"},
		{"enum", with("EUR", "secret"), "invalid_enum_value", `value of body.currency must be one of "EUR", "USD"`},
		{"pattern", with("AB-1234", "secret"), "invalid_pattern", `body.sku must match the regexp "^[A-Z]{2}-[0-9]{3,6}$"`},
		{"format", with("2c7f4a1e", "secret"), "invalid_format", "body.customer_id must be formatted as a uuid"},
		{"range", with(`"quantity":2`, `"quantity":20000`), "invalid_range", "body.quantity must be lesser or equal than 100"},
		{"length", with("ring twice", "a secret that is much too long"), "invalid_length", "length of body.note must be lesser or equal than 20"},
		{"sensitive", with(`"note"`, `"card":"secret","note"`), "invalid_length", "length of body.card must be greater or equal than 12"},
		{"missing", with(`"currency":"EUR",`, ""), "missing_field", `"currency" is missing from body`},
	}
	for _, test := range tests {
		w := r.do(request("POST", "/orders", r.token, test.body))
		m := decoded(t, w)
		if w.Code != http.StatusBadRequest || m["name"] != test.errName || test.message != "" && m["message"] != test.message {
			t.Errorf("%s: %d %s", test.name, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "secret") || strings.Contains(r.log.String(), "secret") {
			t.Errorf("%s: a value is in the answer or the log: %s", test.name, w.Body)
		}
	}
	w := r.do(request("GET", "/find?limit=secret&ids=1&ids=secret&kind=secret", "", ""))
	want := `limit must be a integer; ids must be a array of integers; value of kind must be one of "a", "b"`
	if m := decoded(t, w); w.Code != 400 || m["message"] != want {
		t.Errorf("query: %d %s", w.Code, w.Body)
	}
	req := request("GET", "/find?limit=secret&kind=secret", "", "")
	req.Header.Set("Accept", "application/problem+json")
	w = r.do(req)
	if errs, _ := decoded(t, w)["errors"].([]any); len(errs) != 2 || strings.Contains(w.Body.String()+r.log.String(), "secret") {
		t.Errorf("problem: %s", w.Body)
	}
}

func TestMediaTypes(t *testing.T) {
	r := newRig(t, nil)
	for _, test := range []struct {
		header, value string
		status        int
	}{
		{"Content-Type", "application/json", 201},
		{"Content-Type", "application/json; charset=UTF-8", 201},
		{"Content-Type", "application/vnd.shop.order+json", 201},
		{"Content-Type", "", 201},
		{"Content-Type", "application/xml", 415},
		{"Content-Type", "application/gob", 415},
		{"Content-Type", "text/plain", 415},
		{"Content-Type", "application/json; charset=utf-16", 415},
		{"Content-Type", "text/plain+json", 415},
		{"Content-Type", ";;", 415},
		{"Content-Encoding", "identity", 201},
		{"Content-Encoding", "gzip", 415},
		{"Content-Encoding", "gzip, gzip", 415},
	} {
		req := request("POST", "/orders", r.token, order)
		if test.value == "" {
			req.Header.Del(test.header)
		} else {
			req.Header.Set(test.header, test.value)
		}
		w := r.do(req)
		if w.Code != test.status || strings.Contains(w.Body.String(), "gob") {
			t.Errorf("%s: %s: %d %s", test.header, test.value, w.Code, w.Body)
		}
	}
	req := request("POST", "/login", "", "<login><secret>"+r.key+"</secret></login>")
	req.Header.Set("Content-Type", "application/xml")
	if w := r.do(req); w.Code != http.StatusOK {
		t.Errorf("XML: %d %s", w.Code, w.Body)
	}
	req = request("POST", "/login", "", "<login><secret>secret")
	req.Header.Set("Content-Type", "application/xml")
	if w := r.do(req); w.Code != http.StatusBadRequest || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("bad XML: %d %s", w.Code, w.Body)
	}
}

func TestBodyLimit(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("create").MaxBody, r.policyOf("upload").MaxBody = int64(len(order)), 10 })
	if w := r.do(request("POST", "/orders", r.token, order)); w.Code != 201 {
		t.Errorf("at the limit: %d %s", w.Code, w.Body)
	}
	source := &counting{r: strings.NewReader(order + " ")}
	req := request("POST", "/orders", r.token, order+" ")
	req.Body = source
	w := r.do(req)
	if w.Code != 413 || w.Header().Get("Connection") != "close" || source.n != 0 || decoded(t, w)["name"] != "body_too_large" {
		t.Errorf("declared: %d %s, %d bytes read", w.Code, w.Body, source.n)
	}
	source = &counting{r: strings.NewReader(strings.Repeat(" ", 100<<10))}
	req = request("POST", "/orders", r.token, "x")
	req.Body, req.ContentLength = source, -1
	w = r.do(req)
	if w.Code != 413 || w.Header().Get("Connection") != "close" || source.n > len(order)+1 || decoded(t, w)["name"] != "body_too_large" {
		t.Errorf("chunked: %d %s, %d bytes read", w.Code, w.Body, source.n)
	}
	req = request("POST", "/upload", r.token, "x")
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader("more than ten")), -1
	if w := r.do(req); w.Code != 413 || r.log.last(t)["http.request.body.size"] != 10.0 {
		t.Errorf("upload: %d %s %v", w.Code, w.Body, r.log.last(t))
	}
}

// A proxy that goes by the length, where the server goes by the coding, would take
// the rest of a body for a request of somebody else's.
func TestNothingFollowsAChunkedRequest(t *testing.T) {
	r := newRig(t, nil)
	server := httptest.NewServer(r.h)
	t.Cleanup(server.Close)
	conn := must(net.Dial("tcp", server.Listener.Addr().String()))(t)
	body := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(order), order)
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	_, _ = fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%s%s",
		r.token, len(body)+len(smuggled), body, smuggled)
	all, _ := io.ReadAll(conn)
	if answers := strings.Count(string(all), "HTTP/1.1 "); answers != 1 || !strings.HasPrefix(string(all), "HTTP/1.1 201") {
		t.Errorf("%d answers: %s", answers, all)
	}
}

// metered counts what the server reads from a connection.
type metered struct {
	net.Conn
	n atomic.Int64
}

func (m *metered) Read(p []byte) (int, error) {
	n, err := m.Conn.Read(p)
	m.n.Add(int64(n))
	return n, err
}

func TestUnauthenticatedFlood(t *testing.T) {
	r := newRig(t, nil)
	for _, length := range []int64{64 << 20, -1} {
		p, _ := r.serve(t)
		client, server := net.Pipe()
		meter := &metered{Conn: server}
		p.conns <- meter
		req := request("POST", "/orders", "", "x")
		req.Body, req.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), length
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = req.Write(client) // fails when the server closes
		}()
		resp, err := http.ReadResponse(bufio.NewReader(client), req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 401 || resp.Header.Get("Www-Authenticate") == "" || !resp.Close {
			t.Errorf("length %d: %v", length, resp)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		_ = client.Close()
		<-done
		if n := meter.n.Load(); n > 300<<10 {
			t.Errorf("length %d: %d bytes left the socket", length, n)
		}
		if line := r.log.last(t); line["http.request.body.size"] != nil {
			t.Errorf("length %d: the handler read %v bytes", length, line["http.request.body.size"])
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Over a real network, too, the client gets its answer though it goes on
// sending.
func TestFloodOverTCP(t *testing.T) {
	r := newRig(t, nil)
	server := httptest.NewServer(r.h)
	defer server.Close()
	for _, length := range []int64{64 << 20, -1} {
		req, err := http.NewRequest("POST", server.URL+"/orders", io.LimitReader(zeros{}, 64<<20))
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != 401 || !strings.Contains(string(text), "unauthorized") || err != nil {
			t.Errorf("length %d: %d %s %v", length, resp.StatusCode, text, err)
		}
		_ = resp.Body.Close()
	}
}

func TestHTTP2(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("create").MaxBody = int64(len(order)) })
	server := httptest.NewUnstartedServer(r.h)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, test := range []struct {
		name, token string
		body        io.Reader
		status      int
	}{
		{"good", r.token, strings.NewReader(order), 201},
		{"anonymous flood", "", io.LimitReader(zeros{}, 64<<20), 401},
		{"flood", r.token, io.LimitReader(zeros{}, 64<<20), 413},
		{"good again", r.token, strings.NewReader(order), 201},
	} {
		req, err := http.NewRequest("POST", server.URL+"/orders", test.body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+test.token)
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != test.status || resp.ProtoMajor != 2 || err != nil {
			t.Errorf("%s: %s %d %s %v", test.name, resp.Proto, resp.StatusCode, text, err)
		}
		_ = resp.Body.Close()
		if n, _ := r.log.last(t)["http.request.body.size"].(float64); n > float64(len(order)) {
			t.Errorf("%s: %v bytes read", test.name, n)
		}
	}
}

func TestRequestsAfterARefusal(t *testing.T) {
	r := newRig(t, nil)
	p, _ := r.serve(t)
	conn, err := p.dial(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		for range 3 {
			_, _ = fmt.Fprintf(conn, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(order), order)
			_, _ = fmt.Fprintf(conn, "GET /find?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n")
		}
	}()
	in := bufio.NewReader(conn)
	for i := range 6 {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		if want := []int{401, 200}[i%2]; resp.StatusCode != want || resp.ContentLength != int64(len(text)) {
			t.Errorf("answer %d: %d %s", i, resp.StatusCode, text)
		}
	}
}

func TestSlowBody(t *testing.T) {
	r := newRig(t, func(r *rig) { r.policyOf("login").Deadline = policy.Duration(5 * time.Second) })
	synctest.Test(t, func(t *testing.T) {
		p, _ := r.serve(t)
		conn, err := p.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		start := time.Now()
		_, _ = fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"secret\":")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); resp.StatusCode != http.StatusRequestTimeout || d != 5*time.Second || !resp.Close {
			t.Errorf("%d after %v", resp.StatusCode, d)
		}
	})
}

func TestBodyThatEndsEarly(t *testing.T) {
	r := newRig(t, nil)
	synctest.Test(t, func(t *testing.T) {
		p, _ := r.serve(t)
		conn, err := p.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"secret\":")
		_ = conn.Close()
		synctest.Wait()
		if line := r.log.last(t); line["http.response.status_code"] != 499.0 || line["http.request.body.size"] != 10.0 {
			t.Errorf("line = %v", line)
		}
	})
}

// A method may take longer than the server's timeouts, and its context is not
// cancelled by them.
func TestLongCalls(t *testing.T) {
	r := newRig(t, func(r *rig) {
		r.cfg.WriteTimeout, r.cfg.ReadTimeout = time.Second, time.Second
		r.policyOf("login").Deadline = policy.Duration(time.Minute)
		r.policyOf("find").Deadline = 0
	})
	r.shop.find = func(ctx context.Context, _ *shop.FindPayload) (any, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(30 * time.Second):
			return 1, nil
		}
	}
	r.shop.login = func(ctx context.Context, _ *shop.LoginPayload) (string, error) {
		_, err := r.shop.find(ctx, nil)
		return "ok", err
	}
	synctest.Test(t, func(t *testing.T) {
		_, client := r.serve(t)
		for _, req := range []*http.Request{request("GET", "/find", "", ""), request("POST", "/login", "", `{"secret":"`+r.key+`"}`)} {
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", req.URL.Path, err)
			}
			text, err := io.ReadAll(resp.Body)
			if resp.StatusCode != 200 || err != nil {
				t.Errorf("%s: %d %s %v", req.URL.Path, resp.StatusCode, text, err)
			}
			_ = resp.Body.Close()
		}
	})
}

func TestWriterAfterTheAnswerBegan(t *testing.T) {
	r := newRig(t, nil)
	r.h.Plain("GET", "/begun", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic("then")
	}))
	_, client := r.serve(t)
	resp, err := client.Get("http://shop.test/begun")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusTeapot || string(text) != "half" || err == nil {
		t.Errorf("%d %q %v: the client must see that the answer is not whole", resp.StatusCode, text, err)
	}
}

func TestLargeAnswersHaveALength(t *testing.T) {
	r := newRig(t, nil)
	for _, size := range []int{10, 3000, 100_000} {
		r.shop.find = func(context.Context, *shop.FindPayload) (any, error) { return strings.Repeat("x", size), nil }
		_, client := r.serve(t)
		resp, err := client.Get("http://shop.test/find")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.ContentLength != int64(size+3) || len(text) != size+3 {
			t.Errorf("size %d: length %d, %d bytes", size, resp.ContentLength, len(text))
		}
	}
}

func FuzzDecoder(f *testing.F) {
	r := newRig(f, nil)
	f.Add([]byte(order))
	f.Add([]byte(`{"items":[{"sku":1}]}`))
	f.Add([]byte("[[[[{\"\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		req := request("POST", "/orders", r.token, "x")
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(string(data))), int64(len(data))
		w := httptest.NewRecorder()
		r.log.reset()
		r.h.ServeHTTP(w, req)
		if w.Code != 201 && w.Code != 400 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		r.log.last(t)
	})
}

// FuzzHeaders sends any headers: the answer is never a fault, and the log stays
// readable.
func FuzzHeaders(f *testing.F) {
	r := newRig(f, nil)
	f.Add("application/json;q=0.5, */*", "application/json; charset=utf-8", "id-1", "Bearer x", "identity")
	f.Add("application/problem+json;q=", "a/b;;=\"", "\xff", "Basic YTpi", "gzip")
	f.Fuzz(func(t *testing.T, accept, media, id, authorization, coding string) {
		r.log.reset()
		for _, target := range []string{"/orders", "/login", "/nothing"} {
			req := request("POST", target, "", order)
			req.Header["Accept"], req.Header["Content-Type"] = []string{accept}, []string{media}
			req.Header["X-Request-Id"], req.Header["Authorization"] = []string{id}, []string{authorization}
			req.Header["Content-Encoding"] = []string{coding}
			w := r.do(req)
			switch w.Code {
			case 400, 401, 404, 415:
			default:
				t.Errorf("%s: %d %s", target, w.Code, w.Body)
			}
			if !saneID(w.Header().Get("X-Request-Id")) {
				t.Errorf("request id %q", w.Header().Get("X-Request-Id"))
			}
		}
		if n := len(r.log.lines(t, "request")); n != 3 {
			t.Errorf("%d lines", n)
		}
	})
}
