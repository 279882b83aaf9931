package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/aguada-dev/aguada/prove/finding"
)

// reason is why some questions were not asked.
type reason struct {
	Text      string
	Questions []unasked
}

// unasked is a question, with the methods of which it was not asked: none where
// it was not asked at all.
type unasked struct {
	Code, Question string
	Methods        []string
}

// name is the code, with how many methods it was not asked of.
func (u unasked) name() string {
	switch len(u.Methods) {
	case 0:
		return u.Code
	case 1:
		return u.Code + " of " + u.Methods[0]
	}
	return fmt.Sprintf("%s of %d methods", u.Code, len(u.Methods))
}

// reasons returns what was left out by its reason, the most frequent first.
func reasons(r *finding.Report) []reason {
	var all []reason
	at := map[string]int{}
	for _, o := range r.Omitted {
		n, ok := at[o.Reason]
		if !ok {
			n = len(all)
			at[o.Reason], all = n, append(all, reason{Text: o.Reason})
		}
		q := &all[n].Questions
		i := slices.IndexFunc(*q, func(u unasked) bool { return u.Code == o.Code })
		if i < 0 {
			i = len(*q)
			*q = append(*q, unasked{Code: o.Code, Question: o.Question})
		}
		if o.Method != "" {
			(*q)[i].Methods = append((*q)[i].Methods, o.Method)
		}
	}
	slices.SortStableFunc(all, func(a, b reason) int {
		return cmp.Or(cmp.Compare(len(b.Questions), len(a.Questions)), cmp.Compare(a.Text, b.Text))
	})
	return all
}

// names lists what was left out, up to so many; 0 lists all.
func (r reason) names(most int) string {
	var list []string
	for i, q := range r.Questions {
		if most > 0 && i == most && len(r.Questions) > most+1 {
			return fmt.Sprintf("%s and %d more", strings.Join(list, ", "), len(r.Questions)-most)
		}
		list = append(list, q.name())
	}
	return strings.Join(list, ", ")
}
