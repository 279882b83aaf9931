package target_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"github.com/aguada-dev/aguada/admin"
	"github.com/aguada-dev/aguada/console/target"
	"github.com/aguada-dev/aguada/policy"
)

const token = "a-token-of-the-private-port"

// leases keeps leases, as a service does.
type leases struct{ all []admin.Lease }

func (l *leases) Open(r admin.LeaseRequest) (admin.Lease, error) {
	lease := admin.Lease{ID: "lease-1", Kind: r.Kind, Level: r.Level, Service: r.Service, Reason: r.Reason, OpenedBy: r.By, Opened: time.Now(), Expires: time.Now().Add(time.Duration(r.Duration))}
	l.all = append(l.all, lease)
	return lease, nil
}

func (l *leases) End(id, _ string) (admin.Lease, error) {
	for i, v := range l.all {
		if v.ID == id {
			l.all = append(l.all[:i], l.all[i+1:]...)
			return v, nil
		}
	}
	return admin.Lease{}, errors.New("none")
}

func (l *leases) List() []admin.Lease { return l.all }

// serve runs a real private port, and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	contract := &policy.Contract{API: policy.API{Name: "shop"}, Services: []policy.Service{{Name: "orders", Methods: []policy.Method{{Service: "orders", Name: "create", Kind: policy.Unary}}}}}
	s, err := admin.New(ln.Addr(), contract, admin.Config{
		Token: func() string { return token }, Leases: &leases{}, Logger: slog.New(slog.DiscardHandler),
		Settings: func() []admin.Setting {
			return []admin.Setting{{Name: "DATABASE_URL", Value: "[redacted]", Source: "environment"}}
		},
		Checks: func(context.Context) []admin.Check {
			return []admin.Check{{Name: "database", LastError: "connection refused"}}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := s.HTTP()
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	return "http://" + ln.Addr().String()
}

func find(t *testing.T, cfg target.Config) *target.Target {
	t.Helper()
	all := target.New()
	if err := all.Set(cfg); err != nil {
		t.Fatal(err)
	}
	v, ok := all.Find(cfg.Service)
	if !ok {
		t.Fatal("the service is not found")
	}
	return v
}

func TestPrivatePort(t *testing.T) {
	v := find(t, target.Config{Service: "shop", Admin: serve(t), Token: func() string { return token }})
	ctx := t.Context()
	state, err := v.State(ctx)
	if err != nil || len(state.Checks) != 1 || state.Checks[0].Error != "connection refused" {
		t.Errorf("state: %+v, %v", state, err)
	}
	settings, err := v.Settings(ctx)
	if err != nil || len(settings) != 1 || settings[0].Value != "[redacted]" {
		t.Errorf("settings: %+v, %v", settings, err)
	}
	contract, raw, err := v.Contract(ctx)
	if err != nil || contract.API.Name != "shop" || !json.Valid(raw) {
		t.Errorf("contract: %+v, %v", contract, err)
	}
	if b, err := v.Build(ctx); err != nil || !json.Valid(b) {
		t.Errorf("build: %s, %v", b, err)
	}
	l, err := v.OpenLease(ctx, target.LeaseRequest{Kind: admin.LevelLease, Level: "debug", Service: "orders", Duration: "1m0s", Reason: "test"})
	if err != nil || l.ID != "lease-1" || time.Until(l.Expires) > time.Minute {
		t.Fatalf("lease: %+v, %v", l, err)
	}
	if all, err := v.Leases(ctx); err != nil || len(all) != 1 || all[0].Service != "orders" {
		t.Errorf("leases: %+v, %v", all, err)
	}
	if err := v.EndLease(ctx, l.ID); err != nil {
		t.Error(err)
	}
	var why *target.Error
	if err := v.EndLease(ctx, l.ID); !errors.As(err, &why) || why.Status != http.StatusNotFound {
		t.Errorf("a lease that has ended: %v", err)
	}
	if _, err := v.OpenLease(ctx, target.LeaseRequest{Kind: admin.LevelLease, Level: "debug", Service: "nowhere", Duration: "1m0s", Reason: "test"}); !errors.As(err, &why) || why.Status != http.StatusBadRequest {
		t.Errorf("a lease of a service that is not there: %v", err)
	}
}

func TestProfiles(t *testing.T) {
	v := find(t, target.Config{Service: "shop", Admin: serve(t), Token: func() string { return token }})
	for _, kind := range []string{"heap", "allocs", "goroutine"} {
		p, err := v.Profile(t.Context(), kind, 0)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		check(t, kind, p)
	}
	if _, err := v.Profile(t.Context(), "trace", 1); err == nil {
		t.Error("a kind that is none was taken")
	}
}

// check says that a profile adds up.
func check(t *testing.T, kind string, p *target.Profile) {
	t.Helper()
	if len(p.Frames) < 2 || len(p.Top) == 0 || p.Frames[0].Value != p.Total || p.Frames[0].Parent != -1 {
		t.Fatalf("%s has %d frames of %d in all: %+v", kind, len(p.Frames), p.Total, p.Frames[0])
	}
	adds(t, kind, p)
}

// adds says that every frame is what it and its callees are.
func adds(t *testing.T, kind string, p *target.Profile) {
	t.Helper()
	below := make([]int64, len(p.Frames))
	for i, f := range p.Frames {
		if f.Parent >= i || i > 0 && f.Parent < 0 {
			t.Fatalf("%s: frame %d is below %d", kind, i, f.Parent)
		}
		if i > 0 {
			below[f.Parent] += f.Value
		}
	}
	for i, f := range p.Frames {
		if below[i]+f.Self != f.Value {
			t.Errorf("%s: %s is %d, itself %d, what it called %d", kind, f.Name, f.Value, f.Self, below[i])
		}
	}
}

// serveProfile answers every request with a profile.
func serveProfile(t *testing.T, p *profile.Profile) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _ = p.Write(w) }))
	t.Cleanup(s.Close)
	return s.URL
}

func TestTrees(t *testing.T) {
	mapping := &profile.Mapping{ID: 1}
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "goroutine", Unit: "count"}}, Mapping: []*profile.Mapping{mapping}}
	function := func(name string) *profile.Location {
		f := &profile.Function{ID: uint64(len(p.Function) + 1), Name: name, Filename: name + ".go"}
		p.Function = append(p.Function, f)
		l := &profile.Location{ID: uint64(len(p.Location) + 1), Mapping: mapping, Line: []profile.Line{{Function: f, Line: 7}}}
		p.Location = append(p.Location, l)
		return l
	}
	main, recursive, leaf := function("main"), function("recursive"), function("leaf")
	p.Sample = []*profile.Sample{
		{Location: []*profile.Location{leaf, recursive, recursive, main}, Value: []int64{3}},
		{Location: []*profile.Location{recursive, main}, Value: []int64{2}},
	}
	for i := range 30_000 { // more frames than are shown
		l := function("small" + strings.Repeat("x", i%7))
		l.Line[0].Function.Name += string(rune('a'+i%26)) + time.Duration(i).String()
		p.Sample = append(p.Sample, &profile.Sample{Location: []*profile.Location{l, main}, Value: []int64{1}})
	}
	v := find(t, target.Config{Service: "shop", Admin: serveProfile(t, p)})
	got, err := v.Profile(t.Context(), "goroutine", 0)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "made", got)
	if got.Total != 30_005 || len(got.Frames) > 10_000 {
		t.Errorf("%d in %d frames", got.Total, len(got.Frames))
	}
	for _, f := range got.Top {
		if f.Name == "recursive" && (f.Total != 5 || f.Self != 2) {
			t.Errorf("a function that calls itself counts once: %+v", f)
		}
	}
}

func TestWhatGoesWrong(t *testing.T) {
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the token went where a redirect led")
		}
	}))
	defer stranger.Close()
	redirects := httptest.NewServer(http.RedirectHandler(stranger.URL, http.StatusFound))
	defer redirects.Close()
	words := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	defer words.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, test := range []struct{ name, admin, want string }{
		{"nobody answers", gone.URL, "does not answer"},
		{"another server", words.URL, "is the address right"},
		{"a redirect", redirects.URL, "is the address right"},
		{"a wrong token", serve(t), "--admin-token-file"},
		{"no address", "", "--admin shop="},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := find(t, target.Config{Service: "shop", Admin: test.admin, Token: func() string { return "wrong" }})
			var why *target.Error
			if _, err := v.State(t.Context()); !errors.As(err, &why) || !strings.Contains(why.Text, test.want) {
				t.Errorf("says %v, want something about %q", err, test.want)
			}
		})
	}
	for _, admin := range []string{"http://192.0.2.1:8082", "http://user:word@127.0.0.1:1", "127.0.0.1:8082", "ftp://127.0.0.1"} {
		if err := target.New().Set(target.Config{Service: "shop", Admin: admin, Token: func() string { return "t" }}); err == nil {
			t.Errorf("%s is taken", admin)
		}
	}
}

func TestProofs(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proof.json")
	v := find(t, target.Config{Service: "shop", ProofFile: file})
	if v.Proof() != nil || v.Verdicts() != nil {
		t.Error("there is a proof without a file")
	}
	for _, text := range []string{"", "{", "[]", `{"findings":[]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v.Proof() != nil {
			t.Errorf("%q is taken for a proof", text)
		}
	}
	text := `{"began":"2026-01-02T03:04:05Z","probes":[{"code":"auth.none","question":"Q","fix":"F"}],"findings":[
		{"code":"auth.none","method":"orders.create","verdict":"fail","waived":"known"},{"code":"auth.none","method":"orders.create","verdict":"pass"}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := v.Verdicts()["orders.create"]; got["pass"] != 1 || got["waived"] != 1 {
		t.Errorf("verdicts are %v", got)
	}
}
