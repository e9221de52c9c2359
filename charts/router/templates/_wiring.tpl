{{- define "router.wiring" -}}
ports: {grpc: 50051}
callers: [gateway]
calls: [inference]
settings:
  {{- /* Known before a replica has told: a request for one waits instead of being wrong. */}}
  {{- $expected := dict }}
  {{- $replicas := list }}
  {{- range $model := .Values.global.models }}
  {{- $_ := set $expected $model.name (ternary "embed" "generate" (eq (get $model "runner" | default "generate") "pooling")) }}
  {{- $slug := include "chassis.model.slug" $model }}
  {{- $replicas = append $replicas (dict "id" $slug "address" (printf "%s-model-%s:50051" $.Release.Name $slug)) }}
  {{- end }}
  expected_models: {{ $expected | toJson }}
  replicas: {{ $replicas | toJson }}
{{- end }}
