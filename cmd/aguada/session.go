package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer/state"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/development"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/issuing"
	"github.com/aguada-dev/aguada/cmd/aguada/internal/terminal"
	"github.com/aguada-dev/aguada/internal/process"
)

// session is the life of a service under run: its process, replaced by a newer
// one after each change.
type session struct {
	*runner
	changes <-chan struct{}

	child    *process.Child
	kit      *development.Kit
	issuer   *issuing.Server // nil where the service trusts another one
	started  time.Time
	ready    chan error // the outcome of waiting for the child's readiness
	waited   func()     // ends that waiting
	isReady  bool
	restarts int
	greeted  bool
	console  *companion // nil if there is none
}

func (s *session) run(ctx context.Context) error {
	defer s.out.Share(false)
	defer s.closeIssuer()
	s.openConsole(ctx)
	defer s.closeConsole()
	if err := s.start(ctx); err != nil {
		return err
	}
	for {
		var ended <-chan struct{}
		var issuerEnded <-chan error
		if s.child != nil {
			ended = s.child.Done()
		}
		if s.issuer != nil {
			issuerEnded = s.issuer.Done()
		}
		var err error
		select {
		case <-ctx.Done():
			return s.stop()
		case err = <-s.ready:
			s.ready = nil
			err = s.becameReady(err)
		case <-ended:
			err = s.died(ctx)
		case err = <-issuerEnded:
		case <-s.changes:
			if s.changed() {
				err = s.rebuild(ctx)
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return s.stop()
			}
			s.abandon()
			return err
		}
	}
}

// start runs the binary that was built last.
func (s *session) start(ctx context.Context) error {
	contract, err := s.project.Contract()
	if err != nil {
		return err
	}
	if s.issuer != nil && errors.Is(s.issuer.Gone(), state.ErrGone) {
		s.out.Printf("%s was deleted: credentials are made anew, and the former ones are void", shortPath(filepath.Join(s.project.Dir, development.StateDir)))
		s.closeIssuer()
		s.issuer, s.greeted = nil, false
	}
	if s.issuer == nil && development.NeedsIssuer(contract, s.lookup) {
		if s.issuer, err = startIssuer(ctx, s.out, slog.LevelWarn, s.project.Dir, ""); err != nil {
			return err
		}
	}
	s.kit, err = development.Open(s.project.Dir, s.project.Name, contract, s.lookup)
	if err != nil {
		return err
	}
	if err := useKit(s.issuer, s.kit, s.out, slog.LevelWarn); err != nil {
		return err
	}
	if err := s.address.check(ctx); err != nil {
		return err
	}
	defaults := s.kit.Environment()
	s.telemetry(contract.API.Name, defaults)
	own := os.Environ()
	if terminal.Is(s.stdout) {
		defaults["LOG_FORMAT"] = "terminal"
	}
	// Settled already: the flag before the variable, and port 0 made real.
	own = append(own, "HTTP_ADDR="+s.address.listen, "ADMIN_ADDR="+s.admin, "GRPC_ADDR="+s.grpc)
	certificate, err := s.certificate()
	if err != nil {
		return err
	}
	own = append(own, certificate...)
	s.started, s.isReady = time.Now(), false
	s.child, err = process.Start(process.Config{
		Path: s.project.Binary(), Dir: s.project.Dir,
		Env:    process.Environ(own, defaults),
		Stdout: s.stdout, Stderr: s.out,
	})
	if err != nil {
		return err
	}
	s.out.Share(true)
	waiting, cancel := context.WithTimeout(ctx, s.patience)
	s.waited = cancel
	ready, child := make(chan error, 1), s.child
	s.ready = ready
	go func() {
		ready <- process.Ready(waiting, child, s.address.client(), s.address.url("/readyz"))
	}()
	return nil
}

func (s *session) becameReady(err error) error {
	s.waited()
	switch {
	case errors.Is(err, process.ErrEnded), errors.Is(err, context.Canceled):
		return nil // handled where the end, or the signal, arrives
	case err != nil:
		if s.restarts > 0 {
			s.out.Printf("the service is not ready after %s: %s; waiting for a change", s.patience, err)
			return nil
		}
		return fmt.Errorf("the service is not ready after %s: %w", s.patience, err)
	}
	s.isReady = true
	took := time.Since(s.started).Round(time.Millisecond)
	if s.greeted {
		s.out.Printf("%s is ready again at %s after %s", s.project.Name, s.address.base, took)
		return nil
	}
	s.greeted = true
	return s.greet(took)
}

// died handles a child that ended without being asked to.
func (s *session) died(ctx context.Context) error {
	child := s.child
	s.forget()
	exit := child.Exit()
	text := fmt.Sprintf("%s ended by itself with %s", s.project.Name, exit)
	if s.changes != nil && s.changed() {
		s.out.Println(text + "; its sources have changed")
		return s.rebuild(ctx)
	}
	if s.changes != nil && s.restarts > 0 && !s.isReady {
		s.out.Println(text + "; waiting for a change")
		return nil
	}
	if words := child.LastWords(); words != "" {
		text += "; its last words:\n" + words
	}
	return errors.New(text)
}

// rebuild replaces the running process by one built from the present sources;
// when that cannot be built, the running one stays.
func (s *session) rebuild(ctx context.Context) error {
	if err := s.prepare(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		tell(s.out, err)
		if s.child != nil {
			s.out.Printf("%s keeps running as it was; waiting for a change", s.project.Name)
		} else {
			s.out.Println("waiting for a change")
		}
		return nil
	}
	if s.child != nil {
		child := s.child
		s.forget()
		if exit := child.Stop(s.budget(), s.again); !exit.Clean() && !exit.Signaled() {
			s.out.Printf("the former process ended with %s", exit)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	s.restarts++
	return s.start(ctx)
}

// forget drops the present child and what waits for it.
func (s *session) forget() {
	s.waited()
	s.child, s.ready = nil, nil
	s.out.Share(false)
}

// stop ends the child at the user's request and says how that went.
func (s *session) stop() error {
	if s.child == nil {
		return s.stopped(process.Exit{}, true)
	}
	child, wasReady := s.child, s.isReady
	s.forget()
	s.out.Println("stopping " + s.project.Name)
	reminder := time.AfterFunc(2*echo, func() {
		s.out.Printf("waiting up to %s for requests in flight; Ctrl-C once more kills", s.budget())
	})
	exit := child.Stop(s.budget(), s.again)
	reminder.Stop()
	killed := false
	select {
	case <-s.again:
		killed = true
	default:
	}
	// A signal may find a program that is still starting without a handler.
	return s.stopped(exit, exit.Clean() || exit.Signaled() && !wasReady && !killed)
}

// abandon ends a child that is of no use.
func (s *session) abandon() {
	if s.child == nil {
		return
	}
	child := s.child
	s.forget()
	child.Stop(s.budget(), s.again)
}
