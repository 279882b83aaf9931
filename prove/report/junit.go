package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
)

// JUnit writes the report as the XML that CI systems read: a suite for each
// family, a case for each finding. Waived findings are skipped cases, with the
// reason.
func JUnit(w io.Writer, r *finding.Report) error {
	doc := suites{Name: "aguada prove " + r.Service, Time: seconds(r.Took)}
	for _, family := range finding.Families {
		s := suite{Name: string(family), Timestamp: r.Began.UTC().Format("2006-01-02T15:04:05")}
		for i := range r.Findings {
			f := &r.Findings[i]
			if r.Probe(f.Code).Family == family {
				s.add(r, f)
			}
		}
		if s.Tests > 0 {
			doc.Suites = append(doc.Suites, s)
			doc.Tests += s.Tests
			doc.Failures += s.Failures
			doc.Errors += s.Errors
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(doc); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

// seconds is a duration that is written as CI systems read it: without exponent.
type seconds time.Duration

// MarshalText writes milliseconds as a part of a second.
func (s seconds) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

type suites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Name     string   `xml:"name,attr"`
	Tests    int      `xml:"tests,attr"`
	Failures int      `xml:"failures,attr"`
	Errors   int      `xml:"errors,attr"`
	Time     seconds  `xml:"time,attr"`
	Suites   []suite  `xml:"testsuite"`
}

type suite struct {
	Name      string     `xml:"name,attr"`
	Tests     int        `xml:"tests,attr"`
	Failures  int        `xml:"failures,attr"`
	Errors    int        `xml:"errors,attr"`
	Skipped   int        `xml:"skipped,attr"`
	Timestamp string     `xml:"timestamp,attr"`
	Time      seconds    `xml:"time,attr"`
	Cases     []testCase `xml:"testcase"`
}

type testCase struct {
	Name    string   `xml:"name,attr"`
	Class   string   `xml:"classname,attr"`
	Time    seconds  `xml:"time,attr"`
	Failure *message `xml:"failure"`
	Error   *message `xml:"error"`
	Skipped *message `xml:"skipped"`
}

type message struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (s *suite) add(r *finding.Report, f *finding.Finding) {
	c := testCase{Name: f.Code, Class: subject(r, f), Time: seconds(f.Took)}
	s.Tests++
	s.Time += c.Time
	switch {
	case f.Waived != "":
		s.Skipped++
		c.Skipped = &message{Message: "waived: " + f.Waived}
	case f.Verdict == finding.Fail:
		s.Failures++
		c.Failure = &message{Message: f.Detail, Text: inWords(r, f)}
	case f.Verdict == finding.Skip, f.Verdict == finding.Broken:
		// Neither has shown that all is well: both keep the proof from passing.
		s.Errors++
		c.Error = &message{Message: f.Detail}
	}
	s.Cases = append(s.Cases, c)
}

// subject is what a finding is of.
func subject(r *finding.Report, f *finding.Finding) string {
	if f.Method != "" {
		return f.Method
	}
	return r.Service
}

// inWords is a finding as plain text.
func inWords(r *finding.Report, f *finding.Finding) string {
	p := r.Probe(f.Code)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", p.Question, f.Detail)
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "\n%s:\n%s\n", e.Label, strings.TrimSpace(e.Text))
	}
	fmt.Fprintf(&b, "\nwhy: %s\nfix: %s\n", p.Why, p.Fix)
	return b.String()
}
