{{- define "gateway.wiring" -}}
ports: {http: 8000}
open: [8000]
calls: [auth, ratelimit, router, moderation, billing, jobs, inference]
addresses: [auth, ratelimit, router, moderation, billing, jobs]
settings:
  http_listen: 0.0.0.0:8000
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
