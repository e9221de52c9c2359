{{- /* The pod of a service. Pod Security "restricted", a read-only root, no service account unless it is needed. */}}
{{- define "chassis.pod" -}}
{{- $wiring := include "chassis.wiring" . | fromYaml -}}
{{- $global := .Values.global -}}
{{- $tls := ne $global.transport.mode "mesh" -}}
metadata:
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
    {{- with merge (deepCopy (.Values.podLabels | default dict)) ($wiring.labels | default dict) ($global.podLabels | default dict) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with merge (deepCopy (.Values.podAnnotations | default dict)) ($wiring.annotations | default dict) ($global.podAnnotations | default dict) }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- if $wiring.kubernetes }}
  serviceAccountName: {{ include "chassis.fullname" . }}
  {{- end }}
  automountServiceAccountToken: {{ $wiring.kubernetes | default false }}
  # Kubernetes' variables for each Service would look like settings of ours, and unknown ones are errors.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add .Values.drainDelaySeconds .Values.graceSeconds 30 }}
  securityContext:
    {{- include "chassis.podSecurity" . | nindent 4 }}
  {{- with $global.images.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "chassis.selector" $ | nindent 10 }}
    {{- end }}
  containers:
    - name: {{ include "chassis.service" . }}
      image: {{ include "chassis.image" (dict "root" . "image" .Values.image) }}
      imagePullPolicy: {{ $global.images.pullPolicy }}
      args: [{{ if $global.development }}chassis.reload, {{ end }}services.{{ include "chassis.service" . }}]
      env:
        {{- include "chassis.settings" . | trim | nindent 8 }}
      ports:
        {{- range $name, $port := $wiring.ports }}
        - name: {{ $name }}
          containerPort: {{ $port }}
          protocol: TCP
        {{- end }}
        - name: ops
          containerPort: 9090
          protocol: TCP
      {{- /* It is ready when it has started; how long that may take is the service's. */}}
      startupProbe:
        httpGet:
          path: /readyz
          port: ops
        periodSeconds: 1
        timeoutSeconds: 2
        failureThreshold: {{ .Values.startupSeconds }}
      readinessProbe:
        httpGet:
          path: /readyz
          port: ops
        periodSeconds: 2
        timeoutSeconds: 2
        failureThreshold: 2
      livenessProbe:
        httpGet:
          path: /livez
          port: ops
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- include "chassis.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - name: tmp
          mountPath: /tmp
        {{- if $tls }}
        - name: tls
          mountPath: /etc/capstan/tls
          readOnly: true
        {{- end }}
        {{- range $wiring.secrets }}
        - name: {{ .name }}
          mountPath: /etc/capstan/{{ .name }}
          readOnly: true
        {{- end }}
        {{- with $wiring.mounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: {{ .Values.tmpSize | default "1Gi" }}
    {{- if $tls }}
    - name: tls
      secret:
        secretName: {{ .Release.Name }}-{{ include "chassis.service" . }}-tls
        defaultMode: 288
    {{- end }}
    {{- range $wiring.secrets }}
    - name: {{ .name }}
      secret:
        secretName: {{ .secretName }}
        defaultMode: 288
    {{- end }}
    {{- with $wiring.volumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "chassis.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "chassis.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: {{ not .Values.global.development }}
capabilities:
  drop: [ALL]
{{- end }}
