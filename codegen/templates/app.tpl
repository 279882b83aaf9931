// The runtime and this file are of one generation: run goa gen again when this
// does not compile.
const _ = aguada.Generated1

// Services is what the application provides.
type Services struct {
{{- range .Services }}
	{{- range .Fields }}
	{{- if .Doc }}
	// {{ .Name }} {{ .Doc }}
	{{- end }}
	{{ .Name }} {{ .Type }}
	{{- end }}
{{- end }}
}

// App returns the application whose services build makes. Build is called once,
// at start-up; what it returns is served under the contract of the design.
func App(build func(context.Context, *aguada.Runtime) (*Services, error)) *aguada.App {
	return aguada.New(contract, func(ctx context.Context, rt *aguada.Runtime, h *aguada.HTTP) error {
		s, err := build(ctx, rt)
		if err != nil {
			return err
		}
		if s == nil {
			return aguada.NoServices()
		}
		return errors.Join(
		{{- range .Services }}
			mount{{ .GoName }}(h, s),
		{{- end }}
		)
	})
}
