{{- /* A model's name as Kubernetes takes it: "Llama-3.1:8b" is llama-3-1-8b. */}}
{{- define "chassis.model.slug" -}}
{{ get . "name" | default "" | lower | replace "/" "-" | replace "." "-" | replace "_" "-" | replace ":" "-" | trunc 30 | trimSuffix "-" }}
{{- end }}
