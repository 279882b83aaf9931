package codegen

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/service"
	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/policy"
)

// sources is what a Design is built from.
type sources struct {
	root   *goaexpr.RootExpr
	genpkg string
	// http is the data of the HTTP servers about to be rendered, by service
	// name: what other plugins added is in it.
	http map[string]*httpcodegen.ServiceData
	grpc map[string]*grpcService
	// jsonrpc is the data of the JSON-RPC servers.
	jsonrpc map[string]*httpcodegen.ServiceData
	names   *names
}

// newDesign builds the Design of root from files, the files about to be
// rendered; out is the output folder, empty if unknown.
func newDesign(genpkg string, root *goaexpr.RootExpr, files []*goacodegen.File, out string) (*Design, error) {
	dir, pkg, err := productionPackage(files)
	if err != nil {
		return nil, err
	}
	src := &sources{root: root, genpkg: genpkg, http: httpServices(files), grpc: grpcServices(files), jsonrpc: jsonrpcServices(files), names: newNames()}
	d := &Design{Package: pkg, Dir: dir, Contract: &policy.Contract{
		SchemaURI: SchemaURI,
		Generator: "aguada " + Version,
		API:       policy.API{Name: root.API.Name, Title: root.API.Title, Version: root.API.Version},
		Source:    designSource(root, out),
		Schemes:   []policy.Scheme{},
		Services:  []policy.Service{},
	}}
	var errs []error
	for _, s := range root.Services {
		contract, err := src.contract(s)
		errs = append(errs, err)
		if len(contract.Methods) > 0 {
			d.Contract.Services = append(d.Contract.Services, contract)
		}
		if sd := src.data(s); sd != nil {
			svc, err := src.service(s, sd)
			errs = append(errs, err)
			d.add(svc, sd)
		}
	}
	mergePreflights(d.Contract)
	errs = append(errs, checkRoutes(d.Contract), checkMethods(d.Contract), checkJSONRPC(d.Contract), checkPreflights(d.Contract), checkFields(d.Services))
	d.Contract.Schemes = usedSchemes(root, d.Contract)
	d.Imports = src.names.imports
	slices.Sort(d.AuthKinds)
	return d, errors.Join(errs...)
}

// data returns the data of a service that is mounted, nil for others.
func (src *sources) data(s *goaexpr.ServiceExpr) *service.Data {
	if data := src.http[s.Name]; data != nil {
		return data.Service
	}
	if data := src.grpc[s.Name]; data != nil {
		return data.Service
	}
	if data := src.jsonrpc[s.Name]; data != nil {
		return data.Service
	}
	return nil
}

func (d *Design) add(svc Service, sd *service.Data) {
	d.Services = append(d.Services, svc)
	for _, s := range sd.Schemes.DedupeByType() {
		if !slices.Contains(d.AuthKinds, s.Type) {
			d.AuthKinds = append(d.AuthKinds, s.Type)
		}
	}
}

// productionPackage returns the folder and the name of the generated package:
// gen/production, unless the design has a service or a package of that name.
func productionPackage(files []*goacodegen.File) (dir, pkg string, err error) {
	for _, pkg := range []string{"production", "productionapp"} {
		dir := path.Join(goacodegen.Gendir, pkg)
		if !slices.ContainsFunc(files, func(f *goacodegen.File) bool { return path.Dir(filepath.ToSlash(f.Path)) == dir }) {
			return dir, pkg, nil
		}
	}
	return "", "", errors.New("the design has packages named both production and productionapp, which leaves no place for Aguada's: rename one of them")
}

// httpServices returns the data of the HTTP servers that have something to
// serve.
func httpServices(files []*goacodegen.File) map[string]*httpcodegen.ServiceData {
	services := make(map[string]*httpcodegen.ServiceData)
	for _, f := range files {
		if !strings.HasPrefix(filepath.ToSlash(f.Path), goacodegen.Gendir+"/http/") {
			continue
		}
		for _, section := range f.Section("server-struct") {
			data, ok := section.Data.(*httpcodegen.ServiceData)
			if ok && len(data.Endpoints)+len(data.FileServers) > 0 {
				services[data.Service.Name] = data
			}
		}
	}
	return services
}

// service returns how s is built and mounted.
func (src *sources) service(s *goaexpr.ServiceExpr, sd *service.Data) (Service, error) {
	svc := Service{
		Name: sd.Name, GoName: sd.StructName, VarName: sd.VarName,
		HasMethods:   len(sd.Methods) > 0,
		Secured:      len(sd.Schemes) > 0,
		Interceptors: len(sd.ServerInterceptors) > 0,
	}
	svc.Package = src.names.add(sd.PkgName, src.genpkg+"/"+sd.PathName)
	data := src.http[s.Name]
	if data == nil {
		data = new(httpcodegen.ServiceData)
	} else {
		svc.Server = src.names.add(sd.PkgName+"svr", src.genpkg+"/http/"+sd.PathName+"/server")
	}
	if g := src.grpc[s.Name]; g != nil {
		svc.GRPC = src.registration(g)
	}
	rpc := src.jsonrpc[s.Name]
	if rpc == nil {
		rpc = new(httpcodegen.ServiceData)
	} else {
		svc.Remote = src.remote(rpc)
	}
	svc.declare(data)
	calls := func(e *httpcodegen.EndpointData) bool { return isDesigned(sd, e) && e.Redirect == nil }
	for _, m := range s.Methods {
		overHTTP := slices.ContainsFunc(data.Endpoints, func(e *httpcodegen.EndpointData) bool { return e.Method.Name == m.Name && calls(e) })
		if overHTTP || grpcEndpoint(src.root, m) != nil || jsonrpcEndpoint(src.root, m) != nil {
			svc.Endpoints = append(svc.Endpoints, Endpoint{Name: m.Name, Field: sd.Method(m.Name).VarName})
		}
	}
	var errs []error
	for _, e := range data.Endpoints {
		if !calls(e) {
			continue
		}
		errs = append(errs, src.addLate(&svc, s.Method(e.Method.Name), e))
		if bodies := src.errorBodies(svc.Server, svc, sd, e); len(bodies) > 0 {
			svc.ErrorBodies = append(svc.ErrorBodies, ErrorBodies{Name: e.Method.Name, Bodies: bodies})
		}
	}
	for _, e := range rpc.Endpoints {
		errs = append(errs, src.addLate(&svc, s.Method(e.Method.Name), e))
		if bodies := src.errorBodies(svc.Remote.Server, svc, sd, e); len(bodies) > 0 {
			svc.Remote.ErrorBodies = append(svc.Remote.ErrorBodies, ErrorBodies{Name: e.Method.Name, Bodies: bodies})
		}
	}
	return svc, errors.Join(errs...)
}

// declare adds the fields that the user fills in, and the arguments of the
// server's New that they are for. The order of the arguments is that of Goa's
// template server_init.
func (s *Service) declare(data *httpcodegen.ServiceData) {
	field := func(name, typ, doc string, required bool) {
		s.Fields = append(s.Fields, Field{Name: s.GoName + name, Type: typ, Doc: doc, Required: required})
	}
	arg := func(name string) { s.Args = append(s.Args, "s."+s.GoName+name) }
	if s.HasMethods {
		field("", s.Package+".Service", "", true)
	}
	if s.Secured {
		field("Auther", s.Package+".Auther", "replaces Aguada's authentication of the service; nil keeps it.", false)
	}
	if s.Interceptors {
		field("Interceptors", s.Package+".ServerInterceptors", "are the service's server interceptors.", s.HasMethods)
	}
	if httpcodegen.HasWebSocket(data) {
		field("ConnConfigurer", "*"+s.Server+".ConnConfigurer", "configures WebSocket connections; it may be nil.", false)
		s.Args = append(s.Args, "h.Upgrader()")
		arg("ConnConfigurer")
	}
	if s.Remote != nil && s.Remote.WebSocket {
		field("RPCConnConfigurer", "goahttp.ConnConfigureFunc", "configures the WebSocket connections of JSON-RPC; it may be nil.", false)
	}
	for _, e := range data.Endpoints {
		if d := e.MultipartRequestDecoder; d != nil {
			field(e.Method.VarName+"Decoder", s.Server+"."+d.FuncName, "reads the multipart requests of "+e.Method.Name+".", true)
			arg(e.Method.VarName + "Decoder")
		}
	}
	for _, f := range data.FileServers {
		if f.Redirect != nil {
			s.Args = append(s.Args, "nil")
			continue
		}
		name := "FileSystem" + strings.TrimPrefix(f.ArgName, "fileSystem")
		field(name, "http.FileSystem", "holds "+strconv.Quote(f.FilePath)+"; nil means the working directory.", false)
		arg(name)
	}
}

// isDesigned reports whether e is a method of the design, rather than an
// endpoint that another plugin added.
func isDesigned(sd *service.Data, e *httpcodegen.EndpointData) bool {
	return slices.Contains(sd.Methods, e.Method)
}

// checkFields refuses two fields of Services with one name.
func checkFields(services []Service) error {
	var errs []error
	owners := make(map[string]string)
	for _, s := range services {
		for _, f := range s.Fields {
			if other, ok := owners[f.Name]; ok {
				errs = append(errs, fmt.Errorf("services %q and %q both need a field %s in production.Services: rename one of the services", other, s.Name, f.Name))
			}
			owners[f.Name] = s.Name
		}
	}
	return errors.Join(errs...)
}

// names chooses import names that clash neither with each other nor with what
// the templates declare.
type names struct {
	taken   map[string]bool
	imports []Import
}

func newNames() *names {
	n := &names{taken: make(map[string]bool)}
	for _, name := range []string{
		"aguada", "policy", "context", "http", "security", "errors", "time", "json", "jsonrpc", "goa", "goahttp", // imports
		"production", "productionapp", "contract", "mount", "auther", "build", // declarations
		"ctx", "rt", "h", "s", "e", "srv", "err", "r", "req", "scheme", "stream", "p", "ok", // parameters and variables
	} {
		n.taken[name] = true
	}
	return n
}

// named returns the import name of a package that may be imported already.
func (n *names) named(name, importPath string) string {
	for _, i := range n.imports {
		if i.Path == importPath {
			return i.Name
		}
	}
	return n.add(name, importPath)
}

func (n *names) add(name, importPath string) string {
	unique := name
	for i := 2; n.taken[unique]; i++ {
		unique = name + strconv.Itoa(i)
	}
	n.taken[unique] = true
	n.imports = append(n.imports, Import{Name: unique, Path: importPath})
	return unique
}

// usedSchemes returns the schemes that the contract's methods use, sorted by
// name.
func usedSchemes(root *goaexpr.RootExpr, c *policy.Contract) []policy.Scheme {
	used := make(map[string]bool)
	use := func(reqs []policy.Requirement) {
		for _, r := range reqs {
			for _, u := range r.Schemes {
				used[u.Scheme] = true
			}
		}
	}
	for _, s := range c.Services {
		for _, m := range s.Methods {
			use(m.Requirements)
			if m.GRPC != nil {
				use(m.GRPC.Requirements)
			}
			if m.JSONRPC != nil {
				use(m.JSONRPC.Requirements)
			}
		}
	}
	schemes := []policy.Scheme{}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		i := slices.IndexFunc(root.Schemes, func(s *goaexpr.SchemeExpr) bool { return s.SchemeName == name })
		if i >= 0 {
			schemes = append(schemes, newScheme(root.Schemes[i]))
		}
	}
	return schemes
}
