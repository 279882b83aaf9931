package payload

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aguada-dev/aguada/prove/model"
)

// maxText is the longest text that is made to meet, or to break, a limit.
const maxText = 1 << 16

// Violations returns a document for each constraint of the schema that can be
// broken alone, in the order of the schema's members by name.
func (m *Maker) Violations(s *model.Schema) []Case { return m.ViolationsOf(s, m.Full(s)) }

// ViolationsOf is Violations with a valid document in which one thing at a time
// is broken.
func (m *Maker) ViolationsOf(s *model.Schema, valid any) []Case { return m.walk(s, valid, true) }

// Boundaries returns valid documents that meet each limit exactly.
func (m *Maker) Boundaries(s *model.Schema) []Case { return m.BoundariesOf(s, m.Full(s)) }

// BoundariesOf is Boundaries with a valid document in which one thing at a time
// is brought to its limit.
func (m *Maker) BoundariesOf(s *model.Schema, valid any) []Case { return m.walk(s, valid, false) }

// Complete returns a document that has all that the schema names: what valid
// lacks is made.
func (m *Maker) Complete(s *model.Schema, valid any) any { return merge(m.Full(s), valid) }

// merge returns what both objects have; over wins.
func merge(under, over any) any {
	u, ok := under.(map[string]any)
	o, too := over.(map[string]any)
	if !ok || !too {
		return over
	}
	all := maps.Clone(u)
	for name, v := range o {
		if inner, there := u[name]; there {
			v = merge(inner, v)
		}
		all[name] = v
	}
	return all
}

// alternative is a value for one place.
type alternative struct {
	constraint string
	value      any
	remove     bool
	ordinary   any // for a limit: what is well within
}

// walk visits every place of the document and returns the document once for each
// thing that can be tried there.
func (m *Maker) walk(s *model.Schema, root any, breaking bool) []Case {
	if s == nil {
		return nil
	}
	var all []Case
	add := func(path []string, a alternative) {
		c := Case{Where: pointer(path), Constraint: a.constraint, Value: replace(root, path, a)}
		if a.ordinary != nil {
			c.Ordinary = replace(root, path, alternative{value: a.ordinary})
		}
		all = append(all, c)
	}
	var visit func(s *model.Schema, path []string)
	visit = func(s *model.Schema, path []string) {
		s = s.Resolved()
		if _, ok := at(root, path); !ok || s == nil {
			return
		}
		cases := m.limits
		if breaking {
			cases = m.broken
		}
		for _, a := range cases(s, pointer(path)) {
			add(path, a)
		}
		if len(s.OneOf)+len(s.AnyOf) > 0 {
			return // nobody can tell which of them a broken document is meant to be
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			inner := append(slices.Clone(path), name)
			if breaking && slices.Contains(s.Required, name) {
				add(inner, alternative{constraint: "required", remove: true})
			}
			visit(s.Properties[name], inner)
		}
		if kind(s) == "array" {
			visit(s.Items, append(slices.Clone(path), "0"))
		}
	}
	visit(s, nil)
	return all
}

// broken returns values that the schema refuses.
func (m *Maker) broken(s *model.Schema, where string) []alternative {
	var list []alternative
	add := func(constraint string, v any) { list = append(list, alternative{constraint: constraint, value: v}) }
	switch kind(s) {
	case "string":
		add("type", 17.0)
		add("type", map[string]any{})
	case "integer":
		add("type", "seventeen")
		add("type", 1.5)
	case "number":
		add("type", "seventeen")
	case "boolean":
		add("type", "maybe")
	case "object":
		if where != "" || s.Properties != nil {
			add("type", "text")
		}
	case "array":
		add("type", "text")
	}
	if len(s.Enum) > 0 && kind(s) == "string" {
		add("enum", "prover-"+letters(m.source(where), 6))
	}
	list = append(list, m.brokenLengths(s, where)...)
	if bad, ok := strictly[s.Format]; ok && kind(s) == "string" {
		add("format", bad)
	}
	if s.Pattern != "" {
		if bad, ok := mismatch(s); ok {
			add("pattern", bad)
		}
	}
	list = append(list, brokenNumbers(s)...)
	if kind(s) == "object" && s.Closed() {
		o, _ := m.value(s, true, where, 0).(map[string]any)
		o = maps.Clone(o)
		if o != nil {
			o["prover_unknown"] = "x"
			add("additionalProperties", o)
		}
	}
	return list
}

func (m *Maker) brokenLengths(s *model.Schema, where string) []alternative {
	var list []alternative
	if kind(s) == "string" && len(s.Enum) == 0 {
		if s.MaxLength != nil && *s.MaxLength < maxText {
			list = append(list, alternative{constraint: "maxLength", value: m.stretch(s, where, *s.MaxLength+1)})
		}
		if s.MinLength != nil && *s.MinLength > 0 {
			list = append(list, alternative{constraint: "minLength", value: strings.Repeat("a", *s.MinLength-1)})
		}
	}
	if kind(s) == "array" {
		if s.MaxItems != nil && *s.MaxItems < 10_000 {
			list = append(list, alternative{constraint: "maxItems", value: m.items(s, where, *s.MaxItems+1)})
		}
		if s.MinItems != nil && *s.MinItems > 0 {
			list = append(list, alternative{constraint: "minItems", value: m.items(s, where, *s.MinItems-1)})
		}
	}
	return list
}

func brokenNumbers(s *model.Schema) []alternative {
	if k := kind(s); k != "integer" && k != "number" {
		return nil
	}
	var list []alternative
	if lo, out := bound(s.Minimum, s.ExclusiveMinimum); lo != nil {
		v := *lo - 1
		if out {
			v = *lo
		}
		list = append(list, alternative{constraint: "minimum", value: v})
	}
	if hi, out := bound(s.Maximum, s.ExclusiveMaximum); hi != nil {
		v := *hi + 1
		if out {
			v = *hi
		}
		list = append(list, alternative{constraint: "maximum", value: v})
	}
	return list
}

// limits returns the values at the ends of what the schema takes.
func (m *Maker) limits(s *model.Schema, where string) []alternative {
	var list []alternative
	var ordinary any
	add := func(constraint string, v any) {
		list = append(list, alternative{constraint: constraint, value: v, ordinary: ordinary})
	}
	lo, hi := lengths(s)
	switch k := kind(s); {
	case len(s.Enum) > 0:
		for _, v := range s.Enum {
			add("enum", v)
		}
	case k == "string" && s.Pattern == "" && s.Format == "":
		ordinary = letters(m.source(where), lo+(min(hi, lo+24)-lo)/2)
		if s.MinLength != nil {
			add("minLength", strings.Repeat("a", lo))
		}
		if s.MaxLength != nil && hi < maxText {
			// Characters, not bytes, are counted.
			add("maxLength", strings.Repeat("é", hi))
		}
	case k == "string" && s.Format == "":
		list = append(list, m.patterned(s, where)...)
	case k == "array":
		if s.MinItems != nil {
			add("minItems", m.items(s, where, *s.MinItems))
		}
		if s.MaxItems != nil && *s.MaxItems < 10_000 {
			add("maxItems", m.items(s, where, *s.MaxItems))
		}
	case k == "integer" || k == "number":
		ordinary = between(s, k == "integer")
		if v, out := bound(s.Minimum, s.ExclusiveMinimum); v != nil && !out {
			add("minimum", *v)
		}
		if v, out := bound(s.Maximum, s.ExclusiveMaximum); v != nil && !out {
			add("maximum", *v)
		}
	}
	return list
}

// patterned returns the limits of a text with a pattern, as far as texts of that
// length can be made that match.
func (m *Maker) patterned(s *model.Schema, where string) []alternative {
	re, err := regexp.Compile(s.Pattern)
	if err != nil {
		return nil
	}
	var list []alternative
	add := func(constraint, v string, n int) {
		if utf8.RuneCountInString(v) == n && re.MatchString(v) {
			list = append(list, alternative{constraint: constraint, value: v, ordinary: m.text(s, where)})
		}
	}
	if s.MinLength != nil {
		v, _ := m.matching(s, where, *s.MinLength, *s.MinLength)
		add("minLength", v, *s.MinLength)
	}
	if s.MaxLength != nil && *s.MaxLength < maxText {
		add("maxLength", m.stretch(s, where, *s.MaxLength), *s.MaxLength)
	}
	return list
}

// between returns a number far from both limits where it can be.
func between(s *model.Schema, whole bool) float64 {
	lo, _ := bound(s.Minimum, s.ExclusiveMinimum)
	hi, _ := bound(s.Maximum, s.ExclusiveMaximum)
	v := number(s, 1)
	switch {
	case lo != nil && hi != nil:
		v = *lo + (*hi-*lo)/2
	case lo != nil:
		v = *lo + 10
	case hi != nil:
		v = *hi - 10
	}
	if whole {
		v = math.Floor(v)
	}
	return v
}

// stretch returns a text of n characters that breaks the length alone where
// possible: it keeps to the pattern, if repeating its last character does.
func (m *Maker) stretch(s *model.Schema, where string, n int) string {
	v := m.text(s, where)
	count := utf8.RuneCountInString(v)
	if count >= n {
		return v
	}
	last := "a"
	if v != "" {
		r, _ := utf8.DecodeLastRuneInString(v)
		last = string(r)
	}
	return v + strings.Repeat(last, n-count)
}

func (m *Maker) items(s *model.Schema, where string, n int) []any {
	list := make([]any, 0, n)
	for i := range n {
		list = append(list, m.value(s.Items, false, where+"/"+strconv.Itoa(i), 1))
	}
	return list
}

// mismatch returns a text that does not match the pattern of the schema, of a
// length that the schema takes.
func mismatch(s *model.Schema) (string, bool) {
	re, err := regexp.Compile(s.Pattern)
	if err != nil {
		return "", false
	}
	lo, hi := lengths(s)
	n := max(lo, min(8, hi))
	for _, filler := range []string{"!", " ", "\x01", "a", "é", "0", "\n"} {
		if v := strings.Repeat(filler, n); !re.MatchString(v) {
			return v, true
		}
	}
	return "", false
}

func pointer(path []string) string {
	var b strings.Builder
	for _, p := range path {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return b.String()
}

// at returns the value at a place of a document.
func at(v any, path []string) (any, bool) {
	for _, p := range path {
		switch x := v.(type) {
		case map[string]any:
			inner, ok := x[p]
			if !ok {
				return nil, false
			}
			v = inner
		case []any:
			i, err := strconv.Atoi(p)
			if err != nil || i >= len(x) {
				return nil, false
			}
			v = x[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// replace returns a copy of the document in which one place has another value,
// or none.
func replace(v any, path []string, a alternative) any {
	if len(path) == 0 {
		return a.value
	}
	switch x := v.(type) {
	case map[string]any:
		x = maps.Clone(x)
		if len(path) == 1 && a.remove {
			delete(x, path[0])
			return x
		}
		x[path[0]] = replace(x[path[0]], path[1:], a)
		return x
	case []any:
		x = slices.Clone(x)
		i, err := strconv.Atoi(path[0])
		if err != nil || i >= len(x) {
			panic(fmt.Sprintf("no place %q", path[0])) // walk made the path from the document
		}
		x[i] = replace(x[i], path[1:], a)
		return x
	}
	return v
}
