package prove

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/aguada-dev/aguada/prove/finding"
)

// Baseline accepts findings that somebody has judged.
type Baseline struct {
	Waivers []Waiver `yaml:"waivers"`
	file    string
}

// Waiver accepts one finding.
type Waiver struct {
	// Code is the probe's, and Method the "service.method" that it is of; empty
	// for a probe of the service.
	Code   string `yaml:"code"`
	Method string `yaml:"method,omitempty"`
	// Reason is why the finding is accepted. Required.
	Reason string `yaml:"reason"`
	// Date is the day of that judgement, and Until the last day on which it
	// holds, if it ends; both as 2006-01-02.
	Date  string `yaml:"date"`
	Until string `yaml:"until,omitempty"`
}

// ReadBaseline reads a baseline, YAML as in:
//
//	waivers:
//	  - code: tls.versions
//	    reason: the load balancer in front of it ends TLS
//	    date: 2026-11-23
//
// A waiver without reason or date is an error.
func ReadBaseline(file string) (*Baseline, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read baseline: %w", err)
	}
	b := &Baseline{file: file}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(b); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read baseline %s: %w", file, err)
	}
	for i, w := range b.Waivers {
		if err := w.check(); err != nil {
			return nil, fmt.Errorf("read baseline %s: waiver %d: %w", file, i+1, err)
		}
	}
	return b, nil
}

func (w *Waiver) check() error {
	switch {
	case w.Code == "":
		return errors.New("code is missing: the code of a probe, as in the report")
	case w.Reason == "":
		return fmt.Errorf("%s: reason is missing: say why the finding is accepted", w.Code)
	case w.Date == "":
		return fmt.Errorf("%s: date is missing: the day on which it was accepted (2006-01-02)", w.Code)
	}
	for _, day := range []string{w.Date, w.Until} {
		if day == "" {
			continue
		}
		if _, err := time.Parse(time.DateOnly, day); err != nil {
			return fmt.Errorf("%s: %q is no day: want 2006-01-02", w.Code, day)
		}
	}
	return nil
}

// holds reports whether the waiver has not ended.
func (w *Waiver) holds(now time.Time) bool {
	return w.Until == "" || now.Format(time.DateOnly) <= w.Until
}

// name is "code service.method", or the code alone.
func (w *Waiver) name() string {
	if w.Method == "" {
		return w.Code
	}
	return w.Code + " " + w.Method
}

// omitted reports whether what it accepts was left out of the proof.
func (w *Waiver) omitted(r *finding.Report) bool {
	return slices.ContainsFunc(r.Omitted, func(o finding.Omission) bool {
		return o.Code == w.Code && (o.Method == "" || o.Method == w.Method)
	})
}

// apply marks the findings that are accepted, and notes the waivers that met
// none, and those that have ended. Of a part of all questions (--only) a waiver
// that was not asked says nothing.
func (b *Baseline) apply(r *finding.Report, part bool) {
	if b == nil {
		return
	}
	for _, w := range b.Waivers {
		met, asked := false, !part && !w.omitted(r)
		for i := range r.Findings {
			f := &r.Findings[i]
			if f.Code != w.Code || f.Method != w.Method {
				continue
			}
			asked = true
			if f.Verdict == finding.Pass {
				continue
			}
			met = true
			if w.holds(r.Began) {
				f.Waived = w.Reason + " (" + w.Date + ")"
			} else {
				r.Ended = append(r.Ended, w.name()+" (until "+w.Until+")")
			}
		}
		if asked && !met {
			r.Stale = append(r.Stale, w.name())
		}
	}
}
