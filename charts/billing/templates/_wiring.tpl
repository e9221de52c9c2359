{{- define "billing.wiring" -}}
ports: {grpc: 50051}
callers: [gateway]
stores: [postgres]
settings:
  dsn_file: /etc/capstan/postgres/dsn
secrets:
  - name: postgres
    secretName: {{ include "chassis.postgres.secret" . }}
{{- end }}
