package issuing

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer"
)

// glance is how often a server that stands by looks whether it is needed.
const glance = time.Second

// standBy takes over when the process that serves the project ends: the service
// goes on to trust the address, and the next program to listen there could sign
// what it likes. It ends when it sees that one has.
func (s *Server) standBy(ctx context.Context) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.stop, s.ended = cancel, make(chan error, 1)
	s.elsewhere.Store(true)
	go func() {
		defer close(s.ended)
		if l, err := s.vacancy(serving); err != nil {
			s.ended <- err
		} else if l != nil {
			s.elsewhere.Store(false)
			s.log.Warn("the process that ran the issuer has ended; it runs here now")
			s.ended <- issuer.Serve(serving, l, s, s.log)
		}
	}()
}

// vacancy waits until the address is free and listens there; nil once ctx is
// done. It is an error when the address is a stranger's.
func (s *Server) vacancy(ctx context.Context) (net.Listener, error) {
	clock := time.NewTicker(glance)
	defer clock.Stop()
	addr := strings.TrimPrefix(s.url, "http://")
	const most = 3 // one that starts or ends may not answer
	for doubts := 0; doubts < most; {
		select {
		case <-ctx.Done():
			return nil, nil
		case <-clock.C:
		}
		l, err := issuer.Listen(ctx, addr)
		switch {
		case err == nil:
			return l, nil
		case ctx.Err() != nil:
			return nil, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, err
		}
		switch ours, err := s.serves(ctx); {
		case err != nil: // our own file's fault says nothing about the other
		case ours:
			doubts = 0
		default:
			doubts++
		}
	}
	return nil, fmt.Errorf("run issuer: the process that ran it at %s has ended, and another program has its port; run again", s.url)
}
