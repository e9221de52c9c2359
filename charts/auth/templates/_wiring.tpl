{{- define "auth.wiring" -}}
ports: {grpc: 50051}
callers: [gateway]
stores: [postgres]
settings:
  dsn_file: /etc/capstan/postgres/dsn
  pepper_file: /etc/capstan/pepper/pepper
secrets:
  - name: postgres
    secretName: {{ include "chassis.postgres.secret" . }}
  - name: pepper
    secretName: {{ .Values.existingPepperSecret | default (printf "%s-pepper" .Release.Name) }}
{{- end }}
