package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aguada-dev/aguada/prove/proxy"
)

// parrot is a server that repeats each line, and after the end of what it is
// told says a word of its own.
func parrot(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = c.Close() }()
				if _, err := io.Copy(c, c); err == nil {
					_, _ = io.WriteString(c, strings.Repeat("bye", 100_000)+"\n")
				}
			})
		}
	})
	return l.Addr().String()
}

func start(t *testing.T, target string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.Start(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// line is a connection on which lines are said and heard.
type line struct {
	*net.TCPConn
	in *bufio.Reader
}

func dial(t *testing.T, p *proxy.Proxy) *line {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &line{c.(*net.TCPConn), bufio.NewReader(c)}
}

func (l *line) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(l, text+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (l *line) hear(patience time.Duration) (string, error) {
	_ = l.SetReadDeadline(time.Now().Add(patience))
	text, err := l.in.ReadString('\n')
	return strings.TrimSuffix(text, "\n"), err
}

func (l *line) expect(t *testing.T, want string) {
	t.Helper()
	if got, err := l.hear(5 * time.Second); got != want || err != nil {
		t.Fatalf("heard %.40q, %v, want %q", got, err, want)
	}
}

// None of what is said before the end is lost, in either direction.
func TestForward(t *testing.T) {
	t.Parallel()
	p := start(t, parrot(t))
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			l := dial(t, p)
			for n := range 50 {
				text := fmt.Sprintf("%d %d", i, n)
				l.say(t, text)
				l.expect(t, text)
			}
			_ = l.CloseWrite()
			l.expect(t, strings.Repeat("bye", 100_000))
			if _, err := l.in.ReadByte(); !errors.Is(err, io.EOF) {
				t.Errorf("after the last word: %v", err)
			}
		})
	}
	all.Wait()
}

// Who talks to what died hears of it at once, and nobody reaches it until it is
// back, at the same address.
func TestCut(t *testing.T) {
	t.Parallel()
	p := start(t, parrot(t))
	for range 3 {
		l := dial(t, p)
		l.say(t, "a")
		l.expect(t, "a")
		p.Cut()
		if _, err := l.hear(5 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the connection stands: %v", err)
		}
		if c, err := net.Dial("tcp", p.Addr()); err == nil {
			_ = c.Close()
			t.Error("a new connection is taken")
		}
		if err := p.Forward(); err != nil {
			t.Fatal(err)
		}
		l = dial(t, p)
		l.say(t, "b")
		l.expect(t, "b")
	}
}

// What hangs takes connections and says nothing; what was said meanwhile goes on
// its way when it comes round.
func TestHang(t *testing.T) {
	t.Parallel()
	p := start(t, parrot(t))
	before := dial(t, p)
	before.say(t, "a")
	before.expect(t, "a")
	p.Hang()
	p.Hang()
	before.say(t, "b")
	during := dial(t, p)
	during.say(t, "c")
	for _, l := range []*line{before, during} {
		if got, err := l.hear(100 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("heard %q, %v from what hangs", got, err)
		}
	}
	if err := p.Forward(); err != nil {
		t.Fatal(err)
	}
	before.expect(t, "b")
	during.expect(t, "c")
	p.Hang()
	p.Cut()
	if _, err := before.hear(5 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("what hung and then died still stands: %v", err)
	}
}

// Nothing is left after Close, whatever the state, and nothing comes back.
func TestClose(t *testing.T) {
	t.Parallel()
	target := parrot(t)
	for name, before := range map[string]func(*proxy.Proxy){"forward": func(*proxy.Proxy) {}, "cut": (*proxy.Proxy).Cut, "hang": (*proxy.Proxy).Hang} {
		p := start(t, target)
		l := dial(t, p)
		l.say(t, "a")
		l.expect(t, "a")
		before(p)
		p.Close()
		p.Close()
		if _, err := l.hear(5 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a connection is left: %v", name, err)
		}
		if n := p.Taken(); n != 1 {
			t.Errorf("%s: %d connections were taken, not 1", name, n)
		}
		if err := p.Forward(); err == nil {
			t.Errorf("%s: it goes on after Close", name)
		}
		if c, err := net.Dial("tcp", p.Addr()); err == nil {
			_ = c.Close()
			t.Errorf("%s: a new connection is taken", name)
		}
	}
}

// A target that is not there is as good as cut: the connection ends.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := l.Addr().String()
	_ = l.Close()
	c := dial(t, start(t, target))
	if got, err := c.hear(5 * time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("heard %q, %v", got, err)
	}
	if _, err := proxy.Start("nowhere"); err == nil {
		t.Error("a target without port is taken")
	}
}
