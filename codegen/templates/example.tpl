{{- define "example" }}
{{- with . }}
Example: &policy.Example{
	Verb: {{ quote .Verb }}, Path: {{ quote .Path }}, Status: {{ .Status }},
	{{- with .Header }}
	Header: {{ printf "%#v" . }},{{ end }}
	{{- with .Body }}
	Body: json.RawMessage({{ raw . }}),{{ end }}
},
{{- end }}
{{- end }}
