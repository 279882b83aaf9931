package config

import (
	"slices"
	"strings"
)

// Error says all that is wrong with a configuration.
type Error struct {
	// Problems holds at most one problem per variable, in the order of the
	// reference. It is never empty.
	Problems []Problem
}

// Problem is what is wrong with one variable. None of its texts holds a value,
// nor a part of one: what was put into the wrong variable may be a secret.
// (For the texts of a user's own Validate the user answers.)
type Problem struct {
	Variable string // its name, or the Go type of a struct that is unusable; "" where a Validate method speaks
	Wrong    string // what is wrong, after "NAME: "
	Fix      string // what to do
}

// Error returns one line per problem.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// String returns the problem as one line.
func (p Problem) String() string {
	if p.Variable == "" {
		return p.Wrong
	}
	return p.Variable + ": " + p.Wrong + ": " + p.Fix
}

// refuse notes a problem. The first of a variable counts: later ones tend to
// be its consequences.
func (l *loader) refuse(variable, wrong, fix string) {
	if !l.refused(variable) {
		l.problems = append(l.problems, Problem{variable, wrong, fix})
	}
}

func (l *loader) refused(variable string) bool {
	return slices.ContainsFunc(l.problems, func(p Problem) bool { return p.Variable == variable })
}

// sortProblems puts the problems into the order of the fields.
func (l *loader) sortProblems() {
	at := func(p Problem) int {
		if i := l.index(p.Variable); i < len(l.fields) {
			return i
		}
		return l.index(strings.TrimSuffix(p.Variable, fileSuffix))
	}
	slices.SortStableFunc(l.problems, func(a, b Problem) int { return at(a) - at(b) })
}

// index returns the place of a variable among the fields, or their number.
func (l *loader) index(variable string) int {
	i := slices.IndexFunc(l.fields, func(f *field) bool { return f.name == variable })
	if i < 0 {
		return len(l.fields)
	}
	return i
}
