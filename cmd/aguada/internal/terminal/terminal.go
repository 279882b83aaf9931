// Package terminal writes the command line's own messages: plain lines, with
// colour and a running clock only where a person is watching.
//
//	out := terminal.New(os.Stderr, os.LookupEnv)
//	done := out.Progress("building ./cmd/ordersd", "a first build takes a minute")
//	err := build()
//	done(err)
//
// It never moves the cursor in a file or a pipe.
package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// Output is where messages go. It is safe for concurrent use.
type Output struct {
	mu     sync.Mutex
	w      io.Writer
	tty    bool
	colour bool
	shared bool
}

// New returns an Output on w. Colour needs a terminal, an empty or absent
// NO_COLOR (https://no-color.org) and a TERM other than "dumb".
func New(w io.Writer, lookup func(string) (string, bool)) *Output {
	o := &Output{w: w}
	o.settle(Is(w), lookup)
	return o
}

func (o *Output) settle(tty bool, lookup func(string) (string, bool)) {
	noColour, _ := lookup("NO_COLOR")
	kind, _ := lookup("TERM")
	o.tty = tty && kind != "dumb" // which cannot rewrite a line either
	o.colour = o.tty && noColour == ""
}

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Watched reports whether a person is watching.
func (o *Output) Watched() bool { return o.tty }

// Write writes p as it is, so that an Output can be handed to other programs
// as their standard error.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// Println writes one message and a line end.
func (o *Output) Println(text string) { _, _ = o.Write([]byte(text + "\n")) }

// Printf formats one message and ends the line.
func (o *Output) Printf(format string, args ...any) { o.Println(fmt.Sprintf(format, args...)) }

// Error writes a message that asks for attention.
func (o *Output) Error(err error) { o.Println(o.Alarm("error:") + " " + err.Error()) }

// Alarm returns text that asks for attention, where colour is on.
func (o *Output) Alarm(text string) string { return o.paint("31", text) }

// Bold returns text set off from the rest, where colour is on.
func (o *Output) Bold(text string) string { return o.paint("1", text) }

// Faint returns text set back, where colour is on.
func (o *Output) Faint(text string) string { return o.paint("2", text) }

func (o *Output) paint(code, text string) string {
	if !o.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Share says that another program writes to the same terminal from now on, so
// that Progress must not rewrite lines.
func (o *Output) Share(shared bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shared = shared
}

// How often a running piece of work reports, in a terminal and elsewhere.
const (
	tick      = time.Second
	plainTick = 10 * time.Second
	patience  = 4 * time.Second
)

// Progress reports that a piece of work has begun and returns the function
// that ends it, to be called exactly once with the work's error. Meanwhile the elapsed
// seconds are shown: on the same line in a terminal, else on a new line every
// ten seconds. The hint appears once when the work takes longer than a moment.
func (o *Output) Progress(what, hint string) (done func(error)) {
	p := &progress{out: o, what: what, hint: hint, start: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
	o.mu.Lock()
	p.rewrite = o.tty && !o.shared
	o.mu.Unlock()
	if p.rewrite {
		_, _ = o.Write([]byte(what + " …"))
	} else {
		o.Println(what + " …")
	}
	go p.run()
	return p.done
}

type progress struct {
	out        *Output
	what, hint string
	start      time.Time
	rewrite    bool
	stop       chan struct{}
	ended      chan struct{}
}

func (p *progress) run() {
	defer close(p.ended)
	every := plainTick
	if p.rewrite {
		every = tick
	}
	clock := time.NewTicker(every)
	defer clock.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-late.C:
			if p.hint != "" {
				p.line("  " + p.out.Faint(p.hint))
			}
		case <-clock.C:
			text := fmt.Sprintf("%s … %s", p.what, p.elapsed())
			if p.rewrite {
				_, _ = p.out.Write([]byte("\r\x1b[K" + text))
				continue
			}
			p.line(text)
		}
	}
}

func (p *progress) elapsed() time.Duration { return time.Since(p.start).Round(time.Second) }

func (p *progress) line(text string) {
	if p.rewrite {
		text = "\r\x1b[K" + text
	}
	p.out.Println(text)
}

func (p *progress) done(err error) {
	close(p.stop)
	<-p.ended
	took := time.Since(p.start).Round(100 * time.Millisecond)
	switch {
	case err != nil:
		p.line(fmt.Sprintf("%s: failed after %s", p.what, took))
	default:
		p.line(fmt.Sprintf("%s: done in %s", p.what, took))
	}
}
