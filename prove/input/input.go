// Package input holds the probes of what callers send: values beyond every limit
// of the design, bodies that are no JSON or too much of it, requests that two
// readers understand differently, and what the answers give back of all that.
//
// Requests carry good credentials: what is refused here is the input.
package input

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/policy"
	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/probe"
)

type method = *model.Method

// Probes returns the probes of the family.
func Probes() []probe.Probe {
	return slices.Concat(constraints(), bodies(), sizes(), parameters(), answers(), heads(), events())
}

// describe is short for the description of a probe of the family.
func describe(code, question, why, fix string, references ...string) finding.Probe {
	return finding.Probe{Code: code, Family: finding.Input, Question: question, Why: why, Fix: fix, References: references}
}

// attempt is one request that is worth a try.
type attempt struct {
	// name says what is wrong with it.
	name string
	lab.Request
}

// ask sends a request, and once more when it met a limit of rates, which says
// nothing of the input. Of a stream only the beginning is read.
func ask(ctx context.Context, t *probe.Try, r lab.Request) *lab.Answer {
	for try := 0; ; try++ {
		a := once(ctx, t, r)
		after, err := strconv.Atoi(a.Header.Get("Retry-After"))
		if a.Status != http.StatusTooManyRequests || err != nil || after > 3 || try == 3 {
			return a
		}
		timer := time.NewTimer(time.Duration(after) * time.Second)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
}

func once(ctx context.Context, t *probe.Try, r lab.Request) *lab.Answer {
	if t.Method.Kind != policy.EventStream {
		return t.Client.Do(ctx, r)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	res, err := t.Client.Open(ctx, r)
	if err != nil {
		return &lab.Answer{Err: err}
	}
	defer func() { _ = res.Body.Close() }()
	a := &lab.Answer{Status: res.StatusCode, Header: res.Header}
	if a.Status >= 300 {
		a.Body, a.Err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	}
	return a
}

// expect is what an answer must not be; it returns what is wrong, or "".
type expect func(*lab.Answer) string

// refused wants a client error.
func refused(a *lab.Answer) string {
	switch wrong := unharmed(a); {
	case wrong != "":
		return wrong
	case a.Status < 400:
		return "accepted with " + a.String()
	}
	return ""
}

// unharmed wants any answer but a failure of the service.
func unharmed(a *lab.Answer) string {
	switch {
	case a.Status == 0:
		return a.String()
	case a.Status >= 500 && a.Status != http.StatusNotImplemented && a.Status != http.StatusHTTPVersionNotSupported:
		return "answered " + a.String()
	}
	return ""
}

// verdict sends all attempts and judges the answers; the evidence is of the
// first that is wrong.
func verdict(ctx context.Context, t *probe.Try, want expect, good string, attempts []attempt) finding.Outcome {
	var evidence []finding.Evidence
	var wrong []string
	tried := 0
	for _, x := range attempts {
		if ctx.Err() != nil {
			return probe.Skip("only %d of %d were tried", tried, len(attempts))
		}
		a := ask(ctx, t, x.Request)
		tried++
		if a.Status == http.StatusTooManyRequests {
			return probe.Skip("a limit of rates ended it after %d of %d", tried, len(attempts))
		}
		said := want(a)
		if said == "" {
			continue
		}
		if len(wrong) == 0 {
			evidence = t.Client.Show(x.Request, a)
		}
		wrong = append(wrong, x.name+" is "+said)
	}
	return judge(evidence, wrong, tried, good)
}

func judge(evidence []finding.Evidence, wrong []string, tried int, good string) finding.Outcome {
	switch n := len(wrong); {
	case tried == 0:
		return probe.Pass("nothing to try: the design limits nothing here")
	case n == 0:
		return probe.Pass("%d tried, %s", tried, good)
	case n > 4:
		return probe.Fail(evidence, "%d of %d: %s; …", n, tried, strings.Join(wrong[:4], "; "))
	default:
		return probe.Fail(evidence, "%d of %d: %s", n, tried, strings.Join(wrong, "; "))
	}
}

// ready returns a signed request to the method that should be served.
func ready(ctx context.Context, t *probe.Try) (lab.Request, error) {
	r, err := t.Valid(ctx, t.Client, t.Method)
	if err != nil {
		return r, fmt.Errorf("make a valid request: %w", err)
	}
	return t.Sign(r, t.Method, lab.Good), nil
}

// with returns the request with another JSON body.
func with(r lab.Request, body []byte) lab.Request {
	r = r.Clone()
	r.Body = body
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

// called chooses the methods that are called by one request.
func called(m method) bool {
	return m.HTTP() && (m.Kind == policy.Unary || m.Kind == policy.EventStream)
}
