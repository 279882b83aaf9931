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
{{- range .Late }}
	h.Late({{ quote $.Name }}, {{ quote .Name }}, func(req any, scheme string) (aguada.Credential, bool) {
		p, ok := req.({{ .Request }})
		if !ok || p == nil{{ if .Payload }} || p{{ .Payload }} == nil{{ end }} {
			return aguada.Credential{}, false
		}
		{{- $payload := .Payload }}
		switch {
		{{- range .Credentials }}
		case scheme == {{ quote .Scheme }} && p{{ $payload }}.{{ .Field }} != {{ if .Pointer }}nil{{ else }}""{{ end }}:
			return aguada.Credential{Token: string({{ if .Pointer }}*{{ end }}p{{ $payload }}.{{ .Field }})}, true
		{{- end }}
		}
		return aguada.Credential{}, false
	})
{{- end }}
{{- range .ErrorBodies }}
	h.ErrorBody({{ quote $.Name }}, {{ quote .Name }}, func(err error) any {
	{{- range .Bodies }}
		if e, ok := errors.AsType[{{ .Type }}](err); ok && e.GoaErrorName() == {{ quote .Error }} {
			return {{ .Init }}({{ .Arg }})
		}
	{{- end }}
		return nil
	})
{{- end }}
	{{ .Server }}.Mount(h, {{ .Server }}.New(e, h, h.Decoder, h.Encoder, h.ErrorHandler, h.Formatter{{ range .Args }}, {{ . }}{{ end }}))
	return nil
}
