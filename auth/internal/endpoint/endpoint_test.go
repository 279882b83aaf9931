package endpoint_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/auth/internal/endpoint"
)

func TestParse(t *testing.T) {
	for address, ok := range map[string]bool{
		"https://issuer.example/ask": true, "http://localhost:8080/": true, "http://127.9.9.9/": true, "http://[::1]:8080/": true,
		"https://issuer.example/" + strings.Repeat("a", 2<<10): false,
		"":                                   false,
		"/ask":                               false,
		"https:issuer.example":               false,
		"http://issuer.example/":             false,
		"http://127.0.0.1.example/":          false,
		"http://169.254.169.254/":            false,
		"http://[::ffff:169.254.169.254]/":   false,
		"https://user:secret@issuer.example": false,
		"https://issuer.example/#secret":     false,
		"file:///etc/passwd":                 false,
	} {
		_, err := endpoint.Parse(address)
		if (err == nil) != ok {
			t.Errorf("%.60q: got %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds a part of the address: %v", err)
		}
	}
}

// What is sent goes to nobody else, whatever kind of redirect asks for it.
func TestRedirects(t *testing.T) {
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, s.URL, strings.NewReader("token=secret"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := endpoint.Do(endpoint.Client(endpoint.Transport(1)), req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != status {
				t.Errorf("%s: got status %d, want %d", method, res.StatusCode, status)
			}
		}
		s.Close()
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// A server that says a lot, in no way that HTTP knows, gets little of it into
// an error.
func TestErrorsAreBrief(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write(bytes.Repeat([]byte("\x1b[2J\xff\u202enonsense"), 3000))
			_, _ = io.WriteString(c, "\r\n\r\n")
			_ = c.Close()
		}
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = endpoint.Do(endpoint.Client(endpoint.Transport(1)), req)
	if err == nil || len(err.Error()) > 256 {
		t.Errorf("an error of %d bytes: %.80q", len(err.Error()), err)
	}
	for _, text := range []string{"a\nb\x1b", "\xff\xfe", strings.Repeat("é", 1000), strings.Repeat("\u202e", 1000)} {
		cause := errors.New(text)
		err := endpoint.Brief(cause)
		if s := err.Error(); len(s) > 256 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%.20q became %q", text, s)
		}
		if !errors.Is(err, cause) {
			t.Error("the error itself is lost")
		}
	}
}

func TestRead(t *testing.T) {
	for n, ok := range map[int64]bool{4: false, 5: true, 6: true} {
		if data, err := endpoint.Read(strings.NewReader("12345"), n); (err == nil) != ok || (ok && string(data) != "12345") {
			t.Errorf("%d: got %q, %v", n, data, err)
		}
	}
	if _, err := endpoint.Read(endless{}, 1<<10); err == nil {
		t.Error("an answer without end is taken")
	}
}

// endless is an answer without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
