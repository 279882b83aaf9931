package expr

import (
	"slices"
	"strconv"
	"strings"

	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"
)

// SensitiveKey is the meta key of an attribute marked by Sensitive. Its values
// are the file and the line of the call. Goa copies meta whenever it copies an
// attribute, so the mark follows the attribute into derived types, views and
// transport types.
const SensitiveKey = "aguada:sensitive"

// Meta keys of the attributes that Goa's security functions declare: Password,
// Token, APIKey, AccessToken and BearerToken are "security:" and a word of
// their own. A user name is not a secret.
const (
	securityPrefix = "security:"
	usernameKey    = "security:username"
)

// MarkSensitive marks att at p. Marking it again changes nothing: Goa runs some
// DSL functions twice, and copies marks under Reference and Extend.
func (r *RootExpr) MarkSensitive(att *goaexpr.AttributeExpr, p Pos) {
	if _, ok := att.Meta[SensitiveKey]; ok {
		return
	}
	r.marks = append(r.marks, p)
	mark(att, p)
	// Goa drops the attribute that the function given to MapOf runs in, and
	// keeps the map.
	if m, ok := att.Type.(*goaexpr.Map); ok {
		mark(m.ElemType, p)
	}
}

func mark(att *goaexpr.AttributeExpr, p Pos) {
	if _, ok := att.Meta[SensitiveKey]; ok {
		return
	}
	att.AddMeta(SensitiveKey, p.File, strconv.Itoa(p.Line))
}

// IsSensitive reports whether values of att must not be shown: the attribute
// is marked by Sensitive, or holds a credential (Goa's Password, Token,
// APIKey, AccessToken, BearerToken; not Username), or its type is marked.
//
// An array, a map or a union is sensitive as a whole when what it directly
// holds is: its elements, its keys or values, any of its alternatives. An
// object is not: its attributes are asked one by one.
func IsSensitive(att *goaexpr.AttributeExpr) bool {
	_, ok := findMark(att, true, nil)
	return ok
}

// findMark looks for what makes att sensitive; goas says whether Goa's
// security attributes count.
func findMark(att *goaexpr.AttributeExpr, goas bool, seen []goaexpr.UserType) (Pos, bool) {
	if att == nil {
		return Pos{}, false
	}
	if v, ok := att.Meta[SensitiveKey]; ok {
		return markPos(v), true
	}
	if goas && holdsCredential(att) {
		return Pos{}, true
	}
	switch t := att.Type.(type) {
	case goaexpr.UserType:
		if slices.Contains(seen, t) {
			return Pos{}, false
		}
		return findMark(t.Attribute(), goas, append(seen, t))
	case *goaexpr.Array:
		return findMark(t.ElemType, goas, seen)
	case *goaexpr.Map:
		if p, ok := findMark(t.KeyType, goas, seen); ok {
			return p, true
		}
		return findMark(t.ElemType, goas, seen)
	case *goaexpr.Union:
		for _, alt := range t.Values {
			if p, ok := findMark(alt.Attribute, goas, seen); ok {
				return p, true
			}
		}
	}
	return Pos{}, false
}

func holdsCredential(att *goaexpr.AttributeExpr) bool {
	for key := range att.Meta {
		if strings.HasPrefix(key, securityPrefix) && key != usernameKey {
			return true
		}
	}
	return false
}

// markPos reads the values of a mark. A mark written by hand with Goa's Meta
// has no place.
func markPos(values []string) Pos {
	if len(values) < 2 {
		return Pos{}
	}
	line, err := strconv.Atoi(values[1])
	if err != nil {
		return Pos{}
	}
	return Pos{File: values[0], Line: line}
}

// Prepare copies marks down from referenced types. An attribute declared under
// Reference takes over the meta of the referenced attribute only if the
// referenced type happens to be declared first; a secret must not depend on
// that.
func (r *RootExpr) Prepare() {
	// A referenced attribute may itself be waiting for its mark.
	for changed := true; changed; {
		changed = false
		walkDesign(func(att *goaexpr.AttributeExpr) {
			for _, ref := range att.References {
				changed = inherit(att, ref) || changed
			}
		})
	}
}

// inherit copies the marks of the object type ref down to att, and reports
// whether there were any to copy.
func inherit(att *goaexpr.AttributeExpr, ref goaexpr.DataType) bool {
	changed := false
	eachPair(att, ref, func(_ string, own, referenced *goaexpr.AttributeExpr) {
		if IsSensitive(own) {
			return
		}
		if p, ok := findMark(referenced, true, nil); ok {
			mark(own, p)
			changed = true
		} else if _, ok := own.Type.(*goaexpr.Object); ok {
			changed = inherit(own, referenced.Type) || changed
		}
	})
	return changed
}

// Validate checks what only a whole design shows: marks that have no effect,
// payloads, results and errors that are secret as a whole, credentials for
// pages of no origin or of any, arguments that nothing takes, rate limits by a
// caller who is not known, bounds of streams where there are none, and
// idempotency keys of methods that cannot have one. It records its errors
// itself, since Goa knows no line for those that Validate returns; it always
// returns nil.
func (r *RootExpr) Validate() error {
	r.validateWholes()
	r.validateExtended()
	r.validateMarks()
	r.validateCORS()
	r.validateArguments()
	r.validateRateLimits()
	r.validateTraffic()
	return nil
}

func (r *RootExpr) validateWholes() {
	check := func(owner eval.Expression, what string, att *goaexpr.AttributeExpr) {
		if p, ok := findMark(att, false, nil); ok {
			p.Report("Sensitive in %s: the whole %s cannot be sensitive; make it an object and mark the attributes that hold the secret", owner.EvalName(), what)
		}
	}
	checkErrors := func(owner eval.Expression, errs []*goaexpr.ErrorExpr) {
		for _, e := range errs {
			check(owner, "error "+strconv.Quote(e.Name), e.AttributeExpr)
		}
	}
	if goaexpr.Root.API != nil {
		checkErrors(goaexpr.Root.API, goaexpr.Root.Errors)
	}
	for _, s := range goaexpr.Root.Services {
		checkErrors(s, s.Errors)
		for _, m := range s.Methods {
			check(m, "payload", m.Payload)
			check(m, "streaming payload", m.StreamingPayload)
			check(m, "result", m.Result)
			if m.StreamingResult != m.Result {
				check(m, "streaming result", m.StreamingResult)
			}
			checkErrors(m, m.Errors)
		}
	}
}

// validateExtended refuses a mark that Extend undoes: Goa replaces an attribute
// by the one of the same name in the extended type.
func (r *RootExpr) validateExtended() {
	walkDesign(func(att *goaexpr.AttributeExpr) {
		for _, base := range att.Bases {
			eachPair(att, base, func(name string, own, extended *goaexpr.AttributeExpr) {
				if p, ok := findMark(own, false, nil); ok && !IsSensitive(extended) {
					p.Report("Sensitive in attribute %q has no effect: Extend replaces the attribute by that of type %q; call Sensitive there", name, base.Name())
				}
			})
		}
	})
}

// validateMarks refuses a mark that reaches no type of the design.
func (r *RootExpr) validateMarks() {
	reached := make(map[Pos]bool)
	walkDesign(func(att *goaexpr.AttributeExpr) {
		if v, ok := att.Meta[SensitiveKey]; ok {
			reached[markPos(v)] = true
		}
	})
	for _, p := range r.marks {
		if !reached[p] {
			reached[p] = true // once per place
			p.Report("Sensitive has no effect here: mark the attribute where a Type, ResultType, Payload, Result or Error declares it, not in a View")
		}
	}
}

// eachPair calls do for the attributes that both the object att and the object
// type other declare.
func eachPair(att *goaexpr.AttributeExpr, other goaexpr.DataType, do func(name string, own, others *goaexpr.AttributeExpr)) {
	own, others := goaexpr.AsObject(att.Type), goaexpr.AsObject(other)
	if own == nil || others == nil {
		return
	}
	for _, nat := range *own {
		if o := others.Attribute(nat.Name); o != nil {
			do(nat.Name, nat.Attribute, o)
		}
	}
}

// walkDesign calls do once for every attribute of the design's types, payloads,
// results and errors, however deep.
func walkDesign(do func(*goaexpr.AttributeExpr)) {
	seen := make(map[*goaexpr.AttributeExpr]bool)
	root := goaexpr.Root
	for _, t := range root.Types {
		walk(t.Attribute(), seen, do)
	}
	for _, t := range root.ResultTypes {
		walk(t.Attribute(), seen, do)
	}
	walkErrors := func(errs []*goaexpr.ErrorExpr) {
		for _, e := range errs {
			walk(e.AttributeExpr, seen, do)
		}
	}
	walkErrors(root.Errors)
	for _, s := range root.Services {
		walkErrors(s.Errors)
		for _, m := range s.Methods {
			for _, att := range []*goaexpr.AttributeExpr{m.Payload, m.StreamingPayload, m.Result, m.StreamingResult} {
				walk(att, seen, do)
			}
			walkErrors(m.Errors)
		}
	}
}

func walk(att *goaexpr.AttributeExpr, seen map[*goaexpr.AttributeExpr]bool, do func(*goaexpr.AttributeExpr)) {
	if att == nil || seen[att] {
		return
	}
	seen[att] = true
	do(att)
	walkType(att.Type, seen, do)
	for _, t := range att.Bases {
		walkType(t, seen, do)
	}
	for _, t := range att.References {
		walkType(t, seen, do)
	}
}

func walkType(t goaexpr.DataType, seen map[*goaexpr.AttributeExpr]bool, do func(*goaexpr.AttributeExpr)) {
	switch t := t.(type) {
	case goaexpr.UserType:
		walk(t.Attribute(), seen, do)
	case *goaexpr.Object:
		for _, nat := range *t {
			walk(nat.Attribute, seen, do)
		}
	case *goaexpr.Array:
		walk(t.ElemType, seen, do)
	case *goaexpr.Map:
		walk(t.KeyType, seen, do)
		walk(t.ElemType, seen, do)
	case *goaexpr.Union:
		for _, alt := range t.Values {
			walk(alt.Attribute, seen, do)
		}
	}
}
