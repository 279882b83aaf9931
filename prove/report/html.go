package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"github.com/aguada-dev/aguada/prove/finding"
)

//go:embed report.tmpl
var page string

// HTML writes the report as one page that needs nothing beside it: no script, no
// font, no picture, no network. It prints, and is light or dark as its reader's
// system is.
func HTML(w io.Writer, r *finding.Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{"trim": strings.TrimSpace}).Parse(page)
	if err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	if err := t.Execute(w, view(r)); err != nil {
		return fmt.Errorf("write HTML report: %w", err)
	}
	return nil
}

// document is what the page shows.
type document struct {
	*finding.Report
	Verdict, Summary           string
	Good                       bool
	BeganText, TookText        string
	Passed, Failed, Unfinished int
	WaivedCount                int
	Families                   []finding.Family
	Rows                       []row
	Open                       []entry // what keeps the proof from passing
	Accepted                   []entry
	Held                       []group
	Unasked                    []reason
}

// row is a method of the table.
type row struct {
	Name  string
	Cells []square
}

// square is a cell of the table.
type square struct{ Text, Class, Link string }

// entry is one finding with its probe.
type entry struct {
	finding.Finding
	Probe   finding.Probe
	Subject string
	ID      string
	// More are the other subjects of the same probe and verdict, and Others
	// those of whom something else is to be said.
	More   []string
	Others []other
}

type other struct{ Subject, Detail string }

// Count is how many subjects the entry has beside the first.
func (e entry) Count() int { return len(e.More) + len(e.Others) }

// group is a family with the probes that passed throughout.
type group struct {
	Family finding.Family
	Probes []held
}

type held struct {
	finding.Probe
	Subjects string
}

func view(r *finding.Report) *document {
	d := &document{
		Report: r, Families: finding.Families, BeganText: r.Began.UTC().Format("2 January 2006, 15:04 UTC"), TookText: r.Took.Round(100 * time.Millisecond).String(),
		Passed: r.Count(finding.Pass), Failed: r.Count(finding.Fail), Unfinished: r.Count(finding.Skip) + r.Count(finding.Broken), WaivedCount: r.Waived(),
	}
	switch {
	case r.Interrupted:
		d.Verdict, d.Summary = "Interrupted", "The proof was ended before everything was tried."
	case r.Passed():
		d.Verdict, d.Good = "Proved", true
		d.Summary = "Every probe that was asked, and that nobody waived, passed."
	default:
		d.Verdict = "Not proved"
		d.Summary = "What is listed below keeps the proof from passing."
	}
	d.entries(r)
	d.table(r)
	d.groups(r)
	d.Unasked = reasons(r)
	return d
}

// entries collects what did not pass; the same outcome on several methods is one
// entry.
func (d *document) entries(r *finding.Report) {
	at := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Verdict == finding.Pass {
			continue
		}
		list := &d.Open
		if f.Waived != "" {
			list = &d.Accepted
		}
		key := strings.Join([]string{f.Code, string(f.Verdict), f.Waived}, "\x00")
		if n, ok := at[key]; ok {
			if e := &(*list)[n]; f.Detail == e.Detail {
				e.More = append(e.More, subject(r, f))
			} else {
				e.Others = append(e.Others, other{subject(r, f), f.Detail})
			}
			continue
		}
		at[key] = len(*list)
		*list = append(*list, entry{Finding: *f, Probe: r.Probe(f.Code), Subject: subject(r, f), ID: "f-" + f.Code + "-" + string(f.Verdict)})
	}
}

func (d *document) table(r *finding.Report) {
	cells, order := count(r)
	for _, m := range order {
		x := row{Name: m}
		if m == "" {
			x.Name = "the service as a whole"
		}
		for _, f := range finding.Families {
			c := cells[m][f]
			s := square{Text: c.String(), Class: "ok"}
			switch {
			case c == cell{}:
				s.Class = "none"
			case c.open > 0:
				s.Class, s.Text = "bad", fmt.Sprintf("%d of %d open", c.open, c.pass+c.open+c.waived)
				s.Link = d.link(r, m, f)
			case c.waived > 0:
				s.Class = "waived"
			}
			x.Cells = append(x.Cells, s)
		}
		d.Rows = append(d.Rows, x)
	}
}

// link is the first open entry of a method in a family.
func (d *document) link(r *finding.Report, method string, family finding.Family) string {
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Method == method && f.Open() && r.Probe(f.Code).Family == family {
			return "#f-" + f.Code + "-" + string(f.Verdict)
		}
	}
	return ""
}

// groups collects the probes that passed throughout.
func (d *document) groups(r *finding.Report) {
	for _, family := range finding.Families {
		g := group{Family: family}
		for _, p := range r.Probes {
			if p.Family != family {
				continue
			}
			n, all := 0, true
			for i := range r.Findings {
				if r.Findings[i].Code == p.Code {
					n++
					all = all && r.Findings[i].Verdict == finding.Pass
				}
			}
			if all && n > 0 {
				text := "1 run"
				if n > 1 {
					text = fmt.Sprintf("%d methods", n)
				}
				g.Probes = append(g.Probes, held{p, text})
			}
		}
		if len(g.Probes) > 0 {
			d.Held = append(d.Held, g)
		}
	}
}
