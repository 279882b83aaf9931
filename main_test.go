package aguada

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/aguada-dev/aguada/policy"
)

func command(t *testing.T, environ []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	app := New(&policy.Contract{API: policy.API{Name: "hello", Version: "1.2.3"}}, func(context.Context, *Runtime, *HTTP) error { return nil })
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // whatever starts, stops
	code = app.command(ctx, context.Background(), append([]string{"hellod"}, args...), environ, &out, &errs)
	return code, out.String(), errs.String()
}

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		args           []string
		environ        []string
		code           int
		stdout, stderr string
	}{
		{args: []string{"-version"}, stdout: "hello 1.2.3 (aguada "},
		{args: []string{"-help"}, stderr: "-config"},
		{args: []string{"-nope"}, code: 2, stderr: "-nope"},
		{args: []string{"serve"}, code: 2, stderr: `takes no arguments, but got "serve"`},
		{args: []string{"-config"}, stdout: "READ_HEADER_TIMEOUT"},
		{environ: []string{"LOG_LEVEL=loud"}, code: 1, stderr: "LOG_LEVEL"},
		{args: []string{"-config", "-check"}, environ: []string{"HTTP_ADDR=127.0.0.1:0"}, stdout: "the configuration is valid"},
		{args: []string{"-config", "-check"}, environ: []string{"HTTP_ADDR=nowhere", "LOG_LEVEL=loud"}, code: 1, stderr: "HTTP_ADDR"},
		{environ: []string{"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR="}},
	} {
		code, stdout, stderr := command(t, c.environ, c.args...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("%v %v: exit %d, want %d\n%s%s", c.environ, c.args, code, c.code, stdout, stderr)
		}
	}
}

// The reference tells where a value comes from and shows no secret.
func TestConfigReference(t *testing.T) {
	environ := []string{"DATABASE_URL=postgres://shop:hunter2@db/shop", "IDLE_TIMEOUT=7s", "HTTP_ADDR=nowhere"}
	code, stdout, _ := command(t, environ, "-config", "-json")
	var rows []struct{ Name, Value, Source string }
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || code != 0 {
		t.Fatalf("exit %d, %v:\n%s", code, err, stdout)
	}
	got := map[string]string{}
	for _, r := range rows {
		got[r.Name] = r.Value + " from " + r.Source
	}
	for name, want := range map[string]string{
		"IDLE_TIMEOUT": "7s from environment", "DATABASE_URL": "[redacted] from environment", "LOG_LEVEL": "info from default",
	} {
		if !strings.EqualFold(got[name], want) {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if strings.Contains(stdout, "hunter2") {
		t.Error("the reference shows the database's password")
	}
}

// A service outlives whoever reads its log.
func TestLogReaderGoes(t *testing.T) {
	if os.Getenv("WRITE_TO_NOBODY") != "" {
		_, _, release := signals()
		defer release()
		for range 3 {
			_, _ = os.Stdout.WriteString("a line\n")
		}
		return
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	defer w.Close()
	child := exec.Command(os.Args[0], "-test.run=^TestLogReaderGoes$")
	child.Env = append(os.Environ(), "WRITE_TO_NOBODY=1")
	child.Stdout = w
	if err := child.Run(); err != nil && strings.Contains(err.Error(), "signal") {
		t.Error(err)
	}
}
