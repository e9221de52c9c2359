{{- define "billing.wiring" -}}
ports: {grpc: 50051}
callers: [gateway, inference]
stores: [postgres]
settings:
  dsn_file: /etc/capstan/postgres/dsn
secrets:
  - name: postgres
    secretName: {{ include "chassis.postgres.secret" . }}
{{- end }}
