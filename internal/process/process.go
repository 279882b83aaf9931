// Package process runs another program as a child that cannot outlive its
// purpose.
//
//	child, err := process.Start(process.Config{Path: binary, Stdout: os.Stdout, Stderr: os.Stderr})
//	...
//	err = process.Ready(ctx, child, client, "http://127.0.0.1:8080/readyz")
//	...
//	exit := child.Stop(35*time.Second, killed)
//
// A child has a process group of its own, so that Ctrl-C in a terminal reaches
// it only through its parent, once. On Linux it also gets SIGTERM when its
// parent dies.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Config says what to run.
type Config struct {
	// Path is the program, which gets Args and no standard input.
	Path string
	Args []string
	// Dir is its working folder; empty means the caller's.
	Dir string
	// Env is its whole environment, "NAME=value".
	Env []string
	// Stdout and Stderr are what it writes to.
	Stdout, Stderr io.Writer
}

// Child is a running or ended program. It is safe for concurrent use.
type Child struct {
	cmd  *exec.Cmd
	tail *tail
	done chan struct{}
	exit Exit // valid once done is closed
}

// Exit is how a program ended.
type Exit struct {
	// Code is the exit code, -1 when a signal ended the program.
	Code int
	text string
}

// Clean reports an exit code of 0.
func (e Exit) Clean() bool { return e.Code == 0 }

// Signaled reports that a signal which the program did not handle ended it.
func (e Exit) Signaled() bool { return e.Code < 0 }

// String returns "exit code 3" or "signal: killed".
func (e Exit) String() string { return e.text }

// Start runs the program.
func Start(cfg Config) (*Child, error) {
	// Its end is Stop's business, not that of a context.
	cmd := exec.CommandContext(context.Background(), cfg.Path, cfg.Args...)
	c := &Child{cmd: cmd, tail: newTail(cfg.Stderr), done: make(chan struct{})}
	c.cmd.Dir, c.cmd.Env = cfg.Dir, cfg.Env
	c.cmd.Stdout, c.cmd.Stderr = cfg.Stdout, c.tail
	// What the program itself left running must not hold up Wait for ever.
	c.cmd.WaitDelay = time.Second
	isolate(c.cmd)
	started := make(chan error, 1)
	go func() {
		// The kernel ties the signal at the parent's death to the thread that
		// started the child: keep that thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := c.cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		c.wait()
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cfg.Path, err)
	}
	return c, nil
}

func (c *Child) wait() {
	err := c.cmd.Wait()
	state := c.cmd.ProcessState
	switch {
	case state == nil:
		c.exit = Exit{Code: 1, text: err.Error()}
	case state.ExitCode() >= 0:
		c.exit = Exit{Code: state.ExitCode(), text: fmt.Sprintf("exit code %d", state.ExitCode())}
	default:
		c.exit = Exit{Code: -1, text: state.String()}
	}
	close(c.done)
}

// PID returns the process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the program has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Running reports whether the program has not ended.
func (c *Child) Running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// Exit returns how the program ended; call it once Done is closed.
func (c *Child) Exit() Exit { return c.exit }

// LastWords returns the last lines that the program wrote to its standard
// error.
func (c *Child) LastWords() string { return c.tail.String() }

// Terminate asks the program to end, and does not wait; a program that has ended
// is left alone.
func (c *Child) Terminate() {
	if c.Running() {
		_ = terminate(c.cmd)
	}
}

// Kill ends the program, and all that it started, without asking, and waits.
func (c *Child) Kill() Exit {
	if c.Running() {
		_ = killGroup(c.cmd)
	}
	<-c.done
	return c.exit
}

// Stop asks the program to end and waits. When the budget is used up, or kill
// is closed, the program and all that it started are killed.
func (c *Child) Stop(budget time.Duration, kill <-chan struct{}) Exit {
	if !c.Running() {
		return c.exit
	}
	_ = terminate(c.cmd)
	timer := time.NewTimer(budget)
	defer timer.Stop()
	select {
	case <-c.done:
		return c.exit
	case <-timer.C:
	case <-kill:
	}
	return c.Kill()
}

// ErrEnded is the error of Ready when the program ends instead.
var ErrEnded = errors.New("program ended")

// poll is how often Ready asks.
const poll = 25 * time.Millisecond

// Ready waits until url answers 200. It returns ErrEnded when the child ends
// first, and the context's error, with the last answer, when that ends first.
func Ready(ctx context.Context, c *Child, client *http.Client, url string) error {
	clock := time.NewTicker(poll)
	defer clock.Stop()
	last := errors.New("no answer yet")
	for {
		status, err := ask(ctx, client, url)
		switch {
		case !c.Running():
			return ErrEnded
		case err == nil && status == http.StatusOK:
			return nil
		case err == nil:
			last = fmt.Errorf("%s answers %d", url, status)
		case ctx.Err() == nil:
			last = err
		}
		select {
		case <-c.done:
			return ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", ctx.Err(), last)
		case <-clock.C:
		}
	}
}

func ask(ctx context.Context, client *http.Client, url string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<16))
	return res.StatusCode, nil
}

// Isolate makes a tool end with its context: when that is done, the tool and
// all that it started are interrupted.
func Isolate(cmd *exec.Cmd) {
	isolate(cmd)
	cmd.Cancel = func() error { return interrupt(cmd) }
	cmd.WaitDelay = 3 * time.Second
}

// Environ returns a program's environment: own, each name once, with the
// defaults added for what own leaves out or empty.
func Environ(own []string, defaults map[string]string) []string {
	values := maps.Clone(defaults)
	if values == nil {
		values = map[string]string{}
	}
	for _, pair := range own {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" { // Windows keeps folders of drives as "=C:=…"
			continue
		}
		if _, isDefault := defaults[name]; value == "" && isDefault {
			continue
		}
		values[name] = value
	}
	env := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	return env
}

// Orphaned is closed when the program that started this one has died, so that
// one can end with it; it is checked every interval, until ctx is done.
func Orphaned(ctx context.Context, interval time.Duration) <-chan struct{} {
	orphaned := make(chan struct{})
	parent := os.Getppid()
	go func() {
		clock := time.NewTicker(interval)
		defer clock.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-clock.C:
				if os.Getppid() != parent {
					close(orphaned)
					return
				}
			}
		}
	}()
	return orphaned
}
