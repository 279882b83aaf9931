{{- define "bodies" }}
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
{{- end }}
