// contract is what the design promises; contract.json holds the same.
var contract = &policy.Contract{
	SchemaURI: {{ quote .SchemaURI }},
	Generator: {{ quote .Generator }},
	API:       policy.API{Name: {{ quote .API.Name }}, Title: {{ quote .API.Title }}, Version: {{ quote .API.Version }}},
	{{- with .Source }}
	Source: &policy.Source{Dir: {{ quote .Dir }}, SHA256: {{ quote .SHA256 }}},
	{{- end }}
	Schemes: []policy.Scheme{
	{{- range .Schemes }}
		{Name: {{ quote .Name }}, Kind: {{ printf "%q" .Kind }}
		{{- with .Scopes }}, Scopes: {{ printf "%#v" . }}{{ end }}
		{{- with .ScopeDescriptions }}, ScopeDescriptions: {{ printf "%#v" . }}{{ end }}
		{{- with .Flows }}, Flows: []policy.Flow{
			{{- range . }}
			{Type: {{ quote .Type }}, AuthorizationURL: {{ quote .AuthorizationURL }}, TokenURL: {{ quote .TokenURL }}, RefreshURL: {{ quote .RefreshURL }}},
			{{- end }}
		}{{ end }}},
	{{- end }}
	},
	Services: []policy.Service{ {{- range $i, $_ := .Services }}{{ if $i }}, {{ end }}service{{ $i }}{{ end -}} },
}
