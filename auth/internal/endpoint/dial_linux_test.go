package endpoint_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/internal/endpoint"
)

// Connecting to a server that never answers ends by itself: net/http lets it go
// on when the request is given up.
func TestConnectingEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes 5 s")
	}
	t.Parallel()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil { // room for one that nobody accepts
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for { // until there is no room left
		c, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			break
		}
		defer func() { _ = c.Close() }() //nolint:gocritic // two of them
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	transport := endpoint.Transport(1)
	if transport.DialContext == nil {
		t.Fatal("the time to connect is not bounded")
	}
	if c, err := transport.DialContext(ctx, "tcp", address); err == nil {
		_ = c.Close()
		t.Error("connected")
	}
	if ctx.Err() != nil {
		t.Error("it went on for 15 s")
	}
}
