package input

import (
	"context"
	"net/http"
	"slices"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/lab"
	"github.com/aguada-dev/aguada/prove/probe"
)

func constraints() []probe.Probe { return []probe.Probe{violated, boundaries, repeated} }

// body makes a Run of probes whose attempts are made of bodies that the method
// takes.
func body(code string, want expect, good string, attempts func(t *probe.Try, d *documents, r lab.Request) []attempt) func(context.Context, *probe.Try) finding.Outcome {
	return func(ctx context.Context, t *probe.Try) finding.Outcome {
		d, err := accepted(ctx, t, code)
		if err != nil {
			return probe.Skip("%v", err)
		}
		r, err := ready(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return verdict(ctx, t, want, good, attempts(t, d, r))
	}
}

var violated = probe.Probe{
	Probe: describe("body.constraints", "Is every body refused that breaks a constraint of the design?",
		"What the design promises of a value is what the code behind it relies on; a limit that nobody checks is a limit that an attacker is the first to test.",
		"Validate the decoded body against the design before the method is called, and answer 400.",
		"OWASP API3:2023", "OWASP API8:2023", "CWE-20", "CWE-1284"),
	Each: probe.WithBody,
	Run: body("body.constraints", refused, "each refused", func(_ *probe.Try, d *documents, r lab.Request) []attempt {
		return broken(d, r)
	}),
}

// broken returns a request for each constraint of the body.
func broken(d *documents, r lab.Request) []attempt {
	var list []attempt
	for _, c := range d.violations() {
		where := c.Where
		if where == "" {
			where = "the body"
		}
		list = append(list, attempt{where + " against " + c.Constraint, with(r, encode(c.Value))})
	}
	return list
}

var boundaries = probe.Probe{
	Probe: describe("body.boundaries", "Are values accepted that are exactly at the limits of the design?",
		"A limit that is off by one, or that counts bytes where the design counts characters, refuses customers whom the design lets in.",
		"Compare with the limits as the design writes them, inclusively; count the characters of a text, not its bytes.",
		"CWE-193", "RFC 8259 §8.1"),
	Each: probe.WithBody,
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		d, err := accepted(ctx, t, "body.boundaries")
		if err != nil {
			return probe.Skip("%v", err)
		}
		var evidence []finding.Evidence
		var wrong []string
		cases := d.boundaries()
		for _, c := range cases {
			r, a, err := submit(ctx, t, c.Value)
			if err != nil {
				return probe.Skip("%v", err)
			}
			if lab.Succeeds(t.Method, a) || ruled(a) {
				continue
			}
			if a.Status >= 400 && a.Status < 500 && c.Ordinary != nil {
				// Another rule of the service, if an ordinary value is refused too.
				if _, other, err := submit(ctx, t, c.Ordinary); err == nil && other.Status >= 400 && other.Status < 500 {
					continue
				}
			}
			if len(wrong) == 0 {
				evidence = t.Client.Show(r, a)
			}
			wrong = append(wrong, c.Where+" at "+c.Constraint+" is answered "+a.String())
		}
		return judge(evidence, wrong, len(cases), "none refused for its limits")
	},
}

// ruled reports whether a request was refused for what it asks, not for how it
// is written.
func ruled(a *lab.Answer) bool {
	return slices.Contains([]int{http.StatusPaymentRequired, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity}, a.Status)
}

// submit sends a document in a valid request.
func submit(ctx context.Context, t *probe.Try, doc any) (lab.Request, *lab.Answer, error) {
	r, err := ready(ctx, t)
	if err != nil {
		return r, nil, err
	}
	r = with(r, encode(doc))
	return r, ask(ctx, t, r), nil
}

var repeated = probe.Probe{
	Probe: describe("body.repeated", "Is the same request answered without a failure when it comes twice?",
		"Clients send again what they got no answer to. A duplicate that the database refuses is a conflict, 409, that its caller can understand; as a 500 it raises an alarm and hides the next real one.",
		"Answer 409 where the same thing cannot be made twice, and map the errors of the database before they become answers.",
		"RFC 9110 §15.5.10", "CWE-755"),
	Each: func(m method) bool { return probe.Unary(m) && m.Changes() },
	Run: func(ctx context.Context, t *probe.Try) finding.Outcome {
		r, err := ready(ctx, t)
		if err != nil {
			return probe.Skip("%v", err)
		}
		return verdict(ctx, t, unharmed, "none failed", []attempt{{"the first", r}, {"the second", r}, {"the third", r}})
	},
}
