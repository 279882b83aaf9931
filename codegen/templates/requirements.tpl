{{- define "requirements" }}
{{- with . }}
Requirements: []policy.Requirement{
	{{- range . }}
	{Schemes: []policy.Use{ {{- range $i, $u := .Schemes }}{{ if $i }}, {{ end }}{Scheme: {{ quote .Scheme }}, In: {{ printf "%q" .In }}, Name: {{ quote .Name }}
	{{- with .Password }}, Password: {{ quote . }}{{ end }}}{{ end -}} }
	{{- with .Scopes }}, Scopes: {{ printf "%#v" . }}{{ end }}},
	{{- end }}
},
{{- end }}
{{- end }}
