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
{{- $chart := dict "Name" (printf "model-%s" $slug) "AppVersion" $root.Chart.AppVersion }}
---
{{ include $object (dict "Release" $root.Release "Capabilities" $root.Capabilities "Chart" $chart "Values" $values) }}
{{- end }}
{{- end }}
