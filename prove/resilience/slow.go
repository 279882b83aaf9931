package resilience

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
	"github.com/aguada-dev/aguada/prove/wire"
)

// drip sends a text byte by byte until the peer ends the connection or says
// something; it returns after how long, and what was said.
func drip(ctx context.Context, in *target.Instance, text []byte, every time.Duration) (time.Duration, string, error) {
	conn, err := wire.Dial(ctx, wire.Peer{Address: address(in)})
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	said := make(chan string, 1)
	go func() {
		var b [1 << 10]byte
		n, _ := conn.Read(b[:])
		said <- string(b[:n])
	}()
	clock := time.NewTicker(every)
	defer clock.Stop()
	for i := 0; ; i++ {
		select {
		case words := <-said:
			first, _, _ := strings.Cut(words, "\r\n")
			return time.Since(began), first, nil
		case <-clock.C:
			if i < len(text) {
				_, _ = conn.Write(text[i : i+1]) // a closed connection shows in the read
			}
		case <-ctx.Done():
			return time.Since(began), "", ctx.Err()
		}
	}
}

// within runs drip with an end, and judges it.
func within(ctx context.Context, t *probe.Try, text []byte, what string) finding.Outcome {
	in, patience, err := slowness(ctx, t)
	if err != nil {
		return probe.Skip("%v", err)
	}
	defer in.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	took, said, err := drip(ctx, in, text, 250*time.Millisecond)
	if err != nil {
		return probe.Fail(nil, "%s is still waited for after %s", what, took.Round(100*time.Millisecond))
	}
	if said == "" {
		said = "the end of the connection"
	}
	return probe.Pass("after %s: %s", took.Round(100*time.Millisecond), said)
}

var slowHeader = probe.Probe{
	Probe: describe("slow.header", "Is a client cut off that sends its header byte by byte?",
		"A few thousand such clients, from one cheap machine, hold every connection that a server has (Slowloris).",
		"Set ReadHeaderTimeout of the http.Server to some seconds.",
		"CWE-400", "CVE-2007-6750", "OWASP API4:2023"),
	Needs: lab.Process,
	Limit: 30 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		return within(ctx, t, []byte("GET / HTTP/1.1\r\nHost: example.com\r\nX-Slow: "+strings.Repeat("x", 1000)), "the header")
	},
}

var slowBody = probe.Probe{
	Probe: describe("slow.body", "Is a client cut off that sends its body byte by byte?",
		"The call holds its place, its memory and its deadline for as long as the client likes.",
		"Set ReadTimeout, or a read deadline for each request.",
		"CWE-400", "OWASP API4:2023"),
	Limit: 30 * time.Second,
	Omit: func(l *lab.Lab) string {
		if bodied(&probe.Try{Lab: l}) == nil {
			return "the service has no method with a JSON body"
		}
		return ""
	},
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := bodied(t)
		r, err := signed(ctx, t, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		in, patience, err := slowness(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		waiting, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		r.Stream, r.Body = &dripping{ctx: waiting, rest: append(r.Body[:1:1], []byte(strings.Repeat(" ", 1000))...)}, nil
		c := t.NewClient(in)
		a := c.Do(waiting, r)
		if a.Took >= patience-time.Second {
			return probe.Fail(c.Show(r, a), "the body is still waited for after %s", a.Took.Round(100*time.Millisecond))
		}
		return probe.Pass("after %s: %s", a.Took.Round(100*time.Millisecond), a)
	},
}

// dripping is a body of which a byte comes every quarter of a second.
type dripping struct {
	ctx  context.Context
	rest []byte
}

// Read returns one byte, later.
func (d *dripping) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	timer := time.NewTimer(250 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
	p[0] = d.rest[0]
	d.rest = d.rest[1:]
	return 1, nil
}

var slowReader = probe.Probe{
	Probe: describe("slow.reader", "Is a client cut off that asks and does not read?",
		"Answers that nobody takes are held in memory, with everything that made them, for ever.",
		"Set WriteTimeout, or a write deadline for each answer.",
		"CWE-400", "OWASP API4:2023"),
	Limit: time.Minute,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := t.Readable()
		if m == nil {
			return probe.Skip("the service has no method that changes nothing")
		}
		r, err := signed(ctx, t, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		in, patience, err := slowness(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		conn, err := wire.Dial(ctx, wire.Peer{Address: address(in)})
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer func() { _ = conn.Close() }()
		if _, ok := target.Other(conn); !ok {
			return probe.Skip("this system does not tell which connections a process has")
		}
		_ = conn.SetReadBuffer(4 << 10)
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: example.com\r\n", r.Verb, r.Path)
		_ = r.Header.Write(&b)
		b.WriteString("\r\n")
		calls := fill(ctx, conn, []byte(b.String()))
		return abandoned(ctx, conn, calls, patience)
	},
}

// abandoned waits until the process has closed a connection on which nobody reads.
// The client, whose buffers are full, does not hear of that: the kernel knows. The
// process is not late as long as it reads what has arrived.
func abandoned(ctx context.Context, conn *net.TCPConn, calls int, patience time.Duration) finding.Outcome {
	clock := time.NewTicker(100 * time.Millisecond)
	defer clock.Stop()
	began, unread := time.Now(), int64(-1)
	for {
		other, _ := target.Other(conn)
		if !other.Open {
			return probe.Pass("after %d calls of which no answer was read the connection was ended, %s after it had come to a stop", calls, time.Since(began).Round(100*time.Millisecond))
		}
		if other.Unread != unread {
			began, unread = time.Now(), other.Unread
		}
		if time.Since(began) > patience {
			return probe.Fail(nil, "%d calls, none of whose answers was read; the connection still stands %s after it came to a stop", calls, patience)
		}
		select {
		case <-clock.C:
		case <-ctx.Done():
			return probe.Skip("%v", ctx.Err())
		}
	}
}

// fill sends one request after the other, and reads nothing, until the peer takes
// no more.
func fill(ctx context.Context, conn *net.TCPConn, request []byte) (sent int) {
	for ctx.Err() == nil {
		_ = conn.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
		if _, err := conn.Write(request); err != nil {
			break
		}
		sent++
	}
	return sent
}

var idleConnections = probe.Probe{
	Probe: describe("slow.idle", "Do 300 connections that do nothing keep nobody out, and go away?",
		"Clients and proxies open connections ahead; strangers do, too. Each costs a descriptor until somebody closes it.",
		"Set IdleTimeout and ReadHeaderTimeout; do not bound connections below what proxies open.",
		"CWE-772", "OWASP API4:2023"),
	Limit: 40 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := t.Readable()
		if m == nil {
			return probe.Skip("the service has no method that changes nothing")
		}
		r, err := signed(ctx, t, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		in, patience, err := slowness(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		before, ok := in.Descriptors()
		if !ok {
			return probe.Skip("this system does not tell how many files a process has open")
		}
		const idle = 300
		for range idle {
			conn, err := wire.Dial(ctx, wire.Peer{Address: address(in)})
			if err != nil {
				return probe.Fail(nil, "a connection is refused: %v", err)
			}
			defer func() { _ = conn.Close() }()
		}
		c := t.NewClient(in)
		if a := c.Do(ctx, r); !lab.Succeeds(m, a) {
			return probe.Fail(c.Show(r, a), "beside %d idle connections a call is answered %s", idle, a)
		}
		began := time.Now()
		clock := time.NewTicker(100 * time.Millisecond)
		defer clock.Stop()
		for {
			now, _ := in.Descriptors()
			if now < before+idle/10 {
				return probe.Pass("a call beside %d idle connections is served; they were closed after %s", idle, time.Since(began).Round(100*time.Millisecond))
			}
			if time.Since(began) > patience {
				return probe.Fail(nil, "%d connections that never said anything still stand after %s", now-before, patience)
			}
			select {
			case <-clock.C:
			case <-ctx.Done():
				return probe.Skip("%v", ctx.Err())
			}
		}
	},
}

var deadline = probe.Probe{
	Probe: describe("deadline.honoured", "Is a call ended at its deadline, whatever it waits for?",
		"A call without an end holds its caller, its place and whatever it has locked.",
		"Give every method a deadline that its context carries, and answer 504 (408 while the body is awaited) when it passes.",
		"RFC 9110 §15.6.5", "CWE-400"),
	Omit: uncontracted,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		m := bodied(t)
		if m == nil || m.Deadline == 0 || time.Duration(m.Deadline) > 10*time.Second {
			return probe.Pass("no method with a JSON body has a deadline of 10s or less")
		}
		r, err := signed(ctx, t, m)
		if err != nil {
			return probe.Skip("%v", err)
		}
		end := time.Duration(m.Deadline)
		waiting, cancel := context.WithTimeout(ctx, end+8*time.Second)
		defer cancel()
		r.Stream, r.Body = &dripping{ctx: waiting, rest: append(r.Body[:1:1], []byte(strings.Repeat(" ", 1000))...)}, nil
		a := t.Client.Do(waiting, r)
		if a.Took > end+3*time.Second || a.Status != http.StatusGatewayTimeout && a.Status != http.StatusRequestTimeout {
			return probe.Fail(t.Client.Show(r, a), "a call of %s with a deadline of %s is answered %s after %s", m.ID(), end, a, a.Took.Round(100*time.Millisecond))
		}
		return probe.Pass("%s after %s, of %s", a, a.Took.Round(100*time.Millisecond), end)
	},
}
