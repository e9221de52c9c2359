{{- /* Names and labels. Every helper takes the root of a service's chart; its wiring is "<service>.wiring". */}}

{{- /* The Python package under services/: the chart's name, but for models, which all are "inference". */}}
{{- define "chassis.service" -}}
{{ get .Values "serviceName" | default .Chart.Name }}
{{- end }}

{{- define "chassis.fullname" -}}
{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{- define "chassis.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "chassis.labels" -}}
{{ include "chassis.selector" . }}
app.kubernetes.io/component: {{ include "chassis.service" . }}
app.kubernetes.io/part-of: capstan
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- /* Labels that select all pods of a service, whatever their model: for policies between services. */}}
{{- define "chassis.component" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- /* What the service's chart says of itself: ports, callers, calls, stores, settings, secrets, env.
`open` are ports for global.networkPolicy.clients, `unguarded` for everybody, `guarded` for whom each names in `from`. */}}
{{- define "chassis.wiring" -}}
{{ include (printf "%s.wiring" (include "chassis.service" .)) . }}
{{- end }}

{{- /* root, image: {repository, tag}. */}}
{{- define "chassis.image" -}}
{{- $common := .root.Values.global.images -}}
{{- $tag := .image.tag | default $common.tag | default .root.Chart.AppVersion -}}
{{ if $common.registry }}{{ trimSuffix "/" $common.registry }}/{{ end }}{{ .image.repository }}:{{ $tag }}
{{- end }}
