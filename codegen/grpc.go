package codegen

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	goaexpr "goa.design/goa/v3/expr"
	grpccodegen "goa.design/goa/v3/grpc/codegen"

	"github.com/aguada-dev/aguada/policy"
)

// grpcService is the data of a gRPC server about to be rendered, and the
// protobuf package of its service.
type grpcService struct {
	*grpccodegen.ServiceData
	protoPackage string
}

// grpcServices returns the gRPC servers that have something to serve, by
// service name.
func grpcServices(files []*goacodegen.File) map[string]*grpcService {
	services := make(map[string]*grpcService)
	for _, f := range files {
		if !strings.HasPrefix(filepath.ToSlash(f.Path), goacodegen.Gendir+"/grpc/") || !strings.HasSuffix(f.Path, ".proto") {
			continue
		}
		var pkg string
		for _, section := range f.Section("proto-start") {
			if data, ok := section.Data.(map[string]any); ok {
				pkg, _ = data["Pkg"].(string)
			}
		}
		for _, section := range f.Section("grpc-service") {
			if data, ok := section.Data.(*grpccodegen.ServiceData); ok && len(data.Endpoints) > 0 {
				services[data.Service.Name] = &grpcService{data, pkg}
			}
		}
	}
	return services
}

// fullName returns the name under which the generated code of a method is
// registered.
func (g *grpcService) fullName(e *grpccodegen.EndpointData) string {
	name := g.Name + "/" + e.Method.VarName
	if g.protoPackage != "" {
		name = g.protoPackage + "." + name
	}
	return name
}

// grpcEndpoint returns the expression of m's gRPC endpoint, nil if it has none.
func grpcEndpoint(root *goaexpr.RootExpr, m *goaexpr.MethodExpr) *goaexpr.GRPCEndpointExpr {
	if s := root.API.GRPC.Service(m.Service.Name); s != nil {
		return s.Endpoint(m.Name)
	}
	return nil
}

// grpcPolicy returns how m is called over gRPC, nil if it is not.
func (src *sources) grpcPolicy(m *goaexpr.MethodExpr) (*policy.GRPC, error) {
	ep := grpcEndpoint(src.root, m)
	if ep == nil {
		return nil, nil
	}
	wrong := func(err error) error {
		return fmt.Errorf("%smethod %s.%s over gRPC: %w", positionOf(ep.DSLFunc, m.DSLFunc), m.Service.Name, m.Name, err)
	}
	data := src.grpc[m.Service.Name]
	var e *grpccodegen.EndpointData
	if data != nil {
		if i := slices.IndexFunc(data.Endpoints, func(e *grpccodegen.EndpointData) bool { return e.Method.Name == m.Name }); i >= 0 {
			e = data.Endpoints[i]
		}
	}
	if e == nil {
		return nil, wrong(errors.New("its endpoint was removed by another plugin"))
	}
	g := &policy.GRPC{
		Method:       data.fullName(e),
		ClientStream: e.Method.StreamKind == goaexpr.ClientStreamKind || e.Method.StreamKind == goaexpr.BidirectionalStreamKind,
		ServerStream: e.Method.StreamKind == goaexpr.ServerStreamKind || e.Method.StreamKind == goaexpr.BidirectionalStreamKind,
	}
	if declaredAccess(m) != policy.Secured {
		return g, nil
	}
	var err error
	g.Requirements, err = requirements(m, ep.Requirements, func(s *goaexpr.SchemeExpr) (policy.Use, error) { return inMetadata(ep, s) })
	if err == nil {
		err = checkKeys(ep, g.Requirements)
	}
	if err != nil {
		return nil, wrong(err)
	}
	return g, nil
}

// inMetadata returns the keys under which the endpoint takes the credential of
// s: those that the design chooses, or else Goa's own.
func inMetadata(ep *goaexpr.GRPCEndpointExpr, s *goaexpr.SchemeExpr) (policy.Use, error) {
	use := policy.Use{Scheme: s.SchemeName, In: policy.InMetadata}
	var err error
	if use.Name, err = metadataKey(ep, s, credentialTag(s)); err == nil && s.Kind == goaexpr.BasicAuthKind {
		use.Password, err = metadataKey(ep, s, passwordTag)
	}
	return use, err
}

// passwordTag is the tag by which Goa knows an attribute as Basic's password.
const passwordTag = "security:password"

// credentialTag is the tag by which Goa knows an attribute as the credential of
// s, for Basic as the user name.
func credentialTag(s *goaexpr.SchemeExpr) string {
	if s.Kind == goaexpr.APIKeyKind {
		return "security:apikey:" + s.SchemeName
	}
	return map[goaexpr.SchemeKind]string{
		goaexpr.BasicAuthKind: "security:username",
		goaexpr.JWTKind:       "security:token",
		goaexpr.OAuth2Kind:    "security:accesstoken",
		goaexpr.BearerKind:    "security:bearer",
	}[s.Kind]
}

// metadataKey returns the key of the attribute with the tag. What is in the
// message is known only when the message is read, which is too late.
func metadataKey(ep *goaexpr.GRPCEndpointExpr, s *goaexpr.SchemeExpr, tag string) (string, error) {
	att := goaexpr.TaggedAttribute(ep.MethodExpr.Payload, tag)
	if att == "" {
		return "", fmt.Errorf("scheme %q: the payload has no attribute for its credential", s.SchemeName)
	}
	name, ok := ep.Metadata.FindKey(att)
	if !ok {
		return "", fmt.Errorf("scheme %q: the design puts its credential, attribute %q, into the message, which is not read before the caller is known: "+
			"take it out of Message, or name it in Metadata", s.SchemeName, att)
	}
	key := strings.ToLower(name)
	if err := checkKey(key); err != nil {
		return "", fmt.Errorf("scheme %q: the credential is in the metadata key %q, which %w: name another one with Metadata(func() { Attribute(%q) })",
			s.SchemeName, name, err, mapped(att, key))
	}
	return key, nil
}

// mapped returns an attribute mapped to a key other than taken, as Metadata has
// it.
func mapped(att, taken string) string {
	key := "x-" + strings.ReplaceAll(goacodegen.SnakeCase(att), "_", "-")
	if key == taken {
		key += "-credential"
	}
	return att + ":" + key
}

// checkKey returns what keeps a text in a key of metadata from its receiver
// (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md).
func checkKey(key string) error {
	switch {
	case strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" || key == "":
		return errors.New("gRPC cannot transmit")
	case strings.HasPrefix(key, "grpc-"), slices.Contains([]string{"content-type", "te", "user-agent", "host", "connection"}, key):
		return errors.New("belongs to gRPC itself")
	case strings.HasSuffix(key, "-bin"):
		return errors.New("is one for binary values")
	}
	return nil
}

// checkKeys refuses two credentials under one key where both are needed. Where
// either will do, the credential's form tells which it is.
func checkKeys(ep *goaexpr.GRPCEndpointExpr, reqs []policy.Requirement) error {
	type owner struct{ scheme, attribute string }
	var errs []error
	for i, r := range reqs {
		owners := make(map[string]owner)
		claim := func(u policy.Use, key, tag string) {
			att := goaexpr.TaggedAttribute(ep.MethodExpr.Payload, tag)
			other, taken := owners[key]
			switch {
			case !taken:
				owners[key] = owner{u.Scheme, att}
			case other.scheme == u.Scheme:
				errs = append(errs, fmt.Errorf("scheme %q has both the user name and the password in the metadata key %q: give each a key of its own with Metadata", u.Scheme, key))
			case other.attribute == att:
				errs = append(errs, fmt.Errorf("schemes %q and %q are both required, and attribute %q, in the metadata key %q, is the one credential of both: require either of them",
					other.scheme, u.Scheme, att, key))
			default:
				errs = append(errs, fmt.Errorf("schemes %q and %q are both required, and both have their credential in the metadata key %q, which holds one: "+
					"give each a key of its own, such as Metadata(func() { Attribute(%q) }), or require either of them", other.scheme, u.Scheme, key, mapped(att, key)))
			}
		}
		for j, u := range r.Schemes {
			claim(u, u.Name, credentialTag(ep.Requirements[i].Schemes[j]))
			if u.Password != "" {
				claim(u, u.Password, passwordTag)
			}
		}
	}
	return errors.Join(errs...)
}

// checkMethods refuses two methods under one name of gRPC's: only one could be
// served.
func checkMethods(c *policy.Contract) error {
	var errs []error
	owners := make(map[string]string)
	for _, s := range c.Services {
		for _, m := range s.Methods {
			if m.GRPC == nil {
				continue
			}
			name := s.Name + "." + m.Name
			if other, taken := owners[m.GRPC.Method]; taken {
				errs = append(errs, fmt.Errorf("gRPC's method %s belongs to both %s and %s: give one of the services another Package", m.GRPC.Method, other, name))
				continue
			}
			owners[m.GRPC.Method] = name
		}
	}
	return errors.Join(errs...)
}

// registration returns how the gRPC server of a service is made and registered.
func (src *sources) registration(g *grpcService) *Registration {
	sd := g.Service
	r := &Registration{
		Server:   src.names.add(sd.PkgName+"grpc", src.genpkg+"/grpc/"+sd.PathName+"/server"),
		Messages: src.names.add(g.PkgName, src.genpkg+"/grpc/"+sd.PathName+"/pb"),
		Register: "Register" + g.ServerInterface,
		Init:     g.ServerInit,
	}
	// The order is that of Goa's template server_init; nil means Goa's handlers.
	for _, has := range []bool{g.HasUnaryEndpoint(), g.HasStreamingEndpoint()} {
		if has {
			r.Args = append(r.Args, "nil")
		}
	}
	return r
}
