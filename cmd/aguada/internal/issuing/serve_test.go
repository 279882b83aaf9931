package issuing

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth/issuer"
	"github.com/aguada-dev/aguada/auth/issuer/state"
)

// A server that ended by itself says so once, and is closed like any other.
func TestEndedByItself(t *testing.T) {
	ctx := context.Background()
	l, err := issuer.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if s.state, err = state.Open(ctx, filepath.Join(t.TempDir(), "issuer.db")); err != nil {
		t.Fatal(err)
	}
	s.serve(ctx, l)
	_ = l.Close()
	if err := <-s.Done(); err == nil {
		t.Error("it ended without a reason")
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("Close waits for ever")
	}
}
