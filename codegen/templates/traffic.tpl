{{- define "traffic" }}
{{- with .RateLimits }}
RateLimits: []policy.RateLimit{ {{- range . }}
	{Name: {{ quote .Name }}, Rate: {{ .Rate }}, Per: {{ duration .Per }}, Burst: {{ .Burst }}, Partition: {{ printf "%q" .Partition }}},{{ end }}
},
{{- end }}
{{- with .ShedPriority }}
ShedPriority: {{ printf "%q" . }},
{{- end }}
{{- with .Idempotency }}
Idempotency: &policy.Idempotency{Header: {{ quote .Header }}, Keep: {{ duration .Keep }}
	{{- if .Wait }}, Wait: {{ duration .Wait }}{{ end }}{{ if .Required }}, Required: true{{ end }}
	{{- with .Credentials }}, Credentials: {{ printf "%#v" . }}{{ end }}},
{{- end }}
{{- if .StreamIdle }}
StreamIdle: {{ duration .StreamIdle }},
{{- end }}
{{- with .MessageRate }}
MessageRate: &policy.MessageRate{Rate: {{ .Rate }}, Per: {{ duration .Per }}, Burst: {{ .Burst }}},
{{- end }}
{{- end }}
