// Package payload makes JSON values from the schemas of a design: the least that
// a method takes, everything that it takes, the limits of each constraint, and
// one document for each way to break one.
//
//	m := payload.New(7)
//	for _, c := range m.Violations(schema) {
//		post(c.Value) // breaks c.Constraint at c.Where, and nothing else
//	}
//
// The same seed and schema make the same values. The package sends nothing, and
// leaves out what it cannot make: a violation that might be valid is none.
package payload

import (
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aguada-dev/aguada/prove/model"
)

// Case is one document that differs from a valid one in one place.
type Case struct {
	// Where is the JSON pointer (RFC 6901) of the place; "" is the whole.
	Where string
	// Constraint is the schema's word for what is tried: "maxLength",
	// "required", "type", "additionalProperties", …
	Constraint string
	// Value is the whole document, of what encoding/json decodes to; it may be
	// changed by nobody.
	Value any
	// Ordinary is, for a limit, the same document with an arbitrary value well
	// within that limit: one that the service refuses as well shows that it has
	// rules beyond the schema there. It is nil where there is none.
	Ordinary any
}

// Maker makes values. It is safe for concurrent use.
type Maker struct{ seed uint64 }

// New returns a maker whose choices depend on the seed alone.
func New(seed uint64) *Maker { return &Maker{seed} }

// maxDepth is where schemas that contain themselves are cut.
const maxDepth = 8

// source returns the choices for one place of one document, the same each time.
func (m *Maker) source(where string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(where))
	return rand.New(rand.NewPCG(m.seed, h.Sum64())) //nolint:gosec // choices, not secrets
}

// Minimal returns a valid value with only what the schema requires.
func (m *Maker) Minimal(s *model.Schema) any { return m.value(s, false, "", 0) }

// Full returns a valid value with all that the schema names.
func (m *Maker) Full(s *model.Schema) any { return m.value(s, true, "", 0) }

func (m *Maker) value(s *model.Schema, full bool, where string, depth int) any {
	s = s.Resolved()
	if s == nil {
		return "x"
	}
	if len(s.Enum) > 0 {
		return s.Enum[m.source(where).IntN(len(s.Enum))]
	}
	if len(s.OneOf) > 0 {
		return m.value(s.OneOf[0], full, where, depth+1)
	}
	if len(s.AnyOf) > 0 {
		return m.value(s.AnyOf[0], full, where, depth+1)
	}
	switch kind(s) {
	case "object":
		return m.object(s, full, where, depth)
	case "array":
		return m.array(s, full, where, depth)
	case "string":
		return m.text(s, where)
	case "integer":
		return number(s, 1)
	case "number":
		return number(s, 0.25)
	case "boolean":
		return m.source(where).IntN(2) == 1
	}
	return "x"
}

// kind is the type of the schema, told from its constraints where it names none.
func kind(s *model.Schema) string {
	switch {
	case s.Type != "":
		return s.Type
	case s.Properties != nil:
		return "object"
	case s.Items != nil:
		return "array"
	}
	return ""
}

func (m *Maker) object(s *model.Schema, full bool, where string, depth int) any {
	o := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		required := slices.Contains(s.Required, name)
		if required || full && depth < maxDepth/2 {
			o[name] = m.value(s.Properties[name], full && depth < maxDepth/2, where+"/"+name, depth+1)
		}
	}
	return o
}

func (m *Maker) array(s *model.Schema, full bool, where string, depth int) any {
	n := 0
	if s.MinItems != nil {
		n = *s.MinItems
	} else if full && depth < maxDepth {
		n = 1
		if s.MaxItems != nil {
			n = min(n, *s.MaxItems)
		}
	}
	list := make([]any, 0, min(n, 1000))
	for i := range min(n, 1000) {
		list = append(list, m.value(s.Items, full, where+"/"+strconv.Itoa(i), depth+1))
	}
	return list
}

// number returns a number within the limits of the schema, near to the lowest.
func number(s *model.Schema, step float64) float64 {
	lo, loOut := bound(s.Minimum, s.ExclusiveMinimum)
	hi, hiOut := bound(s.Maximum, s.ExclusiveMaximum)
	switch {
	case lo != nil && loOut:
		return *lo + step
	case lo != nil:
		return *lo
	case hi != nil && hiOut:
		return min(*hi-step, 1)
	case hi != nil:
		return min(*hi, 1)
	}
	return 1
}

// bound returns the limit of a number, and whether the limit itself is out of
// it, in either of OpenAPI's spellings.
func bound(inclusive *float64, exclusive any) (limit *float64, out bool) {
	switch x := exclusive.(type) {
	case bool:
		return inclusive, x
	case float64:
		return &x, true
	}
	return inclusive, false
}
