package input

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/target"
)

func sizes() []probe.Probe { return []probe.Probe{limit, compressed, memory} }

// spaces is a body of JSON that is long because of the spaces in front of it.
type spaces struct {
	left  int64
	then  []byte
	taken atomic.Int64
}

// padded returns a body of size bytes that ends with text.
func padded(size int64, text []byte) *spaces {
	return &spaces{left: max(size-int64(len(text)), 0), then: text}
}

// Read takes some of the body.
func (s *spaces) Read(p []byte) (n int, err error) {
	switch {
	case len(p) == 0:
		return 0, nil
	case s.left > 0:
		n = int(min(int64(len(p)), s.left))
		for i := range p[:n] {
			p[i] = ' '
		}
		s.left -= int64(n)
	case len(s.then) > 0:
		n = copy(p, s.then)
		s.then = s.then[n:]
	default:
		return 0, io.EOF
	}
	s.taken.Add(int64(n))
	return n, nil
}

func (s *spaces) all() []byte {
	b, _ := io.ReadAll(s) // it has no errors
	return b
}

// unlimited is a body that no service takes in JSON without meaning to.
const unlimited = 64 << 20

var limit = probe.Probe{
	Probe: describe("body.size", "Is a body refused with 413 that is one byte larger than the limit?",
		"Whatever is read is kept in memory, by all callers at once; where only Content-Length is looked at, a body in chunks has no limit at all.",
		"Limit what is read of every body (MaxBody), not only what Content-Length says, and answer 413 Content Too Large.",
		"RFC 9110 §15.5.14", "OWASP API4:2023", "CWE-770", "CWE-400"),
	Needs: lab.Floods,
	Each:  probe.WithBody,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		d, err := accepted(ctx, t, "body.size")
		if err != nil {
			return probe.Skip("%v", err)
		}
		if !t.Service.Contracted {
			return bounded(ctx, t, d)
		}
		most := t.Method.MaxBody
		if most == 0 {
			most = policy.DefaultMaxBody
		}
		for n, size := range []int64{most, most + 1, most, most + 1, 4 * most} {
			r, err := ready(ctx, t)
			if err != nil {
				return probe.Skip("%v", err)
			}
			r, body, how := with(r, nil), padded(size, d.valid(n)), "with its length"
			if n < 2 {
				r.Body = body.all()
			} else {
				r.Stream, how = body, "in chunks"
			}
			a := whole(ctx, t, r)
			switch {
			case size <= most && !lab.Succeeds(t.Method, a):
				return probe.Fail(t.Client.Show(r, a), "a body of exactly %d bytes %s is answered %s", size, how, a)
			case size > most && a.Status != http.StatusRequestEntityTooLarge:
				return probe.Fail(t.Client.Show(r, a), "a body of %d bytes %s is answered %s, not 413", size, how, a)
			}
		}
		return probe.Pass("%d bytes taken, one more answered 413, with length and in chunks", most)
	},
}

// whole asks with a body that can be sent again, once more when the connection
// was ended: an answer before the end of a body may be lost with it.
func whole(ctx context.Context, t *probe.Try, r lab.Request) *lab.Answer {
	a := ask(ctx, t, r)
	if a.Status == 0 && r.Stream == nil {
		a = ask(ctx, t, r)
	}
	return a
}

// bounded wants some limit, where the design says none.
func bounded(ctx context.Context, t *probe.Try, d *documents) finding.Outcome {
	r, err := ready(ctx, t)
	if err != nil {
		return probe.Skip("%v", err)
	}
	body := padded(unlimited, d.valid(0))
	r = with(r, nil)
	r.Stream = body
	a := t.Client.Do(ctx, r)
	if taken := body.taken.Load(); taken >= unlimited || a.Status < 400 && a.Status > 0 {
		return probe.Fail(t.Client.Show(r, a), "%d MiB of a body were read and answered %s: it has no limit", taken>>20, a)
	}
	return probe.Pass("%s after %d KiB of %d MiB", a, body.taken.Load()>>10, unlimited>>20)
}

// bomb is the size of what a compressed body becomes.
const bomb = 256 << 20

// spacesBomb is that many spaces, compressed: a member of 1 MiB again and again,
// which one reader takes for one stream.
var spacesBomb = sync.OnceValue(func() []byte { return bytes.Repeat(pack(bytes.Repeat([]byte(" "), 1<<20)), bomb>>20) })

func pack(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(text) // a Buffer takes all
	_ = w.Close()
	return b.Bytes()
}

var compressed = probe.Probe{
	Probe: describe("body.compressed", "Is a small body refused that becomes a large one?",
		"A quarter of a megabyte that becomes a quarter of a gigabyte: a limit on what comes over the wire is none on what it unfolds to.",
		"Answer 415 to Content-Encoding, or count what comes out of the decoder against the limit of the body.",
		"RFC 9110 §8.4", "CWE-409", "OWASP API4:2023"),
	Needs: lab.Floods,
	Each:  probe.WithBody,
	Run: body("body.compressed", refused, "each refused", func(_ *probe.Try, d *documents, r lab.Request) []attempt {
		body := append(bytes.Clone(spacesBomb()), pack(d.valid(0))...)
		var list []attempt
		for _, coding := range []string{"gzip", "GZIP", "x-gzip", "gzip, gzip"} {
			list = append(list, attempt{fmt.Sprintf("%d KiB of %s that are %d MiB", len(body)>>10, coding, bomb>>20), with(r, body).With("Content-Encoding", coding)})
		}
		return append(list, attempt{"gzip that does not say so", with(r, pack(d.valid(0)))})
	}),
}

// burst is how many requests of each kind are under way at once.
const burst = 8

var memory = probe.Probe{
	Probe: describe("input.memory", "Does the service stay small while it is flooded with large requests?",
		"What one request may cost, times the requests at once, is what the process needs. Beyond its limit the kernel ends it, and with it the calls of everybody else.",
		"Bound the size of bodies and headers, read nothing before authentication, and give the process a memory limit that these bounds fit into.",
		"OWASP API4:2023", "CWE-400", "CWE-789"),
	Needs: lab.Process,
	Alone: true,
	Limit: 60 * time.Second,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		in, err := t.Start(ctx, nil)
		if err != nil {
			return probe.Skip("%v", err)
		}
		defer in.Close()
		t.Client = t.NewClient(in)
		before, ok := in.Peak()
		if !ok {
			return probe.Skip("this system does not tell how much memory a process has")
		}
		allowed, sent := int64(64<<20), 0
		for _, m := range flooded(t.Service) {
			t.Method = m
			attempts, err := floods(ctx, t)
			if err != nil {
				return probe.Skip("%v", err)
			}
			allowed = max(allowed, 64<<20+burst*16*max(m.MaxBody, 1<<20))
			for _, x := range attempts {
				flood(ctx, t, in, x)
				sent += burst
			}
		}
		if !in.Running() {
			return probe.Fail([]finding.Evidence{{Label: "last words", Text: in.LastWords()}}, "the process ended with %s", in.Exit())
		}
		after, _ := in.Peak()
		if r, a, err := valid(ctx, t); err != nil || !lab.Succeeds(t.Method, a) {
			return probe.Fail(t.Client.Show(r, a), "a valid call afterwards is answered %s", a)
		}
		said := fmt.Sprintf("%d MiB before, %d MiB at most, %d large requests, %d at once", before>>20, after>>20, sent, burst)
		if after-before > allowed {
			return probe.Fail([]finding.Evidence{{Label: "memory", Text: said}}, "%s: more than %d MiB grown", said, allowed>>20)
		}
		return probe.Pass("%s", said)
	},
}

// flooded returns the methods whose memory is measured.
func flooded(s *model.Service) []method {
	var list []method
	for _, m := range s.Methods {
		if probe.WithBody(m) && len(list) < 2 {
			list = append(list, m)
		}
	}
	for _, m := range s.Methods {
		if len(list) == 0 && probe.Unary(m) && !m.Changes() {
			list = append(list, m)
		}
	}
	return list
}

// heavy makes one of the same large requests again and again.
type heavy func() lab.Request

// floods returns the large requests to one method.
func floods(ctx context.Context, t *probe.Try) ([]heavy, error) {
	r, err := ready(ctx, t)
	if err != nil {
		return nil, err
	}
	header := func() lab.Request { return r.With("X-Prover", string(bytes.Repeat([]byte("a"), 900<<10))) }
	if t.Method.Body == nil {
		return []heavy{header}, nil
	}
	d, err := accepted(ctx, t, "input.memory")
	if err != nil {
		return nil, err
	}
	list := []heavy{header, func() lab.Request {
		x := with(r, nil)
		x.Stream = io.MultiReader(bytes.NewReader([]byte(`{"prover":"`)), padded(32<<20, []byte(`"}`)))
		return x
	}}
	packed := append(bytes.Clone(spacesBomb()), pack(d.valid(0))...)
	list = append(list, func() lab.Request { return with(r, packed).With("Content-Encoding", "gzip") })
	for _, x := range nested(d, r) {
		list = append(list, func() lab.Request { return x.Request })
	}
	var many bytes.Buffer
	for i := range 50_000 {
		fmt.Fprintf(&many, `"m%d":%d,`, i, i)
	}
	if b, ok := d.member(string(bytes.TrimSuffix(many.Bytes(), []byte(",")))); ok {
		list = append(list, func() lab.Request { return with(r, b) })
	}
	return list, nil
}

// flood sends a request several times at once, and again, and waits for the
// answers; it does not matter what they are.
func flood(ctx context.Context, t *probe.Try, in *target.Instance, make heavy) {
	var all sync.WaitGroup
	for range burst {
		all.Go(func() {
			if in.Running() {
				t.Client.Do(ctx, make())
			}
		})
	}
	all.Wait()
}

// valid calls the method as it should be called.
func valid(ctx context.Context, t *probe.Try) (lab.Request, *lab.Answer, error) {
	var r lab.Request
	var err error
	if t.Method.Body != nil {
		var d *documents
		if d, err = accepted(ctx, t, "valid"); err == nil {
			return submit(ctx, t, d.nth(2))
		}
	} else if r, err = ready(ctx, t); err == nil {
		return r, ask(ctx, t, r), nil
	}
	return r, &lab.Answer{Err: err}, err
}
