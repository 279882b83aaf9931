package codegen

import (
	"os"
	"path"
	"path/filepath"
	"slices"

	goacodegen "goa.design/goa/v3/codegen"
	"goa.design/goa/v3/codegen/example"
	"goa.design/goa/v3/codegen/service"
	"goa.design/goa/v3/eval"
	goaexpr "goa.design/goa/v3/expr"
	httpcodegen "goa.design/goa/v3/http/codegen"

	"github.com/aguada-dev/aguada/expr"
)

// Main is all that the template of the example's main sees.
type Main struct {
	// Production is the import name of the production package.
	Production string
	// Fields are the fields of Services to set, Value as a Go expression.
	Fields []MainField
	// DependsOn are the checks that the design asks for, sorted.
	DependsOn []string
}

// MainField is a field of Services and its value.
type MainField struct{ Name, Value string }

// GenerateExample is the plugin of goa example. Goa's service stubs stay, but
// for their authentication functions; its servers give way to a main that runs
// production.App. A main that exists is kept, as Goa keeps it.
func GenerateExample(genpkg string, roots []eval.Root, files []*goacodegen.File) ([]*goacodegen.File, error) {
	root := goaRoot(roots)
	if root == nil || !serves(root) {
		return files, nil
	}
	var kept []*goacodegen.File
	dirs := make(map[string]bool)
	for _, s := range root.API.Servers {
		dirs[filepath.Join("cmd", example.Servers.Get(s, root).Dir)] = true
	}
	for _, f := range files {
		if dirs[filepath.Dir(f.Path)] {
			continue
		}
		f.SectionTemplates = slices.DeleteFunc(f.SectionTemplates, func(s *goacodegen.SectionTemplate) bool { return s.Name == "security-authfuncs" })
		kept = append(kept, f)
	}
	for dir := range dirs {
		f := mainFile(genpkg, root, filepath.Join(dir, "main.go"))
		if _, err := os.Stat(f.Path); os.IsNotExist(err) {
			kept = append(kept, f)
		}
	}
	return kept, nil
}

func mainFile(genpkg string, root *goaexpr.RootExpr, file string) *goacodegen.File {
	services := service.NewServicesData(root)
	scope := goacodegen.NewNameScope()
	production := "production"
	for _, s := range root.Services {
		data := services.Get(s.Name)
		scope.Unique(data.PkgName)
		if data.PathName == production {
			production = "productionapp"
		}
	}
	rootPath := example.RootPath(genpkg)
	api := example.APIPkg(root, scope)
	interceptors := scope.Unique("interceptors", "ex")
	m := Main{Production: production}
	http := httpcodegen.NewServicesData(services, root.API.HTTP)
	for _, s := range root.Services {
		switch {
		case root.API.HTTP.Service(s.Name) != nil:
			data := http.Get(s.Name)
			m.add(data.Service, data.Endpoints, api, interceptors)
		case root.API.GRPC.Service(s.Name) != nil:
			m.add(services.Get(s.Name), nil, api, interceptors)
		default:
			continue
		}
		for _, name := range expr.Root.DependsOnNames(s) {
			if !slices.Contains(m.DependsOn, name) {
				m.DependsOn = append(m.DependsOn, name)
			}
		}
	}
	slices.Sort(m.DependsOn)
	imports := []*goacodegen.ImportSpec{
		{Path: "context"}, {Path: "errors"}, {Path: modulePath},
		{Path: path.Join(genpkg, production)},
		{Name: api, Path: rootPath}, {Name: interceptors, Path: rootPath + "/interceptors"},
	}
	return &goacodegen.File{Path: file, SkipExist: true, SectionTemplates: []*goacodegen.SectionTemplate{
		goacodegen.Header("", "main", imports), section("main", "aguada-main", m),
	}}
}

// add sets the fields that a service needs to what Goa's example provides.
func (m *Main) add(sd *service.Data, endpoints []*httpcodegen.EndpointData, api, interceptors string) {
	if len(sd.Methods) == 0 {
		return
	}
	m.Fields = append(m.Fields, MainField{sd.StructName, api + ".New" + sd.StructName + "()"})
	if len(sd.ServerInterceptors) > 0 {
		m.Fields = append(m.Fields, MainField{sd.StructName + "Interceptors", interceptors + ".New" + sd.StructName + "ServerInterceptors()"})
	}
	for _, e := range endpoints {
		if d := e.MultipartRequestDecoder; d != nil {
			m.Fields = append(m.Fields, MainField{sd.StructName + e.Method.VarName + "Decoder", api + "." + d.FuncName})
		}
	}
}
