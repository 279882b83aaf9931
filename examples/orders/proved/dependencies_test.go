package proved

import (
	"bufio"
	"context"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/examples/orders/internal/mutants"
	"github.com/aguada-dev/aguada/examples/orders/internal/pgtest"
	"github.com/aguada-dev/aguada/prove"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/setup"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// outageCodes are the probes of what the service depends on.
var outageCodes = []string{"dependency.alive", "dependency.answer", "dependency.back", "dependency.ready", "dependency.told", "key.outage"}

// TestOutages takes PostgreSQL and Redis, real ones, away from the reference
// service, and nothing is found.
func TestOutages(t *testing.T) {
	if testing.Short() || raced {
		t.Skip("SKIPPED: the reference service is not proved with -short or the race detector")
	}
	dependencies := map[string]string{"DATABASE_URL": pgtest.URL(t), "REDIS_URL": redisURL(t)}
	path, err := build(t.Context(), t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, f := range deprive(t, path, outageCodes, dependencies) {
		seen[f.Code] = true
		if f.Open() {
			t.Errorf("%s\n%s", show(&f), evidence(&f))
		} else {
			t.Log(show(&f))
		}
	}
	for _, code := range outageCodes {
		if !seen[code] {
			t.Errorf("%s was not asked", code)
		}
	}
}

// careless are ways of the service to need its database that the tests of the
// shop do not look at from outside; each is found by the probe of its Case.
var careless = []mutants.Mutant{
	{Defence: "readiness asks for the database", Case: "dependency.ready", Edits: []mutants.Edit{
		{File: "examples/orders/cmd/ordersd/main.go", Old: `rt.Check("database", db.Ping)`, Text: `rt.Check("database", func(context.Context) error { return nil })`},
	}},
	{Defence: "liveness is the process alone", Case: "dependency.alive", Edits: []mutants.Edit{
		{File: "run.go", Old: `"/livez": rt.checks.Live()`, Text: `"/livez": rt.checks.Readiness()`},
	}},
	{Defence: "what the driver says is not told", Case: "dependency.told", Edits: []mutants.Edit{
		{File: "examples/orders/orders.go", Old: `goa.TemporaryError("unavailable", "the shop is busy, try again")`, Text: `goa.TemporaryError("unavailable", "%v", err)`},
	}},
	{Defence: "an outage is not the caller's fault", Case: "dependency.answer", Edits: []mutants.Edit{
		{File: "examples/orders/orders.go", Old: `genorders.MakeBadRequest(errors.New("a text holds a zero byte, or the caller's name is too long"))` + "\n\t}\n\treturn available(err)",
			Text: `genorders.MakeBadRequest(errors.New("a text holds a zero byte, or the caller's name is too long"))` + "\n\t}\n\treturn genorders.MakeBadRequest(errors.New(\"cannot be\"))"},
	}},
	{Defence: "waiting ends with the deadline", Case: "dependency.answer", Edits: []mutants.Edit{
		{File: "transport/serve.go", Old: "c.deadline = c.start.Add(time.Duration(d))", Text: "_ = d"},
	}},
	{Defence: "a process outlives an outage", Case: "dependency.back", Edits: []mutants.Edit{
		{File: "examples/orders/cmd/ordersd/main.go", Old: `rt.Check("database", db.Ping)`,
			Text: "var broken error\n\t\trt.Check(\"database\", func(ctx context.Context) error {\n\t\t\tif broken == nil {\n\t\t\t\tbroken = db.Ping(ctx)\n\t\t\t}\n\t\t\treturn broken\n\t\t})"},
	}},
}

// TestOutageMutants expects the probes of what the service depends on to find
// what is careless, and the mutants that the list says they find. AGUADA_MUTATE
// turns it on as it does TestMutants.
func TestOutageMutants(t *testing.T) {
	chosen := chosenMutants(t)
	all := slices.Clone(careless)
	for _, m := range mutants.All {
		if needsOutage(m.Defence) {
			m.Case = found[m.Defence][0]
			all = append(all, m)
		}
	}
	for _, m := range all {
		if chosen(&m) {
			t.Run(m.Case, func(t *testing.T) { outageMutant(t, &m) })
		}
	}
}

// needsOutage reports whether a mutant is found where the service has something
// that can be taken away.
func needsOutage(defence string) bool {
	return slices.ContainsFunc(found[defence], func(code string) bool { return slices.Contains(outageCodes, code) })
}

func outageMutant(t *testing.T, m *mutants.Mutant) {
	dir := t.TempDir()
	overlay, err := m.Overlay(root, dir)
	if err != nil {
		t.Fatalf("%s: %v", m.Defence, err)
	}
	path, err := build(t.Context(), dir, overlay)
	if err != nil {
		t.Fatalf("%s: %v", m.Defence, err)
	}
	for _, f := range deprive(t, path, []string{m.Case}, map[string]string{"DATABASE_URL": pgtest.URL(t)}) {
		if f.Verdict == finding.Fail {
			t.Logf("%s: found, %s", m.Defence, show(&f))
			return
		}
	}
	t.Errorf("%s: NOT FOUND", m.Defence)
}

// deprive asks what only names of a service that has the dependencies.
func deprive(t *testing.T, path string, only []string, dependencies map[string]string) []finding.Finding {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s, err := setup.New(setup.Config{Dir: service, Path: path, Seed: seed, Dependencies: dependencies})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r, err := prove.Run(ctx, prove.Config{Lab: s.Lab, Only: only})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Omitted {
		if slices.Contains(outageCodes, o.Code) {
			t.Errorf("%s is not asked: %s", o.Code, o.Reason)
		}
	}
	return r.Findings
}

// redisURL returns the URL of a Redis of the test's own, which keeps nothing.
func redisURL(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("SKIPPED: redis-server is not installed; nothing is known of a service whose Redis is away")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	_ = l.Close()
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "eady to accept connections") {
			go func() { // it must not wait for a reader
				for lines.Scan() {
					continue
				}
			}()
			return "redis://" + address + "/0"
		}
	}
	t.Fatal("redis-server ended before it was ready")
	return ""
}
