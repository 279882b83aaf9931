package apikey_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/auth"
)

// write makes or replaces a file, as an operator's editor does.
func write(t testing.TB, path, text string) {
	t.Helper()
	next := path + ".new"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}

// reason returns the subject of a principal, or the reason of an error.
func reason(p *auth.Principal, err error) string {
	if err == nil {
		return p.Subject
	}
	e, ok := errors.AsType[*auth.Error](err)
	if !ok || p != nil {
		return fmt.Sprintf("principal %v, error %v", p, err)
	}
	return "!" + string(e.Reason)
}

// records is a log.
type records struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *records) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func (r *records) logger() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

const soon = time.Nanosecond // an interval that makes every use look at the file
