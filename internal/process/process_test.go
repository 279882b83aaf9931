//go:build unix

package process

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// script returns a program that runs shell commands.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// output is a buffer that tells when it holds a text.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf.Write(p)
	select {
	case o.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (o *output) await(t *testing.T, text string) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		o.mu.Lock()
		got := o.buf.String()
		o.mu.Unlock()
		if strings.Contains(got, text) {
			return got
		}
		select {
		case <-o.more:
		case <-timeout:
			t.Fatalf("never wrote %q: %q", text, got)
		}
	}
}

func TestStopLetsTheProgramFinish(t *testing.T) {
	out := newOutput()
	c, err := Start(Config{Path: script(t, `trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done`), Stdout: out})
	if err != nil {
		t.Fatal(err)
	}
	out.await(t, "up")
	if exit := c.Stop(time.Minute, nil); !exit.Clean() || exit.String() != "exit code 0" {
		t.Errorf("exit %v", exit)
	}
	out.await(t, "bye")
	if exit := c.Stop(time.Minute, nil); !exit.Clean() {
		t.Errorf("stopped twice: %v", exit)
	}
}

// What a stubborn program started dies with it.
func TestStopKillsTheGroup(t *testing.T) {
	for _, test := range []struct {
		name   string
		budget time.Duration
		kill   bool
	}{{"budget used up", time.Millisecond, false}, {"second signal", time.Hour, true}} {
		t.Run(test.name, func(t *testing.T) {
			out := newOutput()
			c, err := Start(Config{Path: script(t, `trap '' TERM; sleep 1000 & echo pid $!.; wait; wait; wait`), Stdout: out})
			if err != nil {
				t.Fatal(err)
			}
			text := out.await(t, ".")
			kill := make(chan struct{})
			if test.kill {
				close(kill)
			}
			if exit := c.Stop(test.budget, kill); !exit.Signaled() || exit.Clean() {
				t.Errorf("exit %v", exit)
			}
			pid, err := strconv.Atoi(strings.Trim(text, "pid .\n"))
			if err != nil {
				t.Fatal(err)
			}
			for syscall.Kill(pid, 0) == nil && !zombie(pid) {
				if t.Context().Err() != nil {
					t.Fatalf("process %d lives on", pid)
				}
			}
		})
	}
}

// zombie reports whether a process is dead and only waits for its parent.
func zombie(pid int) bool {
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

// Ctrl-C in a terminal goes to the foreground group, of which the child is no
// member.
func TestStartMakesAGroup(t *testing.T) {
	c, err := Start(Config{Path: script(t, "read nothing; exec sleep 1000")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(0, nil)
	if group, err := syscall.Getpgid(c.PID()); err != nil || group != c.PID() {
		t.Errorf("group %d of process %d: %v", group, c.PID(), err)
	}
}

func TestExit(t *testing.T) {
	var errs bytes.Buffer
	c, err := Start(Config{Path: script(t, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do echo line $i >&2; done; exit 3"), Stderr: &errs})
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if exit := c.Exit(); exit.Code != 3 || exit.Clean() || exit.Signaled() || exit.String() != "exit code 3" {
		t.Errorf("exit %+v", exit)
	}
	if words := c.LastWords(); !strings.HasPrefix(words, "line 3\n") || !strings.HasSuffix(words, "\nline 14") {
		t.Errorf("last words %q", words)
	}
	if !strings.HasPrefix(errs.String(), "line 1\n") {
		t.Errorf("standard error %q", errs.String())
	}
	if _, err := Start(Config{Path: filepath.Join(t.TempDir(), "missing")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing program: %v", err)
	}
}

func TestReady(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer server.Close()
	c, err := Start(Config{Path: script(t, "exec sleep 1000")})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop(0, nil)
	if err := Ready(t.Context(), c, server.Client(), server.URL); err != nil || asked.Load() != 3 {
		t.Errorf("%v after %d questions", err, asked.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	asked.Store(-1 << 20)
	if err := Ready(ctx, c, server.Client(), server.URL); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "answers 503") {
		t.Errorf("never ready: %v", err)
	}
	c.Stop(0, nil)
	asked.Store(100)
	if err := Ready(t.Context(), c, server.Client(), server.URL); !errors.Is(err, ErrEnded) {
		t.Errorf("another program answers: %v", err)
	}
}

// A tool that is told to stop takes what it started with it.
func TestIsolate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, script(t, "sleep 1000 & echo up; wait"))
	out := newOutput()
	cmd.Stdout = out
	Isolate(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out.await(t, "up")
	cancel()
	// Wait returns before its delay only when nobody holds the pipe any more.
	if err := cmd.Wait(); err == nil || errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("error %v", err)
	}
}

func TestEnviron(t *testing.T) {
	got := Environ(
		[]string{"A=own", "B=", "PATH=/bin", "D=first", "D=last", "=C:=x", "E=a=b", "EMPTY="},
		map[string]string{"A": "default", "B": "default", "C": "default"},
	)
	want := []string{"A=own", "B=default", "C=default", "D=last", "E=a=b", "EMPTY=", "PATH=/bin"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
