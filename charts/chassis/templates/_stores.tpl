{{- /* Names of the secrets of the stores: the user's or ours. */}}
{{- define "chassis.postgres.secret" -}}
{{- $postgres := .Values.global.postgres -}}
{{- if $postgres.bundled.enabled -}}
{{ .Release.Name }}-postgres
{{- else -}}
{{ required "global.postgres.external.existingSecret: name the secret whose key `dsn` is the URL of the database, or set global.postgres.bundled.enabled" $postgres.external.existingSecret }}
{{- end }}
{{- end }}

{{- define "chassis.valkey.secret" -}}
{{- $valkey := .Values.global.valkey -}}
{{- if $valkey.bundled.enabled }}{{ .Release.Name }}-valkey{{ else }}{{ $valkey.external.existingSecret }}{{ end }}
{{- end }}

{{- define "chassis.valkey.url" -}}
{{- $valkey := .Values.global.valkey -}}
{{- if $valkey.bundled.enabled -}}
valkey://{{ .Release.Name }}-valkey:6379/0
{{- else -}}
{{ required "global.valkey.external.url: say where Valkey is, or set global.valkey.bundled.enabled" $valkey.external.url }}
{{- end }}
{{- end }}
