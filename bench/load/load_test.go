package load

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func request(path string, status int) Request {
	return Request{Wire: []byte("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"), Status: status}
}

// dial connects to a real server that answers in every way that layers do.
func dial(t *testing.T, requests ...Request) (*Client, *atomic.Int64) {
	t.Helper()
	var served atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/length", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "body") })
	mux.HandleFunc("/chunks", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, _ = io.WriteString(w, strings.Repeat("x", 5000))
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/close", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served.Add(1)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	c, err := Dial(t.Context(), s.Listener.Addr().String(), requests, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, &served
}

func TestSaturate(t *testing.T) {
	c, served := dial(t, request("/length", 200), request("/chunks", 200), request("/missing", 404))
	n, err := c.Saturate(100 * time.Millisecond)
	if err != nil || n == 0 || int64(n) != served.Load() {
		t.Errorf("%d answers of %d, %v", n, served.Load(), err)
	}
}

func TestPace(t *testing.T) {
	c, served := dial(t, request("/length", 200))
	latencies, err := c.Pace(200, 500*time.Millisecond)
	if err != nil || len(latencies) != 100 || served.Load() != 100 {
		t.Errorf("%d latencies of %d requests, not 100: %v", len(latencies), served.Load(), err)
	}
	if !slices.IsSorted(latencies) || latencies[0] <= 0 {
		t.Errorf("latencies: %v", latencies)
	}
}

// What fails fast must not look fast.
func TestWrongAnswersAreErrors(t *testing.T) {
	for path, status := range map[string]int{"/missing": 200, "/length": 201, "/close": 200} {
		c, _ := dial(t, request(path, status))
		if _, err := c.Saturate(10 * time.Millisecond); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		status, err := answer(bufio.NewReader(strings.NewReader(text)))
		if err == nil && !strings.HasPrefix(text, "HTTP/1.1 ") {
			t.Errorf("status %d", status)
		}
	})
}
