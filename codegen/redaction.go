package codegen

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/service"
	goaexpr "goa.design/goa/v3/expr"

	"github.com/aguada-dev/aguada/expr"
)

// wholeValue is redact.All.
const wholeValue = "*"

// redactionFiles returns a redaction.go for every package that declares types
// which hold something sensitive. The types are found in the sections of the
// files about to be rendered, under the names that Goa gave them.
//
// The HTTP body types are left alone: only generated code sees them, between
// our decoder and the payload, and our encoder and the result.
//
// The warnings name the types that fmt shows all the same.
func redactionFiles(root *goaexpr.RootExpr, files []*goacodegen.File) (out []*goacodegen.File, warnings []string, err error) {
	r := &redactor{
		methods:  make(map[*service.MethodData]*goaexpr.MethodExpr),
		packages: make(map[string]*Redaction),
		printed:  printedTypes(root),
	}
	for _, f := range files {
		for _, section := range f.Section("service") {
			if data, ok := section.Data.(*service.Data); ok {
				r.index(root, data)
			}
		}
	}
	rendered := make(map[string]map[string]bool)
	for _, f := range files {
		// Of files with one path Goa renders the first whole, and of the others
		// the sections with other names.
		names := make(map[string]bool)
		maps.Copy(names, rendered[f.Path])
		for _, section := range f.SectionTemplates {
			if !rendered[f.Path][section.Name] {
				r.section(f, section)
			}
			names[section.Name] = true
		}
		rendered[f.Path] = names
	}
	for _, dir := range slices.Sorted(maps.Keys(r.packages)) {
		out = append(out, redactionFile(r.packages[dir]))
	}
	slices.Sort(r.warnings)
	return out, slices.Compact(r.warnings), errors.Join(r.errs...)
}

func redactionFile(p *Redaction) *goacodegen.File {
	slices.SortFunc(p.Types, func(a, b RedactedType) int { return cmp.Compare(a.Name, b.Name) })
	sections := []*goacodegen.SectionTemplate{goacodegen.Header("Redaction", p.Package, []*goacodegen.ImportSpec{
		{Path: "fmt"}, {Path: "log/slog"}, {Path: modulePath + "/redact"},
	})}
	for _, t := range p.Types {
		sections = append(sections, section("redaction", "aguada-redaction-"+t.Name, t))
	}
	return &goacodegen.File{Path: filepath.FromSlash(path.Join(p.Dir, "redaction.go")), SectionTemplates: sections}
}

// redactor collects the types to redact.
type redactor struct {
	methods  map[*service.MethodData]*goaexpr.MethodExpr
	unions   []*goaexpr.Union
	packages map[string]*Redaction
	printed  map[string]bool // by type ID: Goa's code prints values into requests
	warnings []string
	errs     []error
}

// index remembers what sections do not say: the design's method behind Goa's
// data, and the unions that a service uses.
func (r *redactor) index(root *goaexpr.RootExpr, data *service.Data) {
	svc := root.Service(data.Name)
	if svc == nil {
		return
	}
	seen := make(map[string]bool)
	for _, m := range svc.Methods {
		if md := data.Method(m.Name); md != nil {
			r.methods[md] = m
		}
		for _, att := range []*goaexpr.AttributeExpr{m.Payload, m.StreamingPayload, m.Result, m.StreamingResult} {
			r.collectUnions(att, seen)
		}
		for _, e := range m.Errors {
			r.collectUnions(e.AttributeExpr, seen)
		}
	}
}

func (r *redactor) collectUnions(att *goaexpr.AttributeExpr, seen map[string]bool) {
	if att == nil {
		return
	}
	switch t := att.Type.(type) {
	case goaexpr.UserType:
		if !seen[t.ID()] {
			seen[t.ID()] = true
			r.collectUnions(t.Attribute(), seen)
		}
	case *goaexpr.Object:
		for _, nat := range *t {
			r.collectUnions(nat.Attribute, seen)
		}
	case *goaexpr.Array:
		r.collectUnions(t.ElemType, seen)
	case *goaexpr.Map:
		r.collectUnions(t.KeyType, seen)
		r.collectUnions(t.ElemType, seen)
	case *goaexpr.Union:
		r.unions = append(r.unions, t)
		for _, nat := range t.Values {
			r.collectUnions(nat.Attribute, seen)
		}
	}
}

// section adds the type that a section of f declares.
func (r *redactor) section(f *goacodegen.File, s *goacodegen.SectionTemplate) {
	switch data := s.Data.(type) {
	case *service.MethodData:
		m := r.methods[data]
		if m == nil {
			return
		}
		switch s.Name {
		case "service-payload":
			r.add(f, data.Payload, "", m.Payload)
		case "service-streaming-payload":
			r.add(f, data.StreamingPayload, "", m.StreamingPayload)
		case "service-result":
			r.add(f, data.Result, "", m.Result)
		}
	case map[string]any:
		if s.Name == "service-streaming-result" {
			r.streamingResult(f, data["Result"])
		}
	case *service.UserTypeData:
		if slices.Contains([]string{"service-user-type", "error-user-type", "viewed-result-type", "projected-type"}, s.Name) {
			r.add(f, data.VarName, data.Type.ID(), data.Type.Attribute())
		}
	case *service.UnionTypeData:
		if s.Name == "service-union-type" || s.Name == "projected-union-type" {
			r.union(f, data)
		}
	case *service.EndpointMethodData:
		r.endpointInput(f, s.Name, data)
	}
}

func (r *redactor) streamingResult(f *goacodegen.File, name any) {
	for md, m := range r.methods {
		if md.StreamingResult == name && strings.HasPrefix(filepath.ToSlash(f.Path), path.Join(goacodegen.Gendir, goacodegen.SnakeCase(goacodegen.Goify(m.Service.Name, false)))+"/") {
			r.add(f, md.StreamingResult, "", m.StreamingResult)
			return
		}
	}
}

// endpointInput adds the type that wraps a payload and its stream or body.
func (r *redactor) endpointInput(f *goacodegen.File, section string, data *service.EndpointMethodData) {
	m := r.methods[data.MethodData]
	if m == nil || !reveals(m.Payload, nil) {
		return
	}
	switch section {
	case "endpoint-input-struct":
		r.put(f, RedactedType{Name: data.ServerStream.EndpointStruct, Paths: []string{"Stream"}})
	case "request-body-struct":
		r.put(f, RedactedType{Name: data.RequestStruct, Paths: []string{"Body"}})
	}
}

// union adds a union type. Goa's data does not say which union of the design
// it renders, so all that look alike count.
func (r *redactor) union(f *goacodegen.File, data *service.UnionTypeData) {
	t := RedactedType{Name: data.Name}
	found := false
	for _, u := range r.unions {
		if len(u.Values) != len(data.Fields) {
			continue
		}
		alike := true
		for i, nat := range u.Values {
			alike = alike && nat.Name == data.Fields[i].Name
		}
		if !alike {
			continue
		}
		for i, nat := range u.Values {
			found = found || reveals(nat.Attribute, nil)
			if expr.IsSensitive(nat.Attribute) && !slices.Contains(t.Paths, data.Fields[i].FieldName) {
				t.Paths = append(t.Paths, data.Fields[i].FieldName)
			}
		}
	}
	if !found {
		return
	}
	var fields []string
	for _, branch := range data.Fields {
		fields = append(fields, branch.FieldName)
	}
	r.avoid(&t, fields)
	r.put(f, t)
}

// add adds a type by the attribute that it is declared from, if it holds
// something sensitive.
func (r *redactor) add(f *goacodegen.File, name string, id string, att *goaexpr.AttributeExpr) {
	if ut, ok := att.Type.(goaexpr.UserType); ok {
		att, id = ut.Attribute(), ut.ID()
	}
	if !reveals(att, nil) {
		return
	}
	t := RedactedType{Name: name, LogOnly: r.printed[id] && goaexpr.AsObject(att.Type) == nil, Paths: slices.Compact(slices.Sorted(slices.Values(sensitivePaths(att, ""))))}
	var fields []string
	if obj := goaexpr.AsObject(att.Type); obj != nil {
		for _, nat := range *obj {
			fields = append(fields, goacodegen.GoifyAtt(nat.Attribute, nat.Name, true))
		}
	}
	if t.LogOnly {
		r.warnings = append(r.warnings, "type "+name+" is sensitive and carried by a parameter, a header or a cookie: Goa prints it there with fmt, "+
			"which therefore shows bare values of the type; log/slog and the types that hold it mask it")
	}
	r.avoid(&t, fields)
	r.put(f, t)
}

// avoid makes way for fields that take the name of a masking method.
func (r *redactor) avoid(t *RedactedType, fields []string) {
	t.Stringer = slices.Contains(fields, "Format")
	methods := []string{"LogValue"}
	if t.Stringer {
		methods = append(methods, "String", "GoString")
	}
	for _, method := range methods {
		if slices.Contains(fields, method) {
			r.errs = append(r.errs, fmt.Errorf("type %s holds something sensitive and has a field %s, which takes the name of the method that masks it: "+
				"give the attribute another field name with Meta(%q, …)", t.Name, method, "struct:field:name"))
		}
	}
}

func (r *redactor) put(f *goacodegen.File, t RedactedType) {
	dir := path.Dir(filepath.ToSlash(f.Path))
	p := r.packages[dir]
	if p == nil {
		p = &Redaction{Dir: dir, Package: packageName(f)}
		r.packages[dir] = p
	}
	if !slices.ContainsFunc(p.Types, func(other RedactedType) bool { return other.Name == t.Name }) {
		p.Types = append(p.Types, t)
	}
}

// packageName returns the package of f, which its header knows.
func packageName(f *goacodegen.File) string {
	if len(f.SectionTemplates) > 0 {
		if data, ok := f.SectionTemplates[0].Data.(map[string]any); ok {
			if name, ok := data["Pkg"].(string); ok {
				return name
			}
		}
	}
	return path.Base(path.Dir(filepath.ToSlash(f.Path)))
}

// reveals reports whether a value of att shows something sensitive, however
// deep.
func reveals(att *goaexpr.AttributeExpr, seen []string) bool {
	if att == nil {
		return false
	}
	if expr.IsSensitive(att) {
		return true
	}
	switch t := att.Type.(type) {
	case goaexpr.UserType:
		if slices.Contains(seen, t.ID()) {
			return false
		}
		return reveals(t.Attribute(), append(seen, t.ID()))
	case *goaexpr.Object:
		return slices.ContainsFunc(*t, func(nat *goaexpr.NamedAttributeExpr) bool { return reveals(nat.Attribute, seen) })
	case *goaexpr.Array:
		return reveals(t.ElemType, seen)
	case *goaexpr.Map:
		return reveals(t.KeyType, seen) || reveals(t.ElemType, seen)
	case *goaexpr.Union:
		return slices.ContainsFunc(t.Values, func(nat *goaexpr.NamedAttributeExpr) bool { return reveals(nat.Attribute, seen) })
	}
	return false
}

// sensitivePaths returns the paths of what is sensitive in a type declared
// from att. It stops at named types, which mask themselves.
func sensitivePaths(att *goaexpr.AttributeExpr, at string) []string {
	if expr.IsSensitive(att) {
		if at == "" {
			return []string{wholeValue}
		}
		return []string{at}
	}
	switch t := att.Type.(type) {
	case *goaexpr.Object:
		var paths []string
		for _, nat := range *t {
			field := goacodegen.GoifyAtt(nat.Attribute, nat.Name, true)
			if at != "" {
				field = at + "." + field
			}
			paths = append(paths, sensitivePaths(nat.Attribute, field)...)
		}
		return paths
	case *goaexpr.Array:
		return sensitivePaths(t.ElemType, at)
	case *goaexpr.Map:
		return append(sensitivePaths(t.KeyType, at), sensitivePaths(t.ElemType, at)...)
	}
	return nil
}
