package process

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// How much of what a program wrote is remembered.
const (
	tailBytes = 8 << 10
	tailLines = 12
)

// tail passes on what is written and remembers the end of it.
type tail struct {
	mu   sync.Mutex
	next io.Writer
	buf  []byte
}

var _ io.Writer = (*tail)(nil)

func newTail(next io.Writer) *tail {
	if next == nil {
		next = io.Discard
	}
	return &tail{next: next}
}

// Write never fails: a reader that went away must not end the program.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - tailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	_, _ = t.next.Write(p)
	return len(p), nil
}

// String returns the last lines.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(string(bytes.TrimRight(t.buf, "\n")), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return strings.Join(lines, "\n")
}
