{{- define "remote" }}
{{- $service := . }}
{{- with .Remote }}
{{- if .WebSocket }}
	{{ .Server }}.Mount(h, {{ .Server }}.New(func(ctx context.Context, stream {{ $service.Package }}.Stream) error {
		return h.JSONRPC().Ended(ctx, s.{{ $service.GoName }}.HandleStream(ctx, stream))
	}, e, h, h.JSONRPC().Decoder, h.JSONRPC().Encoder, h.JSONRPC().ErrorHandler, h.Upgrader(), s.{{ $service.GoName }}RPCConnConfigurer))
{{- else }}
	srv := {{ .Server }}.New(e, h, h.JSONRPC().Decoder, h.JSONRPC().Encoder, h.JSONRPC().ErrorHandler)
	{{- $server := .Server }}
	{{- range .Procedures }}
	{{- if .Decoder }}
	h.JSONRPC().Handle({{ quote $service.Name }}, {{ quote .Name }}, srv.{{ .Field }}, func(r *http.Request, req *jsonrpc.RawRequest) error {
		_, err := {{ $server }}.{{ .Decoder }}(h, h.JSONRPC().Decoder)(r, req)
		return err
	})
	{{- else }}
	h.JSONRPC().Handle({{ quote $service.Name }}, {{ quote .Name }}, srv.{{ .Field }}, nil)
	{{- end }}
	{{- end }}
{{- end }}
{{- range .ErrorBodies }}
	h.JSONRPC().ErrorBody({{ quote $service.Name }}, {{ quote .Name }}, func(err error) any {
	{{- range .Bodies }}
		if e, ok := errors.AsType[{{ .Type }}](err); ok && e.GoaErrorName() == {{ quote .Error }} {
			return {{ .Init }}({{ .Arg }})
		}
	{{- end }}
		return nil
	})
{{- end }}
{{- end }}
{{- end }}
