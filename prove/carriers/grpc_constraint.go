package carriers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/aguada-dev/aguada/prove/finding"
	"github.com/aguada-dev/aguada/prove/model"
	"github.com/aguada-dev/aguada/prove/payload"
	"github.com/aguada-dev/aguada/prove/probe"
	"github.com/aguada-dev/aguada/prove/rpc"
)

// violation is a message that breaks one constraint.
type violation struct {
	name    string
	message []byte
}

// expressible are the constraints that a message of Protocol Buffers can break:
// its types are fixed, and what is missing is there with the value zero.
var expressible = []string{"enum", "pattern", "format", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems"}

// breaks chooses the cases whose place has a value of its own in a message.
func breaks(s *model.Schema, c payload.Case) bool {
	if !slices.Contains(expressible, c.Constraint) {
		return false
	}
	v, required := place(s, c.Value, c.Where)
	return required || !zero(v)
}

// zero reports whether a message cannot tell the value from one that is absent.
func zero(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case string:
		return x == ""
	case float64:
		return x == 0
	case bool:
		return !x
	case []any:
		return len(x) == 0
	}
	return false
}

// place returns the value at a JSON pointer, and whether all objects on the way
// require what leads to it.
func place(s *model.Schema, v any, pointer string) (value any, required bool) {
	required = true
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if pointer == "" {
			break
		}
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		s = s.Resolved()
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
			if s != nil {
				required = slices.Contains(s.Required, name)
				s = s.Properties[name]
			}
		case []any:
			if len(x) > 0 {
				v = x[0]
			}
			if s != nil {
				s = s.Items
			}
		}
	}
	return v, required
}

// cases are the violations of a method's attributes over HTTP: of the body, and of
// each parameter, under its name.
func cases(p *payload.Maker, m method) map[string][]payload.Case {
	all := map[string][]payload.Case{}
	if body := m.Body.Resolved(); body != nil && len(body.Properties) > 0 {
		for _, c := range p.Violations(body) {
			if breaks(body, c) {
				all[""] = append(all[""], c)
			}
		}
	}
	for _, param := range m.Parameters {
		for _, c := range p.Violations(param.Schema) {
			if c.Where == "" && slices.Contains(expressible, c.Constraint) && (param.Required || !zero(c.Value)) {
				all[param.Name] = append(all[param.Name], c)
			}
		}
	}
	return all
}

// broken returns messages that break one constraint each.
func (k *call) broken(ctx context.Context) ([]violation, error) {
	m := k.t.Method
	if !constrained(m) {
		return nil, nil
	}
	d, err := k.Method(ctx, m)
	if err != nil {
		return nil, err
	}
	v, err := k.Values(ctx, m)
	if err != nil {
		return nil, err
	}
	valid, ok := v.(map[string]any)
	if !ok {
		return nil, nil
	}
	var all []violation
	add := func(c payload.Case, at string, values map[string]any) {
		if message, err := k.Message(ctx, m, values); err == nil { // else no message can hold it
			all = append(all, violation{fmt.Sprintf("%s broken at %s", c.Constraint, at), rpc.Encode(message)})
		}
	}
	found := cases(k.t.Payload, m)
	for _, name := range slices.Sorted(maps.Keys(found)) {
		for _, c := range found[name] {
			values := maps.Clone(valid)
			if name != "" {
				if rpc.Field(d.Input(), name) != nil { // else the message calls it something else
					values[name] = c.Value
					add(c, name, values)
				}
				continue
			}
			object, ok := c.Value.(map[string]any)
			if !ok {
				continue
			}
			maps.Copy(values, object)
			add(c, c.Where, values)
		}
	}
	return all, nil
}

// constrained chooses the methods whose one message has constraints, as far as
// HTTP tells of them.
func constrained(m method) bool {
	return called(m) && !m.GRPC.ClientStream && m.HTTP() && len(cases(payload.New(0), m)) > 0
}

var rpcConstraint = probe.Probe{
	Probe: describe(finding.Input, "grpc.constraint", "Is every broken constraint of the design refused with INVALID_ARGUMENT?",
		"What is validated over HTTP alone comes in by the other door.",
		"Let Goa's generated validation run for gRPC too, and map its errors to INVALID_ARGUMENT.",
		"gRPC status codes", "CWE-20", "OWASP API8:2023"),
	Each: constrained,
	Run: with(func(ctx context.Context, k *call) finding.Outcome {
		all, err := k.broken(ctx)
		if err != nil {
			return probe.Skip("%v", err)
		}
		for _, v := range all {
			k.message = v.message
			if o := k.refused(ctx, codes.InvalidArgument); o.Verdict != finding.Pass {
				o.Detail = v.name + ": " + o.Detail
				return o
			}
		}
		return probe.Pass("%d constraints, each INVALID_ARGUMENT", len(all))
	}),
}
