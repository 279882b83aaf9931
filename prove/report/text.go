// Package report writes what a proof found: as a table for a person, as JSON,
// JUnit XML and SARIF for programs, and as one HTML page to be sent to whoever
// wants to see.
//
// It only writes: nothing here decides whether a proof passed.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/aguada-dev/aguada/prove/finding"
)

// TextConfig tunes Text. The zero value is plain text.
type TextConfig struct {
	// Bold and Faint set text off from the rest; nil changes nothing.
	Bold, Faint func(string) string
	// All prints what passed too, and names all that was not asked.
	All bool
}

// Text writes the report for a person: what failed with its evidence and its
// fix, then a table by method and family.
func Text(w io.Writer, r *finding.Report, cfg TextConfig) error {
	if cfg.Bold == nil {
		cfg.Bold = func(s string) string { return s }
	}
	if cfg.Faint == nil {
		cfg.Faint = func(s string) string { return s }
	}
	var b strings.Builder
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Open() || cfg.All {
			write(&b, r, f, cfg)
		}
	}
	table(&b, r)
	conclude(&b, r, cfg)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

// plain returns the text with control characters written out: what a service
// answers is not to move the cursor of whoever reads it.
func plain(text string) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(text, "\uFFFD") {
		if c != '\t' && c != '\n' && unicode.IsControl(c) {
			fmt.Fprintf(&b, "\\x%02x", c)
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}

func write(b *strings.Builder, r *finding.Report, f *finding.Finding, cfg TextConfig) {
	p := r.Probe(f.Code)
	subject := f.Method
	if subject == "" {
		subject = r.Service
	}
	fmt.Fprintf(b, "%s  %s  %s\n", cfg.Bold(strings.ToUpper(string(f.Verdict))), cfg.Bold(f.Code), subject)
	if f.Verdict == finding.Pass {
		fmt.Fprintf(b, "  %s\n\n", cfg.Faint(plain(f.Detail)))
		return
	}
	fmt.Fprintf(b, "  %s\n  %s\n", p.Question, plain(f.Detail))
	for _, e := range f.Evidence {
		fmt.Fprintf(b, "  %s\n", cfg.Faint(plain(e.Label)+":"))
		for line := range strings.Lines(strings.TrimSpace(e.Text)) {
			fmt.Fprintf(b, "    %s\n", plain(strings.TrimRight(line, "\r\n")))
		}
	}
	if f.Verdict == finding.Fail {
		fmt.Fprintf(b, "  why: %s\n  fix: %s\n", p.Why, p.Fix)
		if len(p.References) > 0 {
			fmt.Fprintf(b, "  see: %s\n", strings.Join(p.References, ", "))
		}
	}
	b.WriteByte('\n')
}

// cell counts the findings of one method in one family.
type cell struct{ pass, open, waived int }

func (c cell) String() string {
	switch {
	case c.pass+c.open+c.waived == 0:
		return "·"
	case c.open > 0:
		return fmt.Sprintf("%d of %d FAIL", c.open, c.pass+c.open+c.waived)
	case c.waived > 0:
		return fmt.Sprintf("%d ok, %d waived", c.pass, c.waived)
	}
	return fmt.Sprintf("%d ok", c.pass)
}

// count returns how the findings are spread over methods and families, and the
// methods, those of the service as a whole last.
func count(r *finding.Report) (cells map[string]map[finding.Family]cell, order []string) {
	family := map[string]finding.Family{}
	for _, p := range r.Probes {
		family[p.Code] = p.Family
	}
	cells = map[string]map[finding.Family]cell{}
	for _, f := range r.Findings {
		if cells[f.Method] == nil {
			cells[f.Method] = map[finding.Family]cell{}
			order = append(order, f.Method)
		}
		c := cells[f.Method][family[f.Code]]
		switch {
		case f.Waived != "":
			c.waived++
		case f.Verdict == finding.Pass:
			c.pass++
		default:
			c.open++
		}
		cells[f.Method][family[f.Code]] = c
	}
	slices.SortFunc(order, func(a, b string) int {
		if (a == "") != (b == "") {
			return len(b) - len(a) // the service itself comes last
		}
		return strings.Compare(a, b)
	})
	return cells, order
}

func table(b *strings.Builder, r *finding.Report) {
	cells, order := count(r)
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "METHOD")
	for _, f := range finding.Families {
		fmt.Fprint(t, "\t", strings.ToUpper(string(f)))
	}
	fmt.Fprintln(t)
	for _, m := range order {
		name := m
		if name == "" {
			name = "(service)"
		}
		fmt.Fprint(t, name)
		for _, f := range finding.Families {
			fmt.Fprint(t, "\t", cells[m][f])
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
	b.WriteByte('\n')
}

func conclude(b *strings.Builder, r *finding.Report, cfg TextConfig) {
	most := 4
	if cfg.All {
		most = 0
	}
	for _, x := range reasons(r) {
		fmt.Fprintf(b, "%s\n", cfg.Faint("not asked: "+x.Text+": "+x.names(most)))
	}
	for _, s := range r.Stale {
		fmt.Fprintf(b, "the baseline accepts %s, which was not found: remove it\n", s)
	}
	for _, s := range r.Ended {
		fmt.Fprintf(b, "the baseline accepted %s: mend it, or judge it again\n", s)
	}
	verdict := "PROVED"
	switch {
	case r.Interrupted:
		verdict = "INTERRUPTED"
	case !r.Passed():
		verdict = "NOT PROVED"
	}
	fmt.Fprintf(b, "%s %s: %d passed, %d failed, %d broken, %d skipped, %d waived; seed %d, %s\n", cfg.Bold(verdict), r.Service,
		r.Count(finding.Pass), r.Count(finding.Fail), r.Count(finding.Broken), r.Count(finding.Skip), r.Waived(), r.Seed, r.Took.Round(100*time.Millisecond))
}

// Probes writes the list of all questions.
func Probes(w io.Writer, all []finding.Probe) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\n", p.Code, p.Family, p.Question)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("print probes: %w", err)
	}
	return nil
}
