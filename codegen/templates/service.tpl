
var service{{ .Index }} = policy.Service{
	Name: {{ quote .Name }},
	{{- with .DependsOn }}
	DependsOn: {{ printf "%#v" . }},{{ end }}
	Methods: []policy.Method{
	{{- range .Methods }}
		{
			Service: {{ quote .Service }}, Name: {{ quote .Name }}, Kind: {{ printf "%q" .Kind }},
			Routes: []policy.Route{ {{- range $i, $r := .Routes }}{{ if $i }}, {{ end }}{Verb: {{ quote .Verb }}, Pattern: {{ quote .Pattern }}}{{ end -}} },
			Access: {{ printf "%q" .Access }},
			{{- template "requirements" .Requirements }}
			{{- template "grpc" .GRPC }}
			{{- template "jsonrpc" .JSONRPC }}
			{{- if .Deadline }}
			Deadline: {{ duration .Deadline }},{{ end }}
			MaxBody: {{ .MaxBody }},
			{{- if .MaxInFlight }}
			MaxInFlight: {{ .MaxInFlight }},{{ end }}
			{{- template "traffic" . }}
			{{- if .Audit }}
			Audit: true,{{ end }}
			{{- if .HasBody }}
			HasBody: true,{{ end }}
			{{- if .HasResult }}
			HasResult: true,{{ end }}
			{{- with .Consumes }}
			Consumes: {{ printf "%#v" . }},{{ end }}
			{{- with .Produces }}
			Produces: {{ printf "%#v" . }},{{ end }}
			{{- if .StrictBody }}
			StrictBody: true,{{ end }}
			{{- with .Sensitive }}
			Sensitive: {{ printf "%#v" . }},{{ end }}
			{{- with .CORS }}
			CORS: &policy.CORS{Origins: {{ printf "%#v" .Origins }}{{ if .Credentials }}, Credentials: true{{ end }}},{{ end }}
			{{- with .RequestHeaders }}
			RequestHeaders: {{ printf "%#v" . }},{{ end }}
			{{- with .ResponseHeaders }}
			ResponseHeaders: {{ printf "%#v" . }},{{ end }}
			{{- template "example" .Example }}
		},
	{{- end }}
	},
}
