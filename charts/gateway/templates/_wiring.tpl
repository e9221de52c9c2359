{{- define "gateway.wiring" -}}
{{- $patience := dict }}
{{- $proxied := or .Values.ingress.enabled .Values.route.enabled }}
ports:
  http: 8000
  {{- if .Values.admin.enabled }}
  admin: 8900
  {{- end }}
open: [8000]
{{- if .Values.admin.enabled }}
guarded:
  - port: 8900
    from: {{ .Values.global.networkPolicy.administrators | toJson }}
{{- end }}
calls: [auth, ratelimit, router, moderation, billing, jobs, inference]
addresses: [auth, ratelimit, router, moderation, billing, jobs]
settings:
  http_listen: 0.0.0.0:8000
  {{- if .Values.admin.enabled }}
  admin_listen: 0.0.0.0:8900
  {{- end }}
  trusted_proxy_hops: {{ if kindIs "string" .Values.trustedProxyHops }}{{ ternary 1 0 $proxied }}{{ else }}{{ .Values.trustedProxyHops }}{{ end }}
  {{- range $model := .Values.global.models }}
  {{- if include "chassis.model.sleeps" (dict "root" $ "model" $model) | eq "yes" }}
  {{- /* Who wakes a model waits until it is loaded. */}}
  {{- $_ := set $patience "queue_timeout_s" 300 }}
  {{- end }}
  {{- end }}
  {{- with $patience }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  journal_path: /var/lib/capstan/journal.db
mounts:
  - name: journal
    mountPath: /var/lib/capstan
{{- if .Values.journal.persistent }}
volumeClaims:
  - metadata:
      name: journal
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .Values.journal.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .Values.journal.size }}
{{- else }}
volumes:
  - name: journal
    emptyDir:
      sizeLimit: {{ .Values.journal.size }}
{{- end }}
{{- end }}
