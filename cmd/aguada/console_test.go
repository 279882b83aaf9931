package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aguada-dev/aguada/cmd/aguada/internal/project"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/console"
	"github.com/aguada-dev/aguada/console/target"
	"github.com/aguada-dev/aguada/prove/finding"
)

func quiet(t *testing.T) *terminal.Output { return terminal.New(t.Output(), os.LookupEnv) }

// What aguada prove leaves is what the console shows; a part of a proof, or one
// of another service, does not take its place.
func TestProofsAreRemembered(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	contract, err := os.ReadFile(filepath.Join("testdata", "shop", "tools", "goa", "contract.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "gen", "production"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "gen", "production", "contract.json"), contract, 0o600); err != nil {
		t.Fatal(err)
	}
	whole := &finding.Report{
		Service: "shop", Began: time.Now(), Probes: []finding.Probe{{Code: "auth.none", Question: "Q", Fix: "F"}},
		Findings: []finding.Finding{
			{Outcome: finding.Outcome{Verdict: finding.Pass}, Code: "auth.none", Method: "orders.create"},
			{Outcome: finding.Outcome{Verdict: finding.Fail, Detail: "it is open"}, Code: "auth.none", Method: "orders.create"},
			{Outcome: finding.Outcome{Verdict: finding.Fail}, Code: "auth.none", Method: "orders.list", Waived: "known"},
		},
	}
	broken := *whole
	broken.Interrupted = true
	file := filepath.Join(dir, ".aguada", proofFile)
	for _, p := range []struct {
		prover *prover
		report *finding.Report
	}{
		{&prover{dir: dir, only: []string{"auth.none"}}, whole},
		{&prover{dir: dir, remote: remoteFlags{url: "http://127.0.0.1:1"}}, whole},
		{&prover{dir: dir}, &broken},
		{&prover{dir: t.TempDir()}, whole},
	} {
		if err := p.prover.remember(p.report); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(file); err == nil {
			t.Fatalf("%+v left a report", p.prover)
		}
	}
	if err := (&prover{dir: dir}).remember(whole); err != nil {
		t.Fatal(err)
	}
	targets := target.New()
	if err := targets.Set(target.Config{Service: "shop", ProofFile: file}); err != nil {
		t.Fatal(err)
	}
	v, _ := targets.Find("shop")
	got := v.Proof()
	if got == nil || got.Probes[0].Question != "Q" || got.Findings[1].Detail != "it is open" {
		t.Fatalf("the console reads %+v", got)
	}
	want := map[string]map[string]int{"orders.create": {"pass": 1, "fail": 1}, "orders.list": {"waived": 1}}
	if diff := cmp.Diff(want, v.Verdicts()); diff != "" {
		t.Error(diff)
	}
}

// The service sends to the console, unless somebody has said where else.
func TestTelemetryGoesToTheConsole(t *testing.T) {
	const http, grpc = "http://127.0.0.1:4318", "http://127.0.0.1:4317"
	for _, test := range []struct {
		environ            map[string]string
		endpoint, known    string
		withToken, flagged bool
	}{
		{nil, http, "shop", false, false},
		{map[string]string{"OTEL_SERVICE_NAME": "till"}, http, "till", false, false},
		{map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, grpc, "shop", false, false},
		{map[string]string{"OTEL_SDK_DISABLED": "false", "OTEL_LOGS_EXPORTER": "otlp"}, http, "shop", false, false},
		{map[string]string{"OTEL_SDK_DISABLED": "true"}, "", "shop", false, true},
		{map[string]string{"OTEL_TRACES_EXPORTER": "none"}, "", "shop", false, true},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, "", "shop", false, true},
		{map[string]string{"ADMIN_TOKEN": "a token of 16 bytes"}, http, "shop", true, false},
	} {
		for name, value := range test.environ {
			t.Setenv(name, value)
		}
		s := &session{
			runner:  &runner{out: quiet(t), lookup: func(name string) string { return test.environ[name] }, project: &project.Project{Dir: t.TempDir()}, admin: ":8082"},
			console: &companion{at: console.Addresses{Pages: console.DefaultAddr, GRPC: console.DefaultGRPC, HTTP: console.DefaultHTTP}, targets: target.New()},
		}
		defaults := map[string]string{}
		s.telemetry("shop", defaults)
		if got := defaults["OTEL_EXPORTER_OTLP_ENDPOINT"]; got != test.endpoint {
			t.Errorf("%v: the service sends to %q, want %q", test.environ, got, test.endpoint)
		}
		v, ok := s.console.targets.Find(test.known)
		if !ok || v.Admin != "http://127.0.0.1:8082" || (v.Token != nil) != test.withToken {
			t.Errorf("%v: the console knows %+v", test.environ, v)
		}
		if got := strings.Contains(s.consoleLine(), "elsewhere"); got != test.flagged {
			t.Errorf("%v: the greeting says %q", test.environ, s.consoleLine())
		}
		for name := range test.environ {
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The usual addresses may be taken; the one that was asked for is not replaced.
func TestConsoleBesideOthers(t *testing.T) {
	t.Parallel()
	first := &session{runner: &runner{out: quiet(t), lookup: os.Getenv, consoleAddr: anyPort}}
	first.openConsole(t.Context())
	if first.console == nil {
		t.Fatal("no console")
	}
	defer first.closeConsole()
	var said bytes.Buffer
	second := &session{runner: &runner{out: terminal.New(&said, os.LookupEnv), lookup: os.Getenv, consoleAddr: first.console.at.Pages}}
	second.openConsole(t.Context())
	if second.console != nil || !strings.Contains(said.String(), "choose another address with --console-addr") {
		t.Errorf("a second console at the same address: %q", said.String())
	}
	third := &session{runner: &runner{out: quiet(t), lookup: os.Getenv}}
	third.openConsole(t.Context())
	defer third.closeConsole()
	fourth := &session{runner: &runner{out: quiet(t), lookup: os.Getenv}}
	fourth.openConsole(t.Context())
	defer fourth.closeConsole()
	if third.console == nil || fourth.console == nil || fourth.console.at == third.console.at || !strings.Contains(fourth.consoleLine(), "the usual port is taken") {
		t.Errorf("two consoles without an address: %+v, %+v", third.console, fourth.console)
	}
}

// What services send reaches a terminal as text.
func TestTables(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	out := terminal.New(&text, os.LookupEnv)
	b := []byte(`{"traces":[{"id":"01","name":"GET \u001b[2J\u009b31m\u202e","service":"shop","start":"2026-01-02T03:04:05Z","duration_ns":1234567,"status":"500","spans":2,"errors":1,"partial":true}]}`)
	if err := printTraces(out, b); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); strings.ContainsAny(got, "\x1b\u009b\u202e") || !strings.Contains(got, "1.23ms") || !strings.Contains(got, "01 (partial)") {
		t.Errorf("%q", got)
	}
	text.Reset()
	if err := printSeries(out, []byte(`{"rate":true,"series":[{"service":"shop","values":[1.5,null],"p95":[null]}]}`)); err != nil {
		t.Fatal(err)
	}
	if got := text.String(); !strings.Contains(got, "PER SECOND") || !strings.Contains(got, "1.5 ") || !strings.Contains(got, " - ") {
		t.Errorf("%q", got)
	}
	for _, print := range []func(*terminal.Output, []byte) error{printOverview, printMethods, printTraces, printLogs, printMetrics, printSeries} {
		if print(out, []byte("<html>")) == nil {
			t.Error("an answer that is no JSON is printed")
		}
	}
}
