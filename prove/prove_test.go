package prove_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/setup"
	"github.com/aguada-dev/aguada/prove/target"
)

func TestMain(m *testing.M) {
	if address := os.Getenv("TILL_ADDR"); address != "" {
		till(address)
		return
	}
	os.Exit(m.Run())
}

// till is a small service: it shows what it holds, takes more, and ends when it
// is told to or when it is robbed.
func till(address string) {
	var taken atomic.Int64
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"taken":%d}`, taken.Load())
	}
	mux.HandleFunc("GET /till", func(w http.ResponseWriter, _ *http.Request) { answer(w, 200) })
	mux.HandleFunc("POST /till", func(w http.ResponseWriter, _ *http.Request) {
		taken.Add(1)
		answer(w, 201)
	})
	mux.HandleFunc("GET /robbed", func(http.ResponseWriter, *http.Request) {
		_, _ = fmt.Fprintln(os.Stderr, "the till is empty")
		os.Exit(3)
	})
	server := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: time.Second}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		_, _ = fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const document = `{"openapi":"3.0.3","info":{"title":"till","version":"1"},"paths":{"/till":{
	"get":{"operationId":"till#show","tags":["till"],"responses":{"200":{"description":"","content":{"application/json":{"schema":{"type":"object"}}}}}},
	"post":{"operationId":"till#take","tags":["till"],"responses":{"201":{"description":""}}}}}}`

// tillLab is what the prover needs to start the service.
func tillLab(t *testing.T, remote *lab.Remote) lab.Config {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := setup.New(setup.Config{
		Dir: dir, Path: self, Remote: remote, Seed: 1,
		File: &setup.File{OpenAPI: "openapi.json", Ready: "/till", Env: map[string]string{"TILL_ADDR": "${http}"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s.Lab
}

// ask is a probe of the test's own, once of the service.
func ask(code string, run func(context.Context, *probe.Try) finding.Outcome) probe.Probe {
	return probe.Probe{Probe: finding.Probe{Code: code, Family: finding.Security, Question: code + "?"}, Run: run}
}

func passes(context.Context, *probe.Try) finding.Outcome { return probe.Pass("well") }

// verdicts are "code method verdict", as far as they are in the report.
func verdicts(r *finding.Report) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, strings.Join(strings.Fields(f.Code+" "+f.Method+" "+string(f.Verdict)), " "))
	}
	return all
}

// gone fails the test unless nothing is left of a process.
func gone(t *testing.T, in *target.Instance, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	l, err := net.Listen("tcp", in.HTTP)
	if err != nil {
		t.Errorf("its port is taken: %v", err)
	} else {
		_ = l.Close()
	}
	if _, err := os.Stat(in.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder %s is still there: %v", in.Dir, err)
	}
}

// Real probes find what the service lacks, and nothing is left of it.
func TestRun(t *testing.T) {
	t.Parallel()
	var in *target.Instance
	var pid int
	probes := slices.DeleteFunc(prove.Probes(), func(p probe.Probe) bool {
		return !slices.Contains([]string{"surface.operators", "surface.headers", "auth.accepted"}, p.Code)
	})
	probes = append(probes, ask("see", func(_ context.Context, t *probe.Try) finding.Outcome {
		in, pid = t.Main, t.Main.PID()
		return probe.Pass("seen")
	}))
	told := 0
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: probes, Progress: func(done, all int, _ finding.Finding) {
		if told++; done != told || all != 6 {
			t.Errorf("told of %d of %d after %d", done, all, told-1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"auth.accepted till.show pass", "auth.accepted till.take pass", "see pass", "surface.headers till.show fail", "surface.headers till.take fail", "surface.operators pass"}
	if got := verdicts(r); !slices.Equal(got, want) || r.Passed() || r.Interrupted || r.Service != "till" {
		t.Errorf("found %q, want %q", got, want)
	}
	gone(t, in, pid)
}

// A proof that is interrupted leaves nothing: no process, no port, no file. What
// it was about to find it does not claim.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var all []*target.Instance
	var pids []int
	r, err := prove.Run(ctx, prove.Config{Lab: tillLab(t, nil), Parallel: 2, Probes: []probe.Probe{
		ask("a.done", passes),
		{Probe: finding.Probe{Code: "b.waits"}, Alone: true, Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
			other, err := t.Start(ctx, nil) // one of its own, which it does not close
			if err != nil {
				return probe.Skip("%v", err)
			}
			all, pids = []*target.Instance{t.Main, other}, []int{t.Main.PID(), other.PID()}
			cancel()
			<-ctx.Done()
			return probe.Fail(nil, "it was interrupted")
		}},
		{Probe: finding.Probe{Code: "c.never"}, Alone: true, Run: passes},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := verdicts(r); !slices.Equal(got, []string{"a.done pass"}) || !r.Interrupted || r.Passed() {
		t.Errorf("found %q, interrupted: %t", got, r.Interrupted)
	}
	if len(all) != 2 {
		t.Fatal("the probe was not run")
	}
	for i := range all {
		gone(t, all[i], pids[i])
	}
}

// Neither a probe that fails itself nor one that does not end is taken for a
// finding of the service, or for a pass.
func TestBrokenProbes(t *testing.T) {
	t.Parallel()
	slow := ask("slow", func(ctx context.Context, _ *probe.Try) finding.Outcome {
		<-ctx.Done()
		return probe.Skip("waiting")
	})
	slow.Limit = 10 * time.Millisecond
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: []probe.Probe{
		ask("panics", func(context.Context, *probe.Try) finding.Outcome { panic("what now") }), slow, ask("works", passes),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdicts(r), []string{"panics broken", "slow broken", "works pass"}; !slices.Equal(got, want) || r.Passed() {
		t.Errorf("found %q, want %q", got, want)
	}
	if d := r.Findings[0].Detail; !strings.Contains(d, "what now") {
		t.Errorf("the panic is told as %q", d)
	}
}

// What fails slowly beside others is asked again among few. A failure that comes
// at once, and one that stays, is one.
func TestDoubt(t *testing.T) {
	t.Parallel()
	var once, always, quick atomic.Int64
	slowly := func(ctx context.Context) {
		timer := time.NewTimer(2100 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: []probe.Probe{
		ask("once", func(ctx context.Context, _ *probe.Try) finding.Outcome {
			if once.Add(1) > 1 {
				return probe.Pass("well")
			}
			slowly(ctx)
			return probe.Fail(nil, "too slow")
		}),
		ask("always", func(ctx context.Context, _ *probe.Try) finding.Outcome {
			always.Add(1)
			slowly(ctx)
			return probe.Fail(nil, "too slow")
		}),
		ask("quick", func(context.Context, *probe.Try) finding.Outcome {
			quick.Add(1)
			return probe.Fail(nil, "wrong")
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdicts(r), []string{"always fail", "once pass", "quick fail"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if d := r.Findings[1].Detail; !strings.Contains(d, "well") || !strings.Contains(d, "too slow") {
		t.Errorf("the doubt is told as %q", d)
	}
	if once.Load() != 2 || always.Load() != 2 || quick.Load() != 1 {
		t.Errorf("asked %d, %d and %d times", once.Load(), always.Load(), quick.Load())
	}
}

// A probe that does not return does not hold up the others.
func TestHungProbe(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	hung := ask("hangs", func(context.Context, *probe.Try) finding.Outcome {
		<-release
		return probe.Pass("late")
	})
	hung.Limit, hung.Alone = 10*time.Millisecond, true
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: []probe.Probe{hung, ask("works", passes)}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdicts(r), []string{"hangs broken", "works pass"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

// A service that dies under a probe fails the proof, and its last words are told.
func TestServiceDies(t *testing.T) {
	t.Parallel()
	rob := ask("a.robs", func(ctx context.Context, t *probe.Try) finding.Outcome {
		t.Client.Do(ctx, lab.Request{Verb: "GET", Path: "/robbed"})
		select {
		case <-t.Main.Done():
		case <-ctx.Done():
		}
		return probe.Pass("nothing noticed")
	})
	rob.Alone = true
	after := ask("b.after", passes)
	after.Alone = true
	r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: []probe.Probe{rob, after}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := verdicts(r), []string{"a.robs broken", "b.after broken"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	if d := r.Findings[0].Detail; !strings.Contains(d, "exit code 3") || !strings.Contains(d, "the till is empty") {
		t.Errorf("the end is told as %q", d)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	each := ask("body.each", passes)
	each.Family, each.Each = finding.Input, probe.HTTP
	left := ask("left.out", passes)
	left.Omit = func(*lab.Lab) string { return "not here" }
	all := []probe.Probe{ask("auth.one", passes), ask("auth.two", passes), each, left}
	for only, want := range map[string][]string{
		"":                   {"auth.one pass", "auth.two pass", "body.each till.show pass", "body.each till.take pass"},
		"auth.one":           {"auth.one pass"},
		"auth.*":             {"auth.one pass", "auth.two pass"},
		"input":              {"body.each till.show pass", "body.each till.take pass"},
		"till.show":          {"auth.one pass", "auth.two pass", "body.each till.show pass"},
		"input,till.take":    {"body.each till.take pass"},
		"auth.two,body.each": {"auth.two pass", "body.each till.show pass", "body.each till.take pass"},
	} {
		var names []string
		if only != "" {
			names = strings.Split(only, ",")
		}
		r, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: all, Only: names})
		if err != nil {
			t.Fatal(err)
		}
		if got := verdicts(r); !slices.Equal(got, want) {
			t.Errorf("--only %s: %q, want %q", only, got, want)
		}
		if only == "" && (len(r.Omitted) != 1 || r.Omitted[0].Reason != "not here") {
			t.Errorf("--only %s: omitted %+v", only, r.Omitted)
		}
	}
	if _, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: all, Only: []string{"nothing"}}); err == nil || !strings.Contains(err.Error(), "no probe is left") {
		t.Errorf("an unknown name: %v", err)
	}
	if _, err := prove.Run(t.Context(), prove.Config{Lab: tillLab(t, nil), Probes: append(all, ask("auth.one", passes))}); err == nil || !strings.Contains(err.Error(), "two probes have the code auth.one") {
		t.Errorf("a code twice: %v", err)
	}
}
