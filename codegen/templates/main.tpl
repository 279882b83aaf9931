func main() {
	aguada.Main({{ .Production }}.App(func(ctx context.Context, rt *aguada.Runtime) (*{{ .Production }}.Services, error) {
	{{- if .DependsOn }}
		// The design depends on these: replace the checks by real ones.
		{{- range .DependsOn }}
		rt.Check({{ quote . }}, func(context.Context) error { return errors.New("not implemented") })
		{{- end }}
	{{- end }}
		return &{{ .Production }}.Services{
		{{- range .Fields }}
			{{ .Name }}: {{ .Value }},
		{{- end }}
		}, nil
	}))
}
