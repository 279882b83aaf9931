
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
			{{- with .Requirements }}
			Requirements: []policy.Requirement{
				{{- range . }}
				{Schemes: []policy.Use{ {{- range $i, $u := .Schemes }}{{ if $i }}, {{ end }}{Scheme: {{ quote .Scheme }}, In: {{ printf "%q" .In }}, Name: {{ quote .Name }}}{{ end -}} }
				{{- with .Scopes }}, Scopes: {{ printf "%#v" . }}{{ end }}},
				{{- end }}
			},{{ end }}
			{{- if .Deadline }}
			Deadline: {{ duration .Deadline }},{{ end }}
			MaxBody: {{ .MaxBody }},
			{{- if .MaxInFlight }}
			MaxInFlight: {{ .MaxInFlight }},{{ end }}
			{{- with .RateLimits }}
			RateLimits: []policy.RateLimit{ {{- range . }}
				{Name: {{ quote .Name }}, Rate: {{ .Rate }}, Per: {{ duration .Per }}, Burst: {{ .Burst }}, Partition: {{ printf "%q" .Partition }}},{{ end }}
			},{{ end }}
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
			{{- with .CORS }}
			CORS: &policy.CORS{Origins: {{ printf "%#v" .Origins }}{{ if .Credentials }}, Credentials: true{{ end }}},{{ end }}
			{{- with .RequestHeaders }}
			RequestHeaders: {{ printf "%#v" . }},{{ end }}
			{{- with .ResponseHeaders }}
			ResponseHeaders: {{ printf "%#v" . }},{{ end }}
			{{- with .Example }}
			Example: &policy.Example{
				Verb: {{ quote .Verb }}, Path: {{ quote .Path }}, Status: {{ .Status }},
				{{- with .Header }}
				Header: {{ printf "%#v" . }},{{ end }}
				{{- with .Body }}
				Body: json.RawMessage({{ raw . }}),{{ end }}
			},
			{{- end }}
			{{- with .NotServed }}
			NotServed: {{ printf "%#v" . }},{{ end }}
		},
	{{- end }}
	},
}
