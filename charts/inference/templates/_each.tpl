{{- /* Render `object` for each model: its entry over this chart's values, under a name of its own. */}}
{{- define "inference.each" -}}
{{- $root := .root }}
{{- $object := .object }}
{{- $seen := dict }}
{{- range $model := $root.Values.global.models }}
{{- $slug := include "chassis.model.slug" $model }}
{{- if hasKey $seen $slug }}
{{- fail (printf "global.models: two models would both be called %s in the cluster" $slug) }}
{{- end }}
{{- $_ := set $seen $slug true }}
{{- $own := deepCopy (omit $root.Values "global") }}
{{- $values := mergeOverwrite $own (deepCopy $model) (dict "serviceName" "inference" "global" $root.Values.global) }}
{{- /* The routers' chart sees entries, and not this chart's values. */}}
{{- $sleeps := include "chassis.model.sleeps" (dict "root" $root "model" $values) }}
{{- if ne $sleeps (include "chassis.model.sleeps" (dict "root" $root "model" $model)) }}
{{- fail (printf "global.models: %s may have no pod: set autoscaling.enabled and autoscaling.minReplicas in its entry" $values.name) }}
{{- end }}
{{- if and $sleeps (ne (include "chassis.model.idle" $values) (include "chassis.model.idle" $model)) }}
{{- fail (printf "global.models: %s may have no pod: set autoscaling.idleSeconds in its entry" $values.name) }}
{{- end }}
{{- $chart := dict "Name" (printf "model-%s" $slug) "AppVersion" $root.Chart.AppVersion }}
---
{{ include $object (dict "Release" $root.Release "Capabilities" $root.Capabilities "Chart" $chart "Values" $values) }}
{{- end }}
{{- end }}
