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

{{- /* The release's CA, base64: what the cluster has, or one that is made now, once in a rendering (templates of this chart share its values). */}}
{{- define "capstan.authority" -}}
{{- $global := .Values.global }}
{{- if not (hasKey $global "madeAuthority") }}
{{- $name := printf "%s-ca" .Release.Name }}
{{- $kept := lookup "v1" "Secret" .Release.Namespace $name }}
{{- $made := dict }}
{{- if $kept }}
{{- $made = dict "certificate" (index $kept.data "tls.crt") "key" (index $kept.data "tls.key") }}
{{- else }}
{{- $ca := genCAWithKey $name 7300 (genPrivateKey "ecdsa") }}
{{- $made = dict "certificate" ($ca.Cert | b64enc) "key" ($ca.Key | b64enc) }}
{{- end }}
{{- $_ := set $global "madeAuthority" $made }}
{{- end }}
{{- $global.madeAuthority | toYaml }}
{{- end }}

{{- /* Names in the certificate of a service: its own, which callers of addresses ask for, and those in DNS. */}}
{{- define "capstan.names" -}}
{{- $host := printf "%s-%s" .root.Release.Name .service }}
- {{ .service }}
- {{ $host }}
- {{ $host }}.{{ .root.Release.Namespace }}
- {{ $host }}.{{ .root.Release.Namespace }}.svc
- {{ $host }}.{{ .root.Release.Namespace }}.svc.cluster.local
{{- if eq .service "router" }}
- {{ $host }}-metrics.{{ .root.Release.Namespace }}.svc
{{- end }}
{{- end }}
