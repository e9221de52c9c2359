{{- /* A job that brings the service's schema up to date, before or after its pods change. */}}
{{- define "chassis.migration" -}}
{{- $wiring := include "chassis.wiring" . | fromYaml -}}
{{- $prefix := printf "CAPSTAN_%s" (include "chassis.service" . | upper) -}}
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "chassis.fullname" . }}-migrate
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.migration.labels" . | nindent 4 }}
  annotations:
    # The bundled database does not exist before the release does; a user's own does.
    helm.sh/hook: {{ ternary "post-install,pre-upgrade,pre-rollback" "pre-install,pre-upgrade" .Values.global.postgres.bundled.enabled }}
    helm.sh/hook-weight: "-5"
    # A failed one stays, so that its log can be read.
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 2
  activeDeadlineSeconds: {{ .Values.migration.timeoutSeconds }}
  template:
    metadata:
      labels:
        {{- include "chassis.migration.labels" . | nindent 8 }}
    spec:
      restartPolicy: Never
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext:
        {{- include "chassis.podSecurity" . | nindent 8 }}
      {{- with .Values.global.images.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      initContainers:
        - name: wait-for-database
          {{- include "chassis.migration.container" . | nindent 10 }}
          args: [chassis.await_postgres, /etc/capstan/postgres/dsn, --within, "{{ .Values.migration.waitSeconds }}"]
      containers:
        - name: migrate
          {{- include "chassis.migration.container" . | nindent 10 }}
          args: ["services.{{ include "chassis.service" . }}", migrate]
          env:
            {{- range $name, $value := $wiring.settings }}
            - name: {{ $prefix }}_{{ $name | upper }}
              value: {{ $value | quote }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
        {{- range $wiring.secrets }}
        - name: {{ .name }}
          secret:
            secretName: {{ .secretName }}
            defaultMode: 288
        {{- end }}
{{- end }}

{{- define "chassis.migration.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-migrate
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: migration
app.kubernetes.io/part-of: capstan
{{- end }}

{{- define "chassis.migration.container" -}}
image: {{ include "chassis.image" (dict "root" . "image" .Values.image) }}
imagePullPolicy: {{ .Values.global.images.pullPolicy }}
resources:
  requests: {cpu: 50m, memory: 128Mi}
  limits: {memory: 512Mi}
securityContext:
  {{- include "chassis.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: tmp
    mountPath: /tmp
  {{- range (include "chassis.wiring" . | fromYaml).secrets }}
  - name: {{ .name }}
    mountPath: /etc/capstan/{{ .name }}
    readOnly: true
  {{- end }}
{{- end }}
