{{- if .Secured }}
type (
	{{ .VarName }}Service = {{ .Package }}.Service
	{{ .VarName }}Auther  = {{ .Package }}.Auther
)
{{- end }}

func mount{{ .GoName }}(h *aguada.HTTP, s *Services) error {
{{- range .Fields }}{{ if .Required }}
	if s.{{ .Name }} == nil {
		return aguada.Missing("Services.{{ .Name }}", {{ quote $.Name }})
	}
{{- end }}{{ end }}
{{- if .Secured }}
	var a {{ .Package }}.Auther = auther{}
	if s.{{ .GoName }}Auther != nil {
		a = s.{{ .GoName }}Auther
		h.OwnAuther({{ quote .Name }})
	}
	e := {{ .Package }}.NewEndpoints(struct {
		{{ .VarName }}Service
		{{ .VarName }}Auther
	}{s.{{ .GoName }}, a}{{ if .Interceptors }}, s.{{ .GoName }}Interceptors{{ end }})
{{- else }}
	e := {{ .Package }}.NewEndpoints({{ if .HasMethods }}s.{{ .GoName }}{{ else }}nil{{ end }}{{ if .Interceptors }}, s.{{ .GoName }}Interceptors{{ end }})
{{- end }}
{{- range .Endpoints }}
	e.{{ .Field }} = h.Endpoint({{ quote $.Name }}, {{ quote .Name }}, e.{{ .Field }})
{{- end }}
{{- template "bodies" . }}
{{- if .Server }}
	{{ .Server }}.Mount(h, {{ .Server }}.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter{{ range .Args }}, {{ . }}{{ end }}))
{{- end }}
{{- with .GRPC }}
	{{ .Messages }}.{{ .Register }}(h.GRPC(), {{ .Server }}.{{ .Init }}(e{{ range .Args }}, {{ . }}{{ end }}))
{{- end }}
{{- template "remote" . }}
	return nil
}
