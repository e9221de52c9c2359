{{- /* Environment of a service, from three layers: the chassis', the chart's wiring, the user's `settings`. */}}
{{- define "chassis.settings" -}}
{{- $wiring := include "chassis.wiring" . | fromYaml -}}
{{- $global := .Values.global -}}
{{- $all := dict "ops_listen" "0.0.0.0:9090" "log_level" $global.logLevel -}}
{{- $_ := set $all "drain_delay_s" .Values.drainDelaySeconds -}}
{{- $_ := set $all "grace_s" .Values.graceSeconds -}}
{{- if $global.otlpEndpoint }}{{ $_ := set $all "otlp_endpoint" $global.otlpEndpoint }}{{ end -}}
{{- if $wiring.ports.grpc -}}
{{- $_ := set $all "listen" (printf "0.0.0.0:%v" $wiring.ports.grpc) -}}
{{- $_ := set $all "max_connection_age_s" $global.maxConnectionAgeSeconds -}}
{{- end -}}
{{- if eq $global.transport.mode "mesh" -}}
{{- $_ := set $all "transport" "mesh" -}}
{{- else -}}
{{- $_ := set $all "transport" "tls" -}}
{{- $_ := set $all "tls_folder" "/etc/capstan/tls" -}}
{{- if $wiring.callers }}{{ $_ := set $all "callers" $wiring.callers }}{{ end -}}
{{- end -}}
{{- range $called := $wiring.addresses -}}
{{- $_ := set $all (printf "%s_address" $called) (printf "%s-%s:50051" $.Release.Name $called) -}}
{{- end -}}
{{- $all = mergeOverwrite $all ($wiring.settings | default dict) (.Values.settings | default dict) -}}
{{- $prefix := printf "CAPSTAN_%s" (include "chassis.service" . | upper) -}}
{{- range $name := keys $all | sortAlpha }}
{{- $value := get $all $name }}
- name: {{ $prefix }}_{{ $name | upper }}
  value: {{ if kindIs "string" $value }}{{ $value | quote }}{{ else if kindIs "float64" $value }}{{ include "chassis.number" $value | quote }}{{ else }}{{ $value | toJson | quote }}{{ end }}
{{- end }}
{{- with $wiring.env }}
{{ toYaml . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* YAML's numbers are floats, and 600 shall not become 6e+02. */}}
{{- define "chassis.number" -}}
{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
