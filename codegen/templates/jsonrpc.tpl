{{- define "jsonrpc" }}
{{- with . }}
JSONRPC: &policy.JSONRPC{
	Method: {{ quote .Method }}, Route: policy.Route{Verb: {{ quote .Route.Verb }}, Pattern: {{ quote .Route.Pattern }}}, Kind: {{ printf "%q" .Kind }},
	{{- template "requirements" .Requirements }}
	{{- if .HasParams }}
	HasParams: true,{{ end }}
	{{- with .RequestHeaders }}
	RequestHeaders: {{ printf "%#v" . }},{{ end }}
	{{- with .Errors }}
	Errors: {{ printf "%#v" . }},{{ end }}
},
{{- end }}
{{- end }}
