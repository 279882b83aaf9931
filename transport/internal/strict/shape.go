package strict

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	goa "goa.design/goa/v3/pkg"
)

// shape is what a strict body may look like where a value of a Go type is
// decoded: made once per type, from the names that encoding/json reads.
type shape struct {
	members map[string]*shape // of an object whose members are named
	elem    *shape            // of an array, or of an object whose members are not
	// Of a union of Goa's: the members that hold its kind and its value, and
	// what the value may be for each kind.
	kind, value string
	branches    map[string]*shape
}

// free is the shape of what the design does not describe.
var free = &shape{}

// shapes holds the shapes of the bodies' types.
var shapes sync.Map // reflect.Type → *shape

// shapeOf returns the shape of what v, a pointer, is decoded from.
func shapeOf(v any) *shape {
	t := reflect.TypeOf(v)
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s, _ := shapes.LoadOrStore(t, makeShape(t, map[reflect.Type]*shape{}))
	return s.(*shape)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// makeShape makes the shape of a type; done holds those that are being made,
// for types that hold themselves.
func makeShape(t reflect.Type, done map[reflect.Type]*shape) *shape {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s := done[t]; s != nil {
		return s
	}
	s := &shape{}
	done[t] = s
	switch pt := reflect.PointerTo(t); {
	case t.Kind() == reflect.Struct && isUnion(pt):
		s.addBranches(t, done)
	case pt.Implements(unmarshaler):
		// decodes itself: any members
	case t.Kind() == reflect.Struct:
		s.members = make(map[string]*shape, t.NumField())
		s.addFields(t, done, nil)
	case t.Kind() == reflect.Map, t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		s.elem = makeShape(t.Elem(), done)
	}
	return s
}

// addFields adds the members that encoding/json decodes into a struct, which
// may be embedded within others.
func (s *shape) addFields(t reflect.Type, done map[reflect.Type]*shape, within []reflect.Type) {
	if slices.Contains(within, t) {
		return
	}
	within = append(within, t)
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() == reflect.Struct {
				s.addFields(embedded, done, within)
				continue
			}
		}
		if !f.IsExported() || f.Tag.Get("json") == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		s.members[name] = makeShape(f.Type, done)
	}
}

// union is what Goa generates for OneOf: a struct of a kind and a field per
// alternative, which decodes itself from an object of two members.
type union interface {
	json.Unmarshaler
	Validate() error
}

var unionType = reflect.TypeFor[union]()

func isUnion(t reflect.Type) bool {
	if t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct || !t.Implements(unionType) {
		return false
	}
	f, ok := t.Elem().FieldByName("kind")
	return ok && f.Type.Kind() == reflect.String && f.Index[0] == 0
}

// addBranches asks a union itself what it is made of: which member holds the
// kind, which kinds there are, and which field each of them fills. A union
// that does not answer like Goa's may hold any members.
func (s *shape) addBranches(t reflect.Type, done map[reflect.Type]*shape) {
	u := reflect.New(t).Interface().(union)
	var e *goa.ServiceError
	if !errors.As(u.Validate(), &e) || e.Name != goa.InvalidEnumValue || e.Field == nil {
		return
	}
	kind, kinds := *e.Field, enumOf(*e.Field, e.Message)
	branches := make(map[string]*shape, len(kinds))
	value := ""
	for _, k := range kinds {
		probe := func(v string) (reflect.Value, error) {
			n := reflect.New(t)
			member := ""
			if v != "" {
				member = "," + strconv.Quote(value) + ":" + v
			}
			return n.Elem(), n.Interface().(union).UnmarshalJSON([]byte("{" + strconv.Quote(kind) + ":" + strconv.Quote(k) + member + "}"))
		}
		if value == "" {
			_, err := probe("")
			if !errors.As(err, &e) || e.Name != goa.MissingField || e.Field == nil {
				return
			}
			value = *e.Field
		}
		for _, v := range []string{"{}", "[]", `"YQ=="`, "1", "true"} {
			if n, err := probe(v); err == nil {
				branches[k] = makeShape(filled(n), done)
				break
			}
		}
		if branches[k] == nil {
			branches[k] = free
		}
	}
	s.kind, s.value, s.branches = kind, value, branches
}

// filled returns the type of the field of a union that holds its value.
func filled(u reflect.Value) reflect.Type {
	for i := 1; i < u.NumField(); i++ {
		if !u.Field(i).IsZero() {
			return u.Field(i).Type()
		}
	}
	return reflect.TypeFor[any]()
}

// enumOf returns the values that an error of Goa's about an enumeration lists.
func enumOf(field, message string) []string {
	list, ok := strings.CutPrefix(message, "value of "+field+" must be one of ")
	if !ok {
		return nil
	}
	var values []string
	for {
		quoted, err := strconv.QuotedPrefix(list)
		if err != nil {
			return values
		}
		text, err := strconv.Unquote(quoted)
		if err != nil {
			return values
		}
		values = append(values, text)
		if list, ok = strings.CutPrefix(list[len(quoted):], ", "); !ok {
			return values
		}
	}
}
