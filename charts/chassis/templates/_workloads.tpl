{{- /* A service without state of its own. */}}
{{- define "chassis.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  {{- /* A pod may take startupSeconds after its image was pulled; a rollout counts as failed later than that. */}}
  progressDeadlineSeconds: {{ add .Values.startupSeconds 600 }}
  strategy:
    {{- toYaml (.Values.strategy | default (dict "type" "RollingUpdate" "rollingUpdate" (dict "maxSurge" 1 "maxUnavailable" 0))) | nindent 4 }}
  selector:
    matchLabels:
      {{- include "chassis.selector" . | nindent 6 }}
  template:
    {{- include "chassis.pod" . | nindent 4 }}
{{- end }}

{{- /* A service whose replicas each keep a volume. `volumeClaims` of the wiring are its claims. */}}
{{- define "chassis.statefulset" -}}
{{- $wiring := include "chassis.wiring" . | fromYaml -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  {{- if not .Values.autoscaling.enabled }}
  replicas: {{ .Values.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  serviceName: {{ include "chassis.fullname" . }}
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "chassis.selector" . | nindent 6 }}
  template:
    {{- include "chassis.pod" . | nindent 4 }}
  {{- with $wiring.volumeClaims }}
  volumeClaimTemplates:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{- /* Headless for gRPC: a virtual address would pin each HTTP/2 connection, and with it all calls, to one pod. */}}
{{- define "chassis.service.headless" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  clusterIP: None
  selector:
    {{- include "chassis.selector" . | nindent 4 }}
  ports:
    - name: grpc
      port: 50051
      targetPort: grpc
      protocol: TCP
{{- end }}

{{- /* CPU is what a service without an engine runs out of. */}}
{{- define "chassis.hpa" -}}
{{- if .Values.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ .Values.kind | default "Deployment" }}
    name: {{ include "chassis.fullname" . }}
  minReplicas: {{ .Values.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ .Values.autoscaling.targetCPUUtilizationPercentage }}
{{- end }}
{{- end }}

{{- define "chassis.pdb" -}}
{{- $least := ternary .Values.autoscaling.minReplicas .Values.replicas .Values.autoscaling.enabled | int }}
{{- if and .Values.podDisruptionBudget.enabled (gt $least 1) }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ .Values.podDisruptionBudget.maxUnavailable }}
  selector:
    matchLabels:
      {{- include "chassis.selector" . | nindent 6 }}
{{- end }}
{{- end }}

{{- /* For the Prometheus operator; rendered only where its resources exist or `enabled` insists. */}}
{{- define "chassis.podmonitor" -}}
{{- if .Values.global.podMonitor.enabled }}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
    {{- with .Values.global.podMonitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "chassis.selector" . | nindent 6 }}
  podMetricsEndpoints:
    - port: ops
      interval: {{ .Values.global.podMonitor.interval }}
{{- end }}
{{- end }}
