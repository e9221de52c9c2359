{{- define "moderation.wiring" -}}
ports: {grpc: 50051}
callers: [gateway]
{{- end }}
