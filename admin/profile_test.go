package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/trace"
	"strings"
	"testing"
	"time"
)

// The real tool reads every profile, and shows the text of a refusal.
func TestGoToolPprof(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go tool")
	}
	g := newRig(t, func(c *Config) { c.Token = fixed(goodToken) })
	base := strings.Replace(g.url, "http://", "http://x:"+goodToken+"@", 1)
	pprof := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "go", append([]string{"tool", "pprof"}, args...)...)
		cmd.Env = append(os.Environ(), "PPROF_TMPDIR="+t.TempDir())
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, name := range []string{"heap", "heap?gc=1", "allocs", "goroutine", "block", "mutex", "threadcreate", "profile?seconds=1"} {
		file := filepath.Join(t.TempDir(), "out")
		if out, err := pprof("-proto", "-output", file, base+"/debug/pprof/"+name); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		} else if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if out, err := pprof("-top", base+"/debug/pprof/goroutine"); err != nil || !strings.Contains(out, "runtime.gopark") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := pprof("-seconds", "1", "-proto", "-output", filepath.Join(t.TempDir(), "out"), base); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := pprof("-top", "-diff_base", base+"/debug/pprof/allocs", base+"/debug/pprof/allocs"); err != nil {
		t.Errorf("a difference: %v\n%s", err, out)
	}
	if out, err := pprof("-top", base+"/debug/pprof/heap?seconds=5"); err == nil || !strings.Contains(out, "diff_base") {
		t.Errorf("a refusal: %v\n%s", err, out)
	}
	if out, err := pprof("-top", g.url+"/debug/pprof/heap"); err == nil || !strings.Contains(out, "401") {
		t.Errorf("without token: %v\n%s", err, out)
	}
}

func TestTrace(t *testing.T) {
	a := newRig(t, nil).get("/debug/pprof/trace?seconds=0.05")
	if a.status != 200 || !strings.HasPrefix(a.body, "go 1.") {
		t.Errorf("%d %.20q", a.status, a.body)
	}
}

func TestProfileRefusals(t *testing.T) {
	g := newRig(t, nil)
	for path, status := range map[string]int{
		"cmdline": 404, "symbol": 404, "nope": 404, "heap/x": 404, "profile/": 404,
		"profile?seconds=0": 400, "profile?seconds=-1": 400, "profile?seconds=x": 400, "profile?seconds=NaN": 400, "profile?seconds=Inf": 400,
		"profile?seconds=301": 400, "trace?seconds=61": 400, "profile?seconds=": 400, "heap?seconds=1": 400, "heap?debug=x": 400, "heap?debug=3": 400,
	} {
		a := g.get("/debug/pprof/" + path)
		if a.status != status || a.header.Get("X-Go-Pprof") != "1" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		hardened(t, a)
	}
	if a := g.do("HEAD", "/debug/pprof/profile", ""); a.status != 405 {
		t.Errorf("HEAD: %d", a.status)
	}
	if a := g.get("/debug/pprof/goroutine?debug=2"); a.status != 200 || !strings.Contains(a.body, "goroutine ") {
		t.Errorf("%d", a.status)
	}
	if strings.Contains(g.get("/debug/pprof/goroutine?debug=1").body, os.Args[0]) {
		t.Error("the command line is told")
	}
}

// hold begins a capture that ends only when it is told to, and returns once it
// runs.
func (g *rig) hold(ctx context.Context, path string) (end func() (int, error)) {
	g.t.Helper()
	type result struct {
		status int
		err    error
	}
	done := make(chan result, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "GET", g.url+path, nil)
		res, err := g.http.Do(req)
		if err != nil {
			done <- result{0, err}
			return
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		done <- result{res.StatusCode, err}
	}()
	<-g.log.lines // it is audited once it runs
	return func() (int, error) { r := <-done; return r.status, r.err }
}

// One capture at a time; a client that leaves ends its own.
func TestOneProfileAtATime(t *testing.T) {
	for _, path := range []string{"/debug/pprof/profile?seconds=300", "/debug/pprof/trace?seconds=60"} {
		g := newRig(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		end := g.hold(ctx, path)
		for _, other := range []string{"/debug/pprof/profile?seconds=1", "/debug/pprof/trace?seconds=1"} {
			if a := g.get(other); a.status != 409 || a.header.Get("Retry-After") == "" || a.header.Get("Content-Disposition") != "" {
				t.Errorf("%s: %d %s", other, a.status, a.body)
			}
		}
		if a := g.get("/debug/pprof/goroutine"); a.status != 200 {
			t.Errorf("a snapshot meanwhile: %d", a.status)
		}
		cancel()
		if _, err := end(); err == nil {
			t.Error("it was not cancelled")
		}
		g.s.busy <- struct{}{} // until it has ended
		<-g.s.busy
		if a := g.get("/debug/pprof/trace?seconds=0.01"); a.status != 200 {
			t.Errorf("afterwards: %d %s", a.status, a.body)
		}
	}
}

// A service that stops does not wait for a profile, which is whole.
func TestDrainingEndsProfiles(t *testing.T) {
	draining := make(chan struct{})
	g := newRig(t, func(c *Config) { c.Draining = draining })
	end := g.hold(t.Context(), "/debug/pprof/profile?seconds=300")
	close(draining)
	if status, err := end(); status != 200 || err != nil {
		t.Errorf("%d %v", status, err)
	}
}

// A profile that somebody else takes is no failure of ours.
func TestProfileElsewhere(t *testing.T) {
	if err := trace.Start(io.Discard); err != nil {
		t.Skip(err)
	}
	defer trace.Stop()
	g := newRig(t, nil)
	if a := g.get("/debug/pprof/trace?seconds=1"); a.status != 409 || a.header.Get("Content-Disposition") != "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if len(g.s.busy) != 0 {
		t.Error("still busy")
	}
}

// A profile may take longer than the server's write timeout, over HTTP/2 too.
func TestProfileOutlivesWriteTimeout(t *testing.T) {
	s, err := New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, contract, Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/debug/pprof/profile?seconds=0.5", "/debug/pprof/trace?seconds=0.5"} {
		for _, proto := range []int{1, 2} {
			srv := httptest.NewUnstartedServer(s)
			srv.Config.WriteTimeout, srv.EnableHTTP2 = 50*time.Millisecond, proto == 2
			srv.StartTLS()
			res, err := srv.Client().Get(srv.URL + path)
			if err != nil {
				t.Fatalf("HTTP/%d %s: %v", proto, path, err)
			}
			n, err := io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != 200 || res.ProtoMajor != proto || n == 0 || err != nil {
				t.Errorf("HTTP/%d %s: %d, %d bytes, %v", res.ProtoMajor, path, res.StatusCode, n, err)
			}
			srv.Close()
		}
	}
}

// Snapshots are bounded, garbage collections more so; two at once wait for each
// other; and each is audited without driving out what else happened.
func TestSnapshotsAreBounded(t *testing.T) {
	g := newRig(t, nil)
	g.ring.Add(Event{Action: "lease.opened", LeaseID: "l1"})
	count := func(path string) (ok int) {
		for range 100 {
			a := g.get(path)
			switch {
			case a.status == 200:
				ok++
			case a.status != 429 || a.header.Get("Retry-After") == "" || a.header.Get("X-Go-Pprof") != "1" || a.header.Get("Content-Disposition") != "":
				t.Fatalf("%s: %d %s", path, a.status, a.body)
			}
		}
		return ok
	}
	if n := count("/debug/pprof/heap?gc=1"); n < collectBurst || n > collectBurst+2 {
		t.Errorf("%d collections", n)
	}
	if n := count("/debug/pprof/heap"); n < profileBurst-2*collectBurst || n > profileBurst+10 {
		t.Errorf("%d snapshots", n)
	}
	if a := g.get("/debug/pprof/trace?seconds=0.001"); a.status != 429 || a.header.Get("Retry-After") == "" {
		t.Errorf("a trace: %d", a.status)
	}
	if len(g.s.busy)+len(g.s.snapping) != 0 {
		t.Error("still busy")
	}
	if a := g.get("/debug/pprof/"); a.status != 200 {
		t.Errorf("the list: %d", a.status)
	}
	if n := len(g.ring.Events(0, 0)); n > 5 || g.ring.Events(0, 0)[0].LeaseID != "l1" {
		t.Errorf("%d events", n)
	}
}

// A snapshot waits for the one that is being taken, and leaves with its client.
func TestSnapshotsWait(t *testing.T) {
	g := newRig(t, nil)
	g.s.snapping <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	fetch := func(ctx context.Context) {
		req, _ := http.NewRequestWithContext(ctx, "GET", g.url+"/debug/pprof/heap", nil)
		res, err := g.http.Do(req)
		if err == nil {
			res.Body.Close()
		}
		ended <- err
	}
	go fetch(ctx)
	cancel()
	if err := <-ended; err == nil {
		t.Error("it did not wait")
	}
	go fetch(t.Context())
	<-g.s.snapping
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A client that stops reading ends its trace.
func TestStalledClient(t *testing.T) {
	w := &steady{w: gone{}, rc: http.NewResponseController(httptest.NewRecorder()), failed: make(chan struct{})}
	for range 2 {
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("no error")
		}
	}
	<-w.failed
}

type gone struct{}

func (gone) Write([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }
