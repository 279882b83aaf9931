// Package finding is what a proof says: verdicts with their evidence, as plain
// data that the report prints and other programs read.
//
// The package judges nothing and sends nothing.
package finding

import (
	"cmp"
	"slices"
	"time"
)

// Verdict is the outcome of one probe on one method, or on the service.
type Verdict string

// The verdicts.
const (
	// Pass: the attack was beaten off, or the promise held.
	Pass Verdict = "pass"
	// Fail: it was not; the evidence shows how.
	Fail Verdict = "fail"
	// Skip: the probe could not be tried; the reason says what was missing.
	// A proof with a skip that nobody waived does not pass.
	Skip Verdict = "skip"
	// Broken: the prover itself could not finish, such as when the service
	// died under another probe. It counts as failed.
	Broken Verdict = "broken"
)

// Family is the kind of question that a probe asks.
type Family string

// The families, in the order of reports.
const (
	Security      Family = "security"
	Input         Family = "input"
	Resilience    Family = "resilience"
	Observability Family = "observability"
	Lifecycle     Family = "lifecycle"
)

// Families lists all families in the order of reports.
var Families = []Family{Security, Input, Resilience, Observability, Lifecycle}

// Probe describes one attack or measurement; the same for all that it is tried
// on.
type Probe struct {
	// Code is stable and unique, such as "auth.no-credential"; baselines name
	// it.
	Code   string `json:"code"`
	Family Family `json:"family"`
	// Question is one line that is answered yes where all is well.
	Question string `json:"question"`
	// Why says what goes wrong without the defence, for who does not know.
	Why string `json:"why"`
	// References are sections of standards and lists, such as "RFC 6750 §3",
	// "OWASP API2:2023", "CWE-306".
	References []string `json:"references,omitempty"`
	// Fix says what to change, where a fail is found.
	Fix string `json:"fix"`
}

// Evidence is what was seen. Texts hold no credential: whoever makes evidence
// has them masked.
type Evidence struct {
	// Label says what the text is: "request", "answer", "log line", "span".
	Label string `json:"label"`
	Text  string `json:"text"`
}

// Outcome is what one run of a probe found.
type Outcome struct {
	Verdict Verdict `json:"verdict"`
	// Detail is one sentence: what was seen, what is missing, or why it was
	// skipped.
	Detail   string     `json:"detail,omitempty"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Finding is the outcome of a probe on one subject.
type Finding struct {
	// Code is the probe's.
	Code string `json:"code"`
	// Method is "service.method"; empty where the probe is of the service.
	Method string `json:"method,omitempty"`
	Outcome
	// Waived is the reason for which a baseline accepts the finding.
	Waived string `json:"waived,omitempty"`
	// Took is how long the probe ran.
	Took time.Duration `json:"took_ns"`
}

// Open reports whether the finding keeps the proof from passing.
func (f *Finding) Open() bool { return f.Verdict != Pass && f.Waived == "" }

// Omission is a probe that was not asked.
type Omission struct {
	Code     string `json:"code"`
	Question string `json:"question"`
	// Method is "service.method" where only that was left out; empty for the
	// whole probe.
	Method string `json:"method,omitempty"`
	Reason string `json:"reason"`
}

// Report is one proof.
type Report struct {
	// Service and Version are the design's.
	Service string `json:"service"`
	Version string `json:"version,omitempty"`
	// Target is what was attacked: a program or a URL.
	Target string `json:"target"`
	// Prover is the version of the program that ran the proof.
	Prover string `json:"prover"`
	// Seed makes the same payloads again.
	Seed uint64 `json:"seed"`
	// Began and Took are the proof's own.
	Began time.Time     `json:"began"`
	Took  time.Duration `json:"took_ns"`
	// Probes are those that were run, sorted by family and code.
	Probes []Probe `json:"probes"`
	// Findings are sorted by the probe's place in Probes, then by method.
	Findings []Finding `json:"findings"`
	// Interrupted says that the proof was ended before all was tried.
	Interrupted bool `json:"interrupted,omitempty"`
	// Omitted are the probes that do not concern the service, or that its target
	// keeps out of reach.
	Omitted []Omission `json:"omitted,omitempty"`
	// Stale are the entries of the baseline that met nothing.
	Stale []string `json:"stale_waivers,omitempty"`
	// Ended are those whose last day is over, though the finding is there.
	Ended []string `json:"ended_waivers,omitempty"`
}

// Passed reports that everything was tried, and all that was not waived passed.
// A proof without any pass proves nothing.
func (r *Report) Passed() bool {
	return !r.Interrupted && !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Open() }) &&
		slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Verdict == Pass })
}

// Count returns how many findings have the verdict and are not waived.
func (r *Report) Count(v Verdict) int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Verdict == v && (v == Pass || r.Findings[i].Waived == "") {
			n++
		}
	}
	return n
}

// Waived returns how many findings a baseline accepts.
func (r *Report) Waived() int {
	n := 0
	for i := range r.Findings {
		if r.Findings[i].Waived != "" {
			n++
		}
	}
	return n
}

// Probe returns the description of a code; the zero Probe where it has none.
func (r *Report) Probe(code string) Probe {
	for _, p := range r.Probes {
		if p.Code == code {
			return p
		}
	}
	return Probe{Code: code}
}

// Sort brings probes and findings into the order of reports, which does not
// depend on which of them ended first.
func (r *Report) Sort() {
	slices.SortFunc(r.Probes, func(a, b Probe) int {
		return cmp.Or(cmp.Compare(slices.Index(Families, a.Family), slices.Index(Families, b.Family)), cmp.Compare(a.Code, b.Code))
	})
	place := map[string]int{}
	for i, p := range r.Probes {
		place[p.Code] = i
	}
	slices.SortFunc(r.Omitted, func(a, b Omission) int { return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Method, b.Method)) })
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(place[a.Code], place[b.Code]), cmp.Compare(a.Method, b.Method))
	})
}
