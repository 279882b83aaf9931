package issuer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// loopbackHost reports whether a host is this machine by its name alone.
func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// Listen listens on host:port, where host is localhost or a loopback address.
// Everything else is an error, and nothing is bound.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %q is not host:port", addr)
	}
	if !loopbackHost(host) {
		return nil, fmt.Errorf("listen on %s: the development issuer is for loopback only: 127.0.0.1, [::1] or localhost", addr)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := local(l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// local refuses a listener that other machines reach.
func local(l net.Listener) error {
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return fmt.Errorf("listen on %s: the development issuer is for loopback only", l.Addr())
	}
	return nil
}

// Serve answers the requests of a listener, which it closes, until ctx is done:
// then it returns nil. The listener must be on a loopback address.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	if err := local(l); err != nil {
		return errors.Join(err, l.Close())
	}
	log.Warn(Warning, "address", "http://"+l.Addr().String())
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve issuer: %w", err)
	case <-ctx.Done():
	}
	const grace = 2 * time.Second
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		_ = server.Close()
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve issuer: %w", err)
	}
	return nil
}
