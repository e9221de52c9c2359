{{- /* Names of the services in the roster. */}}
{{- define "capstan.roster" -}}
{{- range .Chart.Dependencies }}{{ if ne .Name "chassis" }}
- {{ .Name }}
{{- end }}{{ end }}
{{- end }}

{{- define "capstan.labels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: capstan
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Names in the certificate of a service: its own, which callers of addresses ask for, and those in DNS. */}}
{{- define "capstan.names" -}}
{{- $host := printf "%s-%s" .root.Release.Name .service }}
- {{ .service }}
- {{ $host }}
- {{ $host }}.{{ .root.Release.Namespace }}
- {{ $host }}.{{ .root.Release.Namespace }}.svc
- {{ $host }}.{{ .root.Release.Namespace }}.svc.cluster.local
{{- end }}
