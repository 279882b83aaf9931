package report_test

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/report"
)

// parse returns the elements of the page, in order.
func parse(t *testing.T, r *finding.Report) (page string, elements []*html.Node) {
	t.Helper()
	var b bytes.Buffer
	if err := report.HTML(&b, r); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for n := range root.Descendants() {
		if n.Type == html.ElementNode {
			elements = append(elements, n)
		}
	}
	return b.String(), elements
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// The page needs nothing beside it and runs nothing, whatever the service
// answered.
func TestHTMLStandsAlone(t *testing.T) {
	t.Parallel()
	page, elements := parse(t, sample())
	ids, links := map[string]bool{}, []string{}
	for _, n := range elements {
		switch n.Data {
		case "script", "link", "img", "iframe", "object", "embed", "base", "form", "video", "audio", "svg":
			t.Errorf("the page has an element %s", n.Data)
		case "style":
			if s := text(n); strings.Contains(s, "url(") || strings.Contains(s, "@import") || strings.Contains(s, "http") {
				t.Error("the style refers to something outside")
			}
		}
		for _, a := range n.Attr {
			switch {
			case strings.HasPrefix(a.Key, "on"), a.Key == "src", a.Key == "style":
				t.Errorf("%s has the attribute %s", n.Data, a.Key)
			case a.Key == "href":
				links = append(links, a.Val)
			case a.Key == "id":
				if ids[a.Val] {
					t.Errorf("two elements have the id %s", a.Val)
				}
				ids[a.Val] = true
			}
		}
	}
	for _, l := range links {
		if id, ok := strings.CutPrefix(l, "#"); !ok || !ids[id] {
			t.Errorf("the link %q leads nowhere", l)
		}
	}
	if len(links) == 0 || !strings.Contains(page, "&lt;script&gt;alert(1)&lt;/script&gt;") {
		t.Error("the evidence, or the links to it, are missing")
	}
}

// Whoever reads it finds for each thing that keeps the proof from passing what
// was seen, why it matters and what to do.
func TestHTMLSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := sample()
	page, elements := parse(t, r)
	var articles []string
	for _, n := range elements {
		if n.Data == "article" {
			articles = append(articles, text(n))
		}
		if n.Data == "th" && attribute(n, "scope") == "" {
			t.Error("a header of the table is of no row and no column")
		}
		if n.Data == "html" && attribute(n, "lang") != "en" {
			t.Error("the page has no language")
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		if f.Verdict == finding.Pass {
			continue
		}
		found := false
		for _, a := range articles {
			subject := f.Method
			if subject == "" {
				subject = r.Service
			}
			found = found || strings.Contains(a, f.Code) && strings.Contains(a, subject) && strings.Contains(a, "mend "+f.Code) &&
				strings.Contains(a, "why "+f.Code) && strings.Contains(a, strings.Fields(f.Detail)[0]) && strings.Contains(a, f.Waived)
		}
		if !found {
			t.Errorf("no entry tells of %s %s", f.Code, f.Method)
		}
	}
	for _, want := range []string{"Not proved", "needs the log", "changes things", "prefers-color-scheme: dark", "width=device-width", "Waived"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func TestHTMLOfAPass(t *testing.T) {
	t.Parallel()
	r := sample()
	r.Findings = r.Findings[:0]
	r.Findings = append(r.Findings, finding.Finding{Code: "auth.a", Method: "orders.put", Outcome: finding.Outcome{Verdict: finding.Pass}})
	page, _ := parse(t, r)
	if !strings.Contains(page, "<title>Proved: orders</title>") || strings.Contains(page, "What keeps it from passing") || !strings.Contains(page, "What held") {
		t.Error("the page of a pass is not that of one")
	}
}
