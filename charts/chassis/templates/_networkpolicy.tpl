{{- /* Who may talk to a service and to whom it may talk: its wiring's edges and nothing else. */}}
{{- define "chassis.networkpolicy" -}}
{{- if .Values.global.networkPolicy.enabled }}
{{- $wiring := include "chassis.wiring" . | fromYaml }}
{{- $policy := .Values.global.networkPolicy }}
{{- $service := include "chassis.service" . }}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .Release.Name }}-{{ $service }}
  namespace: {{ .Release.Namespace }}
  labels:
    {{- include "chassis.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "chassis.component" (dict "root" . "name" $service) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- if $wiring.callers }}
    - from:
        {{- range $wiring.callers }}
        - podSelector:
            matchLabels:
              {{- include "chassis.component" (dict "root" $ "name" .) | nindent 14 }}
        {{- end }}
      ports:
        - port: {{ $wiring.ports.grpc }}
          protocol: TCP
    {{- end }}
    {{- with $wiring.open }}
    - ports:
        {{- range . }}
        - port: {{ . }}
          protocol: TCP
        {{- end }}
      {{- with $policy.clients }}
      from:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
    {{- with $wiring.unguarded }}
    - ports:
        {{- range . }}
        - port: {{ . }}
          protocol: TCP
        {{- end }}
    {{- end }}
    {{- /* An empty list is nobody here; Kubernetes would take it for everybody. */}}
    {{- range $wiring.guarded }}
    {{- if .from }}
    - from:
        {{- toYaml .from | nindent 8 }}
      ports:
        - port: {{ .port }}
          protocol: TCP
    {{- end }}
    {{- end }}
    {{- with $policy.metricsFrom }}
    - from:
        {{- toYaml . | nindent 8 }}
      ports:
        - port: 9090
          protocol: TCP
    {{- end }}
  egress:
    {{- if or $wiring.calls $wiring.stores $wiring.kubernetes .Values.global.otlpEndpoint }}
    {{- include "chassis.egress.dns" . | nindent 4 }}
    {{- end }}
    {{- if $wiring.calls }}
    - to:
        {{- range $wiring.calls }}
        - podSelector:
            matchLabels:
              {{- include "chassis.component" (dict "root" $ "name" .) | nindent 14 }}
        {{- end }}
      ports:
        - port: 50051
          protocol: TCP
    {{- end }}
    {{- range $wiring.stores }}
    {{- include "chassis.egress.store" (dict "root" $ "store" .) | nindent 4 }}
    {{- end }}
    {{- if $wiring.kubernetes }}
    - to:
        {{- toYaml $policy.kubernetesApi.to | nindent 8 }}
      ports:
        {{- range $policy.kubernetesApi.ports }}
        - port: {{ . }}
          protocol: TCP
        {{- end }}
    {{- end }}
    {{- with .Values.global.otlpEndpoint }}
    - ports:
        - port: {{ regexFind "[0-9]+$" . | default "4317" | int }}
          protocol: TCP
    {{- end }}
    {{- with $policy.extraEgress }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "chassis.egress.dns" -}}
- to:
    {{- toYaml .Values.global.networkPolicy.dns | nindent 4 }}
  ports:
    - port: 53
      protocol: UDP
    - port: 53
      protocol: TCP
{{- end }}

{{- /* root, store: postgres or valkey; the bundled one, or where the values say that the user's is. */}}
{{- define "chassis.egress.store" -}}
{{- $values := get .root.Values.global .store -}}
{{- if $values.bundled.enabled -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "chassis.component" (dict "root" .root "name" .store) | nindent 10 }}
  ports:
    - port: {{ ternary 5432 6379 (eq .store "postgres") }}
      protocol: TCP
{{- else -}}
- ports:
    - port: {{ $values.external.port }}
      protocol: TCP
  {{- with $values.external.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
