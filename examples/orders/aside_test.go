package orders

import (
	"context"
	"errors"
	"testing"
)

// What reads the database for a stream is as its caller's own: its result, its panic,
// and the end of the stream.
func TestAside(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), "k", "v")) //nolint:staticcheck,revive // a test's
	if v, err := aside(ctx, func(ctx context.Context) (any, error) { return ctx.Value("k"), nil }); v != "v" || err != nil {
		t.Errorf("read %v, %v", v, err)
	}
	func() {
		defer func() {
			if p := recover(); p != "mine" {
				t.Errorf("panicked with %v", p)
			}
		}()
		_, _ = aside(ctx, func(context.Context) (any, error) { panic("mine") })
		t.Error("a panic is lost")
	}()
	_, err := aside(ctx, func(ctx context.Context) (any, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("when the stream has ended, it reads %v", err)
	}
}
