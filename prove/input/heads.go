package input

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/wire"
)

func heads() []probe.Probe { return []probe.Probe{large, lines, lengths, chunks, bothLengths} }

// encrypted omits probes that write bytes of HTTP/1 where the listener wants TLS.
func encrypted(l *lab.Lab) string {
	if l.Recipe.Scheme == "https" {
		return "the service takes TLS alone"
	}
	return ""
}

// rig is a valid request, taken apart to be put together wrongly.
type rig struct {
	t       *probe.Try
	peer    wire.Peer
	request lab.Request
}

// shape is one request of bytes.
type shape struct {
	name string
	text []byte
}

// newRig finds a method that answers a request made by hand: one with a body, if
// there is any.
func newRig(ctx context.Context, t *probe.Try) (*rig, error) {
	var err error
	methods := slices.Concat(filter(t, probe.WithBody), filter(t, func(m method) bool { return probe.Unary(m) && !m.Changes() }), filter(t, probe.Unary))
	for _, m := range methods {
		t.Method = m
		g := &rig{t: t, peer: wire.Peer{Address: t.Main.HTTP, From: t.Client.From}}
		if g.request, err = ready(ctx, t); err != nil {
			continue
		}
		if probe.WithBody(m) {
			d, found := accepted(ctx, t, "wire")
			if err = found; err != nil {
				continue
			}
			g.request = with(g.request, d.valid(0))
		}
		if r := wire.Send(ctx, g.peer, g.plain()); !r.Served() {
			err = fmt.Errorf("%s, written by hand, is answered: %s", m.ID(), r)
			continue
		}
		return g, nil
	}
	if err == nil {
		err = fmt.Errorf("the service has no method that is called by one request")
	}
	return nil, err
}

func filter(t *probe.Try, want func(method) bool) []method {
	var list []method
	for _, m := range t.Service.Methods {
		if want(m) {
			list = append(list, m)
		}
	}
	return list
}

// head returns the request's line and header, without length and without the
// empty line.
func (g *rig) head() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", g.request.Verb, g.request.Path, g.peer.Address)
	_ = g.request.Header.Write(&b) // a Builder takes all
	return b.String()
}

// plain returns the request as it should be.
func (g *rig) plain() []byte {
	return g.with(fmt.Sprintf("Content-Length: %d\r\n", len(g.request.Body)))
}

// with returns the request with more lines of header and its body.
func (g *rig) with(lines string) []byte {
	return append([]byte(g.head()+lines+"\r\n"), g.request.Body...)
}

// line returns the request with another first line.
func (g *rig) line(first string) []byte {
	_, rest, _ := bytes.Cut(g.plain(), []byte("\r\n"))
	return append([]byte(first+"\r\n"), rest...)
}

// show returns a shape and its reply as evidence.
func (g *rig) show(s shape, r *wire.Reply) []finding.Evidence {
	return []finding.Evidence{{Label: "request", Text: wire.Excerpt(g.t.Mask(string(s.text)))}, {Label: "answer", Text: r.Text(g.t.Mask)}}
}

// tried sends all shapes, each on a connection of its own, and judges what comes
// back.
func (g *rig) tried(ctx context.Context, good string, want func(*wire.Reply) string, shapes []shape) finding.Outcome {
	var evidence []finding.Evidence
	var wrong []string
	for _, s := range shapes {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		r := wire.Send(limited, g.peer, s.text)
		cancel()
		if ctx.Err() != nil {
			return probe.Skip("the time was over before all was tried")
		}
		said := want(r)
		if said == "" {
			continue
		}
		if len(wrong) == 0 {
			evidence = g.show(s, r)
		}
		wrong = append(wrong, s.name+": "+said)
	}
	if r := wire.Send(ctx, g.peer, g.plain()); r.Err != nil || len(r.Answers) == 0 || r.Answers[0].Status >= 500 {
		return probe.Fail(nil, "a request in order is then answered: %s", r)
	}
	return judge(evidence, wrong, len(shapes), good)
}

// wired makes a Run of probes that write bytes.
func wired(good string, want func(*wire.Reply) string, shapes func(g *rig) []shape) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		g, err := newRig(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return g.tried(ctx, good, want, shapes(g))
	}
}

// turnedAway wants no answer that is a success, and no failure.
func turnedAway(r *wire.Reply) string {
	if r.Served() {
		return "served, " + r.String()
	}
	return standing(r)
}

// standing wants any answer, or the end of the connection, but no failure.
func standing(r *wire.Reply) string {
	switch {
	case r.Err != nil:
		return r.Err.Error()
	case !r.Ended && len(r.Answers) == 0:
		return "no answer, and the connection is held open"
	case slices.ContainsFunc(r.Answers, func(a wire.Answer) bool {
		return a.Status >= 500 && a.Status != http.StatusNotImplemented && a.Status != http.StatusHTTPVersionNotSupported
	}):
		return r.String()
	}
	return ""
}

// huge is what no header and no address is, by far.
const huge = 2 << 20

var large = probe.Probe{
	Probe: describe("head.size", "Are headers and addresses of megabytes refused, and large ones survived?",
		"Headers are read before anybody is asked who calls, and kept in memory until then.",
		"Limit the header (MaxHeaderBytes); 1 MiB is Go's default, and 32 KiB are enough for most.",
		"RFC 6585 §5", "RFC 9110 §15.5.15", "CWE-770", "OWASP API4:2023"),
	Needs: lab.Floods,
	Omit:  encrypted,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		g, err := newRig(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		a := func(n int) string { return strings.Repeat("a", n) }
		length := fmt.Sprintf("Content-Length: %d\r\n", len(g.request.Body))
		if o := g.tried(ctx, "", turnedAway, []shape{
			{"a header of 2 MiB", g.with(length + "X-Prover: " + a(huge) + "\r\n")},
			{"a name of 2 MiB", g.with(length + a(huge) + ": x\r\n")},
			{"100,000 headers", g.with(length + strings.Repeat("X-Prover: 0123456789\r\n", 100_000))},
			{"a cookie of 2 MiB", g.with(length + "Cookie: a=" + a(huge) + "\r\n")},
			{"an address of 2 MiB", g.line(g.request.Verb + " /" + a(huge) + " HTTP/1.1")},
			{"a query of 2 MiB", g.line(g.request.Verb + " " + g.request.Path + "?" + a(huge) + " HTTP/1.1")},
			{"a verb of 2 MiB", g.line(a(huge) + " / HTTP/1.1")},
		}); o.Verdict != finding.Pass {
			return o
		}
		return g.tried(ctx, "7 of megabytes refused, the others survived", standing, []shape{
			{"a header of 64 KiB", g.with(length + "X-Prover: " + a(64<<10) + "\r\n")},
			{"5,000 headers", g.with(length + strings.Repeat("X-Prover: x\r\n", 5000))},
			{"an address of 64 KiB", g.line(g.request.Verb + " /" + a(64<<10) + " HTTP/1.1")},
			{"10,000 cookies", g.with(length + "Cookie: " + strings.Repeat("a=b; ", 10_000) + "a=b\r\n")},
			{"a trace of 8 KiB", g.with(length + "Traceparent: " + a(8<<10) + "\r\nTracestate: " + strings.Repeat("a=b,", 2000) + "\r\nBaggage: " + strings.Repeat("a=b,", 4000) + "\r\n")},
		})
	},
}

var lines = probe.Probe{
	Probe: describe("head.form", "Are requests refused that are not written as HTTP is?",
		"Each server along the way repairs what is wrong in a way of its own; what one of them checked is then not what the last one understands.",
		"Answer 400 to what is not of the grammar and close the connection; do not repair.",
		"RFC 9112 §2.2", "RFC 9112 §3.2", "RFC 9112 §5", "CWE-444", "CWE-20"),
	Needs: lab.Floods,
	Omit:  encrypted,
	Run: wired("none served", turnedAway, func(g *rig) []shape {
		verb, path := g.request.Verb, g.request.Path
		length := fmt.Sprintf("Content-Length: %d\r\n", len(g.request.Body))
		noHost := strings.Replace(g.head(), "Host: "+g.peer.Address+"\r\n", "", 1)
		body := string(g.request.Body)
		return []shape{
			{"no Host", []byte(noHost + length + "\r\n" + body)},
			{"two Hosts", g.with(length + "Host: prover.example\r\n")},
			{"a Host of no form", []byte(strings.Replace(string(g.plain()), g.peer.Address, "a b/c", 1))},
			{"a space before a colon", g.with(length + "X-Prover : x\r\n")},
			{"a space within a name", g.with(length + "X Prover: x\r\n")},
			{"a line without a colon", g.with(length + "prover\r\n")},
			{"a header without a name", g.with(length + ": x\r\n")},
			{"a zero byte in a header", g.with(length + "X-Prover: a\x00b\r\n")},
			{"a bare CR in a header", g.with(length + "X-Prover: a\rTransfer-Encoding: chunked\r\n")},
			{"a continued line before any header", []byte(strings.Replace(string(g.plain()), "\r\nHost", "\r\n X-Prover: x\r\nHost", 1))},
			{"a space within the address", g.line(verb + " " + path + " x HTTP/1.1")},
			{"a zero byte in the address", g.line(verb + " " + path + "\x00 HTTP/1.1")},
			{"a broken escape in the address", g.line(verb + " /%zz HTTP/1.1")},
			{"an address without a slash", g.line(verb + " prover HTTP/1.1")},
			{"HTTP/0.9", []byte("GET " + path + "\r\n")},
			{"HTTP/2.0 in the line", g.line(verb + " " + path + " HTTP/2.0")},
			{"HTTP/3.7 in the line", g.line(verb + " " + path + " HTTP/3.7")},
			{"http/1.1 in the line", g.line(verb + " " + path + " http/1.1")},
			{"no version", g.line(verb + " " + path + " ")},
			{"a tunnel", g.line("CONNECT 127.0.0.1:1 HTTP/1.1")},
			{"no verb", g.line(" " + path + " HTTP/1.1")},
			{"a verb of no form", g.line("GE(T " + path + " HTTP/1.1")},
			{"TLS", append([]byte("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03"), make([]byte, 160)...)},
			{"the preface of HTTP/2", []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")},
			{"another protocol", []byte("EHLO prover.example\r\nMAIL FROM:<a@prover.example>\r\n")},
		}
	}),
}

// smuggled is a request within, or behind, the body of another; it has an answer
// of its own (404) only where it is taken for a request.
const smuggled = "GET /prover-smuggled HTTP/1.1\r\nHost: prover.example\r\n\r\n"

// alone wants that nothing is served, and that what was smuggled has no answer.
func alone(_ *rig, r *wire.Reply) string {
	if said := turnedAway(r); said != "" {
		return said
	}
	return unsmuggled(r)
}

// apart wants that what was smuggled has no answer.
func apart(_ *rig, r *wire.Reply) string {
	if said := standing(r); said != "" {
		return said
	}
	return unsmuggled(r)
}

// unsmuggled wants no second answer, but to what is no request.
func unsmuggled(r *wire.Reply) string {
	for i, a := range r.Answers {
		if i > 0 && a.Status != http.StatusBadRequest && a.Status != http.StatusRequestTimeout && a.Status != http.StatusNotImplemented {
			return "the request within is answered as well, " + r.String()
		}
	}
	return ""
}

// smuggles wants first that two requests in order have two answers, since that is
// how a smuggled one is told.
func smuggles(good string, want func(*rig, *wire.Reply) string, shapes func(g *rig) []shape) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		g, err := newRig(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		if r := wire.Send(ctx, g.peer, g.plain(), []byte(smuggled)); unsmuggled(r) == "" && len(r.Answers) > 1 {
			return probe.Skip("a request to an unknown path is answered as one of no form is: %s", r)
		}
		return g.tried(ctx, good, func(r *wire.Reply) string { return want(g, r) }, shapes(g))
	}
}

var lengths = probe.Probe{
	Probe: describe("frame.length", "Are requests refused whose length two readers understand differently?",
		"Where the proxy in front and the service do not agree where a request ends, the rest of one caller's request becomes the beginning of another's.",
		"Refuse with 400 every Content-Length that is not digits alone, different ones, and every Transfer-Encoding but chunked, and close the connection.",
		"RFC 9112 §6.3", "RFC 9112 §11.2", "CWE-444"),
	Needs: lab.Floods,
	Omit:  encrypted,
	Run: smuggles("none served, nothing smuggled", alone, func(g *rig) []shape {
		n := len(g.request.Body)
		var list []shape
		add := func(name, lines string) { list = append(list, shape{name, append(g.with(lines), smuggled...)}) }
		add("two lengths", fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", n, n+len(smuggled)))
		add("two lengths, the long one first", fmt.Sprintf("Content-Length: %d\r\nContent-Length: %d\r\n", n+len(smuggled), n))
		add("two lengths in one line", fmt.Sprintf("Content-Length: %d, %d\r\n", n, n+len(smuggled)))
		for _, form := range []string{"+%d", "-%d", "0x%x", "%d.0", "%de0", "%d;", "%d %[1]d", "\x0b%d", "%d\x0b", "_%d", "1e%d", "99999999999999999999999%d"} {
			add("the length "+fmt.Sprintf(form, n), "Content-Length: "+fmt.Sprintf(form, n)+"\r\n")
		}
		add("an empty length", "Content-Length:\r\n")
		add("a space before the colon of the length", fmt.Sprintf("Content-Length : %d\r\n", n))
		for _, coding := range []string{
			"xchunked", "chunked, chunked", "identity, chunked", "chunked, identity", "\x0bchunked", "chunked\x00", "\"chunked\"", "chunked;q=1", "chunke\u212a", "identity", "gzip", "gzip, chunked", "",
		} {
			add("the coding "+coding, "Transfer-Encoding: "+coding+"\r\n")
			list = append(list, shape{"chunks as " + coding, append(bytes.Replace(g.inChunks("\r\n0\r\n\r\n"), []byte(": chunked\r\n"), []byte(": "+coding+"\r\n"), 1), smuggled...)})
		}
		add("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")
		add("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")
		add("a space before the colon of the coding", "Transfer-Encoding : chunked\r\n")
		return list
	}),
}

// inChunks returns the request with its body in one chunk, followed by text.
func (g *rig) inChunks(text string) []byte {
	body := g.request.Body
	if len(body) == 0 {
		body = []byte("prover")
	}
	return []byte(g.head() + fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(body), body) + text)
}

var chunks = probe.Probe{
	Probe: describe("frame.chunks", "Are requests refused whose chunks have no clear end?",
		"A chunk whose size one reader takes for 5 and another for nothing moves the end of the request.",
		"Read chunk sizes strictly and the body to its end, answer 400 where either fails, and close the connection.",
		"RFC 9112 §7.1", "CWE-444"),
	Needs: lab.Floods,
	Omit:  encrypted,
	Run: smuggles("none served, nothing smuggled", func(g *rig, r *wire.Reply) string {
		if len(g.request.Body) > 0 {
			return alone(g, r)
		}
		return apart(g, r) // who takes no body need not read it to its end
	}, func(g *rig) []shape {
		var list []shape
		for _, x := range []struct{ name, text string }{
			{"a negative size", "\r\n-1\r\n\r\n"}, {"a size with a sign", "\r\n+5\r\nspace\r\n0\r\n\r\n"}, {"a size in C", "\r\n0x5\r\nspace\r\n0\r\n\r\n"},
			{"a size beyond 64 bits", "\r\n10000000000000000\r\n\r\n"}, {"a size of letters", "\r\nzz\r\n\r\n"}, {"an empty size", "\r\n\r\n\r\n"},
			{"no end of a chunk", "0\r\n\r\n"}, {"two bytes too many", "xx\r\n0\r\n\r\n"}, {"a size of 5,000 digits", "\r\n" + strings.Repeat("0", 5000) + "\r\n\r\n"},
			{"a bare CR behind a size", "\r\n5\rspace\r\n0\r\n\r\n"}, {"the end before the last chunk", ""}, {"a space before a size", "\r\n 5\r\nspace\r\n0\r\n\r\n"},
		} {
			tail := smuggled
			if x.text == "" {
				tail = ""
			}
			list = append(list, shape{x.name, append(g.inChunks(x.text), tail...)})
		}
		return list
	}),
}

var bothLengths = probe.Probe{
	Probe: describe("frame.both", "Is nothing served on a connection after a request that has both Content-Length and Transfer-Encoding?",
		"The two readers of request smuggling: a proxy that goes by the one and a service that goes by the other. What follows such a request may be somebody else's doing.",
		"Answer 400 to a request that has both, or close the connection behind its answer.",
		"RFC 9112 §6.1", "RFC 9112 §11.2", "CWE-444"),
	Needs: lab.Floods,
	Omit:  encrypted,
	Run: smuggles("nothing smuggled", apart, func(g *rig) []shape {
		n := len(g.request.Body)
		return []shape{
			{"a length beyond the last chunk", append([]byte(strings.Replace(string(g.inChunks("\r\n0\r\n\r\n")), "Transfer-", fmt.Sprintf("Content-Length: %d\r\nTransfer-", n+4096), 1)), smuggled...)},
			{"a length within the first chunk", []byte(g.head() + fmt.Sprintf("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled))},
			{"the coding first", append([]byte(strings.Replace(string(g.inChunks("\r\n0\r\n\r\n")), "chunked\r\n", fmt.Sprintf("chunked\r\nContent-Length: %d\r\n", n), 1)), smuggled...)},
			{"chunks in HTTP/1.0", append([]byte(strings.Replace(string(g.inChunks("\r\n0\r\n\r\n")), "HTTP/1.1", "HTTP/1.0", 1)), smuggled...)},
		}
	}),
}
