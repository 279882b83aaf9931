// Package wire sends bytes over TCP as they are and reads what comes back as
// HTTP/1 answers: for requests that no HTTP client would send.
//
//	r := wire.Send(ctx, wire.Peer{Address: "127.0.0.1:8080"}, []byte("GET / HTTP/1.1\r\n\r\n"))
//	if r.Served() { … }
//
// The package judges nothing, corrects nothing and sends nothing twice.
package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"
)

// MaxRead is how many bytes of what comes back are kept.
const MaxRead = 1 << 20

// patience is how long an exchange may take whose context has no deadline.
const patience = 10 * time.Second

// Peer is where a connection goes, and where it comes from.
type Peer struct {
	// Address is host:port.
	Address string
	// From is the address that the connection comes from; any if empty.
	From string
	// Quiet is how long the peer may be silent before it is told that no more
	// will come; 1 s if 0.
	Quiet time.Duration
}

// Reply is what came back on one connection.
type Reply struct {
	// Answers are the HTTP/1 answers, interim ones (1xx) left out.
	Answers []Answer
	// Rest is what came and is no HTTP/1 answer, or the beginning of one.
	Rest []byte
	// Ended says that the peer ended the connection, in order or not; without
	// it the wait was over before.
	Ended bool
	// Err is why there was no connection.
	Err error
}

// Answer is one HTTP/1 answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Cut says that the end of the body is missing.
	Cut bool
}

// Served reports whether some answer is neither an error nor a refusal.
func (r *Reply) Served() bool {
	for _, a := range r.Answers {
		if a.Status < 400 {
			return true
		}
	}
	return false
}

// String says in a few words what came back.
func (r *Reply) String() string {
	var said []string
	for _, a := range r.Answers {
		said = append(said, strings.TrimSpace(fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status))))
	}
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case len(r.Rest) > 0:
		said = append(said, fmt.Sprintf("%d bytes that are no answer", len(r.Rest)))
	case len(said) == 0 && r.Ended:
		return "the connection was ended without an answer"
	case len(said) == 0:
		return "no answer, and the connection is open"
	}
	return strings.Join(said, ", then ")
}

// Text returns what came back as far as it is shown to people. Each part goes
// through mask, which takes out what nobody may see, before it is cut.
func (r *Reply) Text(mask func(string) string) string {
	var b strings.Builder
	for _, a := range r.Answers {
		fmt.Fprintf(&b, "HTTP/1.1 %d %s\n", a.Status, http.StatusText(a.Status))
		_ = a.Header.Write(&b) // a Builder takes all
		fmt.Fprintf(&b, "\n%s\n", Excerpt(mask(string(a.Body))))
	}
	if len(r.Rest) > 0 {
		b.WriteString(Excerpt(mask(string(r.Rest))))
	}
	if b.Len() == 0 {
		return r.String()
	}
	return mask(b.String())
}

// Excerpt returns the beginning of a text, with what is no UTF-8 replaced and
// the control characters, other than line ends, made visible.
func Excerpt(text string) string {
	const most = 600
	shown := text[:min(len(text), most)]
	s := strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r >= ' ' && r != 0x7f:
			return r
		case r == 0x7f:
			return 0x2421
		}
		return 0x2400 + r // the control pictures of Unicode
	}, strings.ToValidUTF8(shown, "\uFFFD"))
	s = strings.ReplaceAll(s, "\r\n", "\n")
	if len(text) > most {
		return fmt.Sprintf("%s… (%d bytes)", s, len(text))
	}
	return s
}

// Dial opens a connection.
func Dial(ctx context.Context, p Peer) (*net.TCPConn, error) {
	d := &net.Dialer{Timeout: 5 * time.Second}
	if p.From != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(p.From)}
	}
	c, err := d.DialContext(ctx, "tcp", p.Address)
	if err != nil {
		return nil, fmt.Errorf("open connection: %w", err)
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("open connection: %T is not TCP", c), c.Close())
	}
	return tcp, nil
}

// Send opens a connection, sends all pieces one after the other, and reads until
// the peer ends the connection. The peer is told that no more will come once it
// has answered, or is silent for p.Quiet: many take the end of what they read for
// a caller who has gone. A context without deadline gets one of 10 s. A peer that
// ends the connection while it is sent to is not an error: what it said before is
// in the reply.
func Send(ctx context.Context, p Peer, pieces ...[]byte) *Reply {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	c, err := Dial(ctx, p)
	if err != nil {
		return &Reply{Err: err}
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if p.Quiet == 0 {
		p.Quiet = time.Second
	}
	heard := make(chan struct{}, 2)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, piece := range pieces {
			if _, err := c.Write(piece); err != nil {
				return // the peer has heard enough; what it said is being read
			}
		}
		timer := time.NewTimer(p.Quiet)
		defer timer.Stop()
		select {
		case <-heard:
		case <-timer.C:
		}
		_ = c.CloseWrite()
	}()
	text, ended := collect(c, heard)
	_ = c.Close() // ends the writer, too
	<-sent
	r := Parse(text)
	r.Ended = ended
	return r
}

// collect reads until the end, and tells when there is a whole answer.
func collect(c io.Reader, heard chan<- struct{}) (text []byte, ended bool) {
	defer func() { heard <- struct{}{} }()
	said := false
	for len(text) < MaxRead {
		text = slices.Grow(text, 16<<10)
		n, err := c.Read(text[len(text):cap(text)])
		text = text[:len(text)+n]
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return text, false
		case err != nil:
			return text, true // in order, or by a reset
		}
		if !said && complete(text) {
			said = true
			heard <- struct{}{}
		}
	}
	return text, false
}

// complete reports whether the text has a whole answer.
func complete(text []byte) bool {
	answers := Parse(text).Answers
	return len(answers) > 0 && !answers[0].Cut
}

// Parse takes a text apart into HTTP/1 answers to requests other than HEAD.
func Parse(text []byte) *Reply {
	r := &Reply{}
	for len(text) > 0 {
		in := bytes.NewReader(text)
		buffered := bufio.NewReaderSize(in, 16)
		res, err := http.ReadResponse(buffered, nil)
		if err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.")) {
			r.Rest = text
			break
		}
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			r.Answers = append(r.Answers, Answer{Status: res.StatusCode, Header: res.Header, Body: body, Cut: true})
			break // the peer ended in the middle of the body
		}
		if res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols {
			r.Answers = append(r.Answers, Answer{Status: res.StatusCode, Header: res.Header, Body: body})
		}
		text = text[len(text)-in.Len()-buffered.Buffered():]
		if res.StatusCode == http.StatusSwitchingProtocols {
			r.Rest = text
			break
		}
	}
	return r
}
