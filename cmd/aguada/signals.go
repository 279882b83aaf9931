package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aguada-dev/aguada/internal/process"
)

// echo is how soon after a signal another one is taken for the same: some
// programs signal a process and then its whole group.
const echo = 400 * time.Millisecond

// stopOnSignal returns a context that the first SIGINT, SIGTERM or SIGHUP
// ends, and a channel that the second one closes. A hang-up that was ignored
// when the program started (nohup) stays ignored. Call release at the end.
func stopOnSignal(parent context.Context) (ctx context.Context, again <-chan struct{}, release func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	arrived := make(chan os.Signal, 8)
	signal.Notify(arrived, signals...)
	var orphaned <-chan struct{}
	if underGoRun() {
		orphaned = process.Orphaned(ctx, time.Second)
	}
	second := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		select {
		case <-arrived:
		case <-orphaned:
		case <-ended:
			return
		}
		first := time.Now()
		cancel()
		for {
			select {
			case <-arrived:
				if time.Since(first) > echo {
					close(second)
					signal.Stop(arrived) // a third one ends this process at once
					return
				}
			case <-ended:
				return
			}
		}
	}()
	return ctx, second, func() {
		signal.Stop(arrived)
		close(ended)
		cancel()
	}
}

// underGoRun reports whether "go run" started this process: it does not pass
// on a SIGTERM, and dies of it, so that its death must count as one.
func underGoRun() bool {
	exe, err := os.Executable()
	return err == nil && strings.Contains(filepath.ToSlash(exe), "go-build")
}
