{{- /* A Deployment as every service's, with GPUs: two pods of a model rarely fit, so the old one leaves first. */}}
{{- define "inference.deployment" -}}
{{- $values := deepCopy .Values }}
{{- $gpus := int $values.gpus }}
{{- if $gpus }}
{{- $_ := set $values.resources "limits" (merge (dict $values.gpuResource $gpus) $values.resources.limits) }}
{{- $_ := set $values "tolerations" (append $values.tolerations (dict "key" $values.gpuResource "operator" "Exists" "effect" "NoSchedule")) }}
{{- end }}
{{- $rolling := dict "maxSurge" (ternary 0 1 (gt $gpus 0)) "maxUnavailable" (ternary 1 0 (gt $gpus 0)) }}
{{- $_ := set $values "strategy" (dict "type" "RollingUpdate" "rollingUpdate" $rolling) }}
{{- $_ := set $values.autoscaling "enabled" (include "inference.scaled" . | eq "yes") }}
{{- include "chassis.deployment" (dict "Release" .Release "Capabilities" .Capabilities "Chart" .Chart "Values" $values) }}
{{- end }}

{{- /* "yes" when something else than the values chooses the number of pods. */}}
{{- define "inference.scaled" -}}
{{ if and .Values.autoscaling.enabled (ne .Values.global.autoscaling.metrics "none") }}yes{{ end }}
{{- end }}

{{- define "inference.cache" -}}
{{- if and (eq .Values.cache.kind "pvc") (not .Values.cache.existingClaim) }}
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {{ include "chassis.fullname" . }}-cache
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  accessModes:
    {{- toYaml .Values.cache.accessModes | nindent 4 }}
  {{- with .Values.cache.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .Values.cache.size }}
{{- end }}
{{- end }}

{{- /* Demand over capacity of one model, as the router knows it: what waits and what runs, in tokens. */}}
{{- define "inference.autoscaler" -}}
{{- if include "inference.scaled" . | eq "yes" }}
{{- $metrics := .Values.global.autoscaling.metrics }}
{{- /* As the router writes a model's name in a label. */}}
{{- $model := regexReplaceAll "[^A-Za-z0-9_.-]" (get .Values "name") "-" | trunc 63 | trimAll "-_." }}
{{- if eq $metrics "keda" }}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  name: {{ include "chassis.fullname" . }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    name: {{ include "chassis.fullname" . }}
  minReplicaCount: {{ .Values.autoscaling.minReplicas }}
  maxReplicaCount: {{ .Values.autoscaling.maxReplicas }}
  pollingInterval: 10
  cooldownPeriod: {{ .Values.autoscaling.idleSeconds }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds }}
  fallback:
    failureThreshold: 3
    replicas: {{ .Values.autoscaling.minReplicas | max 1 }}
  triggers:
    - type: prometheus
      metadata:
        serverAddress: {{ required "global.autoscaling.prometheusAddress: KEDA has to know where Prometheus is" .Values.global.autoscaling.prometheusAddress }}
        query: max(capstan_router_model_demand{model={{ get .Values "name" | quote }}})
        threshold: {{ .Values.autoscaling.target | quote }}
        ignoreNullValues: "false"
{{- else }}
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
    kind: Deployment
    name: {{ include "chassis.fullname" . }}
  {{- /* From one pod on; whether there is any is the routers' business, and this one pauses while there is none. */}}
  minReplicas: {{ .Values.autoscaling.minReplicas | max 1 }}
  maxReplicas: {{ .Values.autoscaling.maxReplicas }}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ .Values.autoscaling.scaleDownSeconds }}
  metrics:
    - type: External
      external:
        metric:
          name: {{ .Values.global.autoscaling.metricName }}
          selector:
            matchLabels:
              model: {{ $model }}
        target:
          type: AverageValue
          averageValue: {{ .Values.autoscaling.target | quote }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Models with a budget when more than one pod is sure to run. */}}
{{- define "inference.pdb" -}}
{{- $values := deepCopy .Values }}
{{- $_ := set $values.autoscaling "enabled" (include "inference.scaled" . | eq "yes") }}
{{- include "chassis.pdb" (dict "Release" .Release "Capabilities" .Capabilities "Chart" .Chart "Values" $values) }}
{{- end }}

{{- /* What fetches a model reaches the web; the others reach nothing. */}}
{{- define "inference.downloads" -}}
{{- if .Values.global.networkPolicy.enabled }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .Release.Name }}-inference-downloads
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "chassis.component" (dict "root" . "name" "inference") | nindent 6 }}
      capstan/downloads: "true"
  policyTypes: [Egress]
  egress:
    {{- include "chassis.egress.dns" . | nindent 4 }}
    - ports:
        - port: 443
          protocol: TCP
{{- end }}
{{- end }}
