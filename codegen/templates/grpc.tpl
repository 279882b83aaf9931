{{- define "grpc" }}
{{- with . }}
GRPC: &policy.GRPC{
	Method: {{ quote .Method }},
	{{- if .ClientStream }}
	ClientStream: true,{{ end }}
	{{- if .ServerStream }}
	ServerStream: true,{{ end }}
	{{- template "requirements" .Requirements }}
},
{{- end }}
{{- end }}
