{{- /* A model's name as Kubernetes takes it: "Llama-3.1:8b" is llama-3-1-8b. */}}
{{- define "chassis.model.slug" -}}
{{ regexReplaceAll "[^a-z0-9]+" (get . "name" | default "" | lower) "-" | trunc 30 | trimSuffix "-" }}
{{- end }}

{{- /* Name of a model's objects in the cluster. root, model. */}}
{{- define "chassis.model.fullname" -}}
{{ include "chassis.fullname" (dict "Release" .root.Release "Chart" (dict "Name" (printf "model-%s" (include "chassis.model.slug" .model)))) }}
{{- end }}

{{- /* "yes" when a model may have no pod: its autoscaling goes to zero. root, model. */}}
{{- define "chassis.model.sleeps" -}}
{{- $scaling := get .model "autoscaling" | default dict }}
{{- $goes := and (get $scaling "enabled") (hasKey $scaling "minReplicas") (eq (int (get $scaling "minReplicas")) 0) }}
{{- if and $goes (ne .root.Values.global.autoscaling.metrics "none") }}yes{{ end }}
{{- end }}

{{- /* Seconds without a request after which a model sleeps. */}}
{{- define "chassis.model.idle" -}}
{{ dig "autoscaling" "idleSeconds" 900 . | int }}
{{- end }}

{{- /* Models that the routers wake and put to sleep, as their setting `may_sleep` has them. With KEDA, KEDA does. */}}
{{- define "chassis.models.sleepers" -}}
{{- $found := dict }}
{{- if ne .Values.global.autoscaling.metrics "keda" }}
{{- range $model := .Values.global.models }}
{{- if include "chassis.model.sleeps" (dict "root" $ "model" $model) | eq "yes" }}
{{- $rule := dict "deployment" (include "chassis.model.fullname" (dict "root" $ "model" $model)) "idle_s" (include "chassis.model.idle" $model | int) }}
{{- $_ := set $found $model.name $rule }}
{{- end }}
{{- end }}
{{- end }}
{{- $found | toJson }}
{{- end }}

{{- /* Name of the first model that answers chats; empty when there is none. */}}
{{- define "chassis.models.first" -}}
{{- $found := "" }}
{{- range .Values.global.models }}
{{- if and (not $found) (ne (get . "runner" | default "generate") "pooling") }}{{ $found = .name }}{{ end }}
{{- end }}
{{- $found }}
{{- end }}
