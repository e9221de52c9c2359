{{- define "ratelimit.wiring" -}}
ports: {grpc: 50051}
callers: [gateway]
stores: [valkey]
settings:
  valkey_url: {{ include "chassis.valkey.url" . }}
{{- with include "chassis.valkey.secret" . }}
  valkey_password_file: /etc/capstan/valkey/password
secrets:
  - name: valkey
    secretName: {{ . }}
{{- end }}
{{- end }}
