// LogValue implements slog.LogValuer without what the design calls sensitive.
func (v {{ .Name }}) LogValue() slog.Value {
	return redact.LogValue(v{{ range .Paths }}, {{ quote . }}{{ end }})
}
{{ if .Stringer }}
// String implements fmt.Stringer without what the design calls sensitive.
func (v {{ .Name }}) String() string { return redact.String(v{{ range .Paths }}, {{ quote . }}{{ end }}) }

// GoString implements fmt.GoStringer without what the design calls sensitive.
func (v {{ .Name }}) GoString() string {
	return redact.GoString(v{{ range .Paths }}, {{ quote . }}{{ end }})
}
{{ else if not .LogOnly }}
// Format implements fmt.Formatter without what the design calls sensitive.
func (v {{ .Name }}) Format(f fmt.State, verb rune) {
	redact.Format(f, verb, v{{ range .Paths }}, {{ quote . }}{{ end }})
}
{{ end }}
