{{- if .AuthKinds }}
// auther is what Goa's endpoints ask. The chassis has verified the credentials
// before; auther only confirms that this is such a call.
type auther struct{}
{{- range .AuthKinds }}

func (auther) {{ . }}Auth(ctx context.Context, _ {{ if eq . "Basic" }}, _ {{ end }}string, _ *security.{{ . }}Scheme) (context.Context, error) {
	return ctx, aguada.Confirm(ctx)
}
{{- end }}
{{- end }}
