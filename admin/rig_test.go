package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aguada-dev/aguada/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "correct horse battery staple"

func fixed(token string) func() string { return func() string { return token } }

var goodToken = strings.ReplaceAll(token, " ", "-")

var contract = &policy.Contract{
	SchemaURI: "https://example.com/contract.schema.json", Generator: "0.1.0",
	API:     policy.API{Name: "shop", Version: "1.2.3"},
	Source:  &policy.Source{Dir: "design", SHA256: "abc123"},
	Schemes: []policy.Scheme{{Name: "jwt", Kind: policy.JWT}},
	Services: []policy.Service{{Name: "orders", DependsOn: []string{"database"}, Methods: []policy.Method{
		{
			Service: "orders", Name: "create", Kind: "unary", Access: policy.Secured, Audit: true, MaxInFlight: 200,
			Routes:       []policy.Route{{Verb: "POST", Pattern: "/orders"}},
			Requirements: []policy.Requirement{{Schemes: []policy.Use{{Scheme: "jwt", In: policy.InHeader, Name: "Authorization"}}, Scopes: []string{"orders:write"}}},
			Deadline:     policy.Duration(5 * time.Second), MaxBody: 1 << 20,
		},
		{Service: "orders", Name: "show", Kind: "unary", Access: policy.Public, Routes: []policy.Route{{Verb: "GET", Pattern: "/orders/{id}"}}},
	}}},
}

// store keeps leases in memory.
type store struct {
	mu   sync.Mutex
	all  []Lease
	n    int
	ring *Ring
}

var _ Leases = (*store)(nil)

func (s *store) Open(r LeaseRequest) (Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 3 {
		return Lease{}, errors.New("too many leases are open")
	}
	s.n++
	now := time.Now()
	l := Lease{
		ID: fmt.Sprint("l", s.n), Kind: r.Kind, Level: r.Level, Service: r.Service, Method: r.Method, Scheme: r.Scheme, Principal: r.Principal,
		Reason: r.Reason, OpenedBy: r.By, Opened: now, Expires: now.Add(time.Duration(r.Duration)),
	}
	s.all = append(s.all, l)
	s.ring.Add(Event{Action: "lease.opened", User: r.By, Outcome: Success, LeaseID: l.ID})
	return l, nil
}

func (s *store) End(id, by string) (Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.all, func(l Lease) bool { return l.ID == id })
	if i < 0 {
		return Lease{}, errors.New("no such lease")
	}
	l := s.all[i]
	s.all = slices.Delete(s.all, i, i+1)
	s.ring.Add(Event{Action: "lease.ended", User: by, Outcome: Success, LeaseID: l.ID})
	return l, nil
}

func (s *store) List() []Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// buffer is a log that tells of each line.
type buffer struct {
	mu    sync.Mutex
	b     bytes.Buffer
	lines chan struct{}
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.lines <- struct{}{}:
	default:
	}
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// rig is a port on a real listener.
type rig struct {
	t    *testing.T
	s    *Server
	addr string
	url  string
	ring *Ring
	log  *buffer
	http *http.Client
}

func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	ring, log := NewRing(64), &buffer{lines: make(chan struct{}, 1000)}
	cfg := Config{
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") }),
		Settings: func() []Setting {
			return []Setting{{Name: "DATABASE_URL", Type: "secret", Required: "yes", Value: "[redacted]", Source: "file /run/db"}}
		},
		State: func() State {
			return State{Name: "ready", Started: true, Ready: true, Version: "1.2.3", Uptime: time.Minute}
		},
		Checks: func(context.Context) []Check {
			return []Check{{Name: "database", OK: true, Duration: 1500 * time.Microsecond, Checked: time.Now(), Since: time.Now()}}
		},
		Leases: &store{ring: ring}, Audit: ring, Version: "0.1.0-dev", Logger: slog.New(slog.NewJSONHandler(log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(ln.Addr(), contract, cfg)
	if err != nil {
		t.Fatal(err)
	}
	srv, done, transport := s.HTTP(), make(chan struct{}), new(http.Transport)
	scheme := "http://"
	go func() {
		defer close(done)
		if cfg.TLS != nil {
			_ = srv.ServeTLS(ln, "", "")
		} else {
			_ = srv.Serve(ln)
		}
	}()
	if cfg.TLS != nil {
		scheme = "https://"
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-done
	})
	return &rig{t, s, ln.Addr().String(), scheme + ln.Addr().String(), ring, log, &http.Client{Transport: transport}}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
	closed bool // the server ends the connection
}

// do sends a request with headers in pairs. A pair "Host" sets that; a name
// that comes twice is sent twice.
func (g *rig) do(method, path, body string, header ...string) answer {
	g.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, r)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	res, err := g.http.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b), res.Close}
}

func (g *rig) get(path string, header ...string) answer { return g.do("GET", path, "", header...) }

// into decodes a JSON answer.
func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		t.Fatalf("%v:\n%s", err, a.body)
	}
}

// actions returns what was audited.
func (g *rig) actions() string {
	var all []string
	for _, e := range g.ring.Events(0, 0) {
		all = append(all, e.Action+" "+e.Outcome+" "+cmp.Or(e.User, "-"))
	}
	return strings.Join(all, "\n")
}
