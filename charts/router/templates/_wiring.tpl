{{- define "router.wiring" -}}
{{- $builtin := eq .Values.global.autoscaling.metrics "builtin" }}
{{- $sleepers := include "chassis.models.sleepers" . | fromJson }}
ports:
  grpc: 50051
  {{- if $builtin }}
  metrics: 6443
  {{- end }}
{{- if $builtin }}
{{- /* The API server asks, from a node, which no selector names. */}}
unguarded: [6443]
{{- end }}
callers: [gateway]
calls: [inference]
kubernetes: true
rules:
  - apiGroups: [discovery.k8s.io]
    resources: [endpointslices]
    verbs: [get, list, watch]
  {{- if $sleepers }}
  {{- $deployments := list }}
  {{- range $sleepers }}
  {{- $deployments = append $deployments .deployment }}
  {{- end }}
  - apiGroups: [apps]
    resources: [deployments/scale]
    resourceNames: {{ sortAlpha $deployments | toJson }}
    verbs: [get, patch]
  {{- end }}
settings:
  {{- if $builtin }}
  metrics_listen: 0.0.0.0:6443
  metrics_certificate: /etc/capstan/tls/tls.crt
  metrics_key: /etc/capstan/tls/tls.key
  {{- end }}
  endpoint_slices: app.kubernetes.io/component=inference,app.kubernetes.io/instance={{ .Release.Name }}
  endpoint_slices_namespace: {{ .Release.Namespace }}
  {{- /* Known before a replica has told: a request for one waits instead of being wrong. */}}
  {{- $expected := dict }}
  {{- range $model := .Values.global.models }}
  {{- $_ := set $expected $model.name (ternary "embed" "generate" (eq (get $model "runner" | default "generate") "pooling")) }}
  {{- end }}
  expected_models: {{ $expected | toJson }}
  {{- with $sleepers }}
  may_sleep: {{ toJson . }}
  {{- end }}
  {{- $adapters := dict }}
  {{- range $model := .Values.global.models }}
  {{- range $adapter := get $model "adapters" | default list }}
  {{- $name := printf "ft:%s:%s" $model.name $adapter.name }}
  {{- $told := dict "path" $adapter.path "organization_ids" (get $adapter "organizationIds" | default list) }}
  {{- $_ := set $adapters $name $told }}
  {{- end }}
  {{- end }}
  {{- with $adapters }}
  adapters: {{ . | toJson }}
  {{- end }}
{{- end }}
