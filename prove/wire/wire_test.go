package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) Peer {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return Peer{Address: s.Listener.Addr().String()}
}

func statuses(r *Reply) []int {
	var list []int
	for _, a := range r.Answers {
		list = append(list, a.Status)
	}
	return list
}

func TestSendCountsAnswers(t *testing.T) {
	t.Parallel()
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "hello "+r.URL.Path)
	})
	for _, c := range []struct {
		name, raw string
		want      []int
		served    bool
		said      string
	}{
		{"one", "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", []int{200}, true, "200 OK"},
		{"two in a row", "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", []int{200, 404}, true, "200 OK, then 404 Not Found"},
		{"no host", "GET /a HTTP/1.1\r\n\r\n", []int{400}, false, "400 Bad Request"},
		{"another protocol", "SSH-2.0-x\r\n\r\n", []int{400}, false, "400 Bad Request"},
		{"nothing at all", "", nil, false, "the connection was ended without an answer"},
		{"half a request", "GET /a HTTP/1.1\r\nHo", []int{400}, false, "400 Bad Request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Send(t.Context(), p, []byte(c.raw))
			if got := statuses(r); len(got) != len(c.want) || len(got) > 0 && got[len(got)-1] != c.want[len(c.want)-1] {
				t.Errorf("answers are %v, want %v", got, c.want)
			}
			if r.Served() != c.served || r.String() != c.said || !r.Ended {
				t.Errorf("served %v, ended %v, %q", r.Served(), r.Ended, r)
			}
		})
	}
}

func TestSendComesFromTheAddress(t *testing.T) {
	t.Parallel()
	var from string
	p := serve(t, func(_ http.ResponseWriter, r *http.Request) { from = r.RemoteAddr })
	p.From = "127.77.3.9"
	if r := Send(t.Context(), p, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); r.Err != nil {
		t.Skipf("this system has one address on loopback: %v", r.Err)
	}
	if !strings.HasPrefix(from, p.From+":") {
		t.Errorf("the connection came from %s", from)
	}
}

func TestSendToNobody(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if r := Send(t.Context(), Peer{Address: l.Addr().String()}, nil); r.Err == nil || r.Ended || r.Served() {
		t.Errorf("%+v", r)
	}
}

// A peer that reads nothing and says nothing holds nobody longer than they want.
func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	r := Send(ctx, Peer{Address: l.Addr().String()}, make([]byte, 64<<20))
	if r.Ended || len(r.Answers) > 0 || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("%+v", r)
	}
	if r.String() != "no answer, and the connection is open" {
		t.Errorf("%s", r)
	}
}

// An answer that comes before all was sent is seen.
func TestSendHearsAnEarlyAnswer(t *testing.T) {
	t.Parallel()
	p := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	raw := append([]byte("GET / HTTP/1.1\r\nHost: x\r\nX: "), bytes.Repeat([]byte("a"), 1100<<10)...)
	r := Send(t.Context(), p, append(raw, "\r\n\r\n"...))
	if r.Served() || !r.Ended {
		t.Errorf("%s, ended %v", r, r.Ended)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	const one = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	for _, c := range []struct {
		name, text string
		want       []int
		rest       string
	}{
		{"none", "", nil, ""},
		{"interim", "HTTP/1.1 100 Continue\r\n\r\n" + one, []int{200}, ""},
		{"chunked, then another", "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + one, []int{404, 200}, ""},
		{"until the end", "HTTP/1.0 200 OK\r\n\r\nhi" + one, []int{200}, ""},
		{"cut off", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi", []int{200}, ""},
		{"frames of HTTP/2", "\x00\x00\x06\x04\x00\x00\x00\x00\x00", nil, "\x00\x00\x06\x04\x00\x00\x00\x00\x00"},
		{"no answer behind one", one + "SSH-2.0-x", []int{200}, "SSH-2.0-x"},
		{"half of one", one + "HTTP/1.1 2", []int{200}, "HTTP/1.1 2"},
		{"switched", "HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x00", []int{101}, "\x81\x00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := Parse([]byte(c.text))
			got := statuses(r)
			if len(got) != len(c.want) || string(r.Rest) != c.rest {
				t.Fatalf("answers %v, rest %q", got, r.Rest)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("answers %v, want %v", got, c.want)
				}
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 Not Found\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"))
	f.Add([]byte("\x00\x00\x00\x04"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := Parse(text)
		n := len(r.Rest)
		for _, a := range r.Answers {
			n += len(a.Body)
		}
		if n > len(text) {
			t.Errorf("%d bytes became %d", len(text), n)
		}
		if got := r.Text(strings.ToUpper); strings.ContainsRune(got, 0) {
			t.Errorf("%q is shown raw", got)
		}
	})
}

// What nobody may see is taken out before a text is cut, so that no half of it is
// left.
func TestTextMasksBeforeItCuts(t *testing.T) {
	t.Parallel()
	const secret = "secret-0123456789"
	mask := func(s string) string { return strings.ReplaceAll(s, secret, "***") }
	body := strings.Repeat("x", 590) + secret
	r := Parse([]byte("HTTP/1.1 200 OK\r\nX-A: " + secret + "\r\n\r\n" + body))
	if got := r.Text(mask); strings.Contains(got, "secret") || !strings.Contains(got, "***") {
		t.Errorf("%q", got)
	}
	r = Parse([]byte(strings.Repeat("x", 590) + secret))
	if got := r.Text(mask); strings.Contains(got, "secret") {
		t.Errorf("%q", got)
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	if got := Excerpt("a\r\nb\x00\x7f\xff"); got != "a\nb␀␡\uFFFD" {
		t.Errorf("%q", got)
	}
	if got := Excerpt(strings.Repeat("x", 1000)); !strings.HasSuffix(got, "… (1000 bytes)") || len(got) > 700 {
		t.Errorf("%q", got)
	}
}
