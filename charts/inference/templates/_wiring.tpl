{{- define "inference.wiring" -}}
{{- $cache := "/var/cache/capstan" }}
{{- $source := get .Values "source" | default "" }}
{{- $claim := trimPrefix "pvc://" $source }}
{{- $artefact := trimPrefix "oci://" $source }}
ports: {grpc: 50051}
callers: [gateway, router]
{{- /* Not for a request: what the engine counted, told in the background. */}}
calls: [billing]
addresses: [billing]
labels:
  capstan/model: {{ include "chassis.model.slug" .Values }}
  capstan/downloads: {{ hasPrefix "hf://" $source | quote }}
settings:
  model_name: {{ get .Values "name" | quote }}
  {{- if get .Values "engine" }}
  engine: {{ get .Values "engine" }}
  {{- end }}
  {{- if get .Values "runner" }}
  runner: {{ get .Values "runner" }}
  {{- end }}
  {{- if hasPrefix "hf://" $source }}
  model: {{ trimPrefix "hf://" $source | quote }}
  download: true
  {{- else if hasPrefix "pvc://" $source }}
  model: /models{{ with regexFind "/.*" $claim }}{{ . }}{{ end }}
  {{- else if hasPrefix "oci://" $source }}
  model: /models{{ with regexFind "#.*" $artefact }}/{{ trimPrefix "#" . }}{{ end }}
  {{- else if $source }}
  model: {{ $source | quote }}
  {{- end }}
  {{- if gt (int .Values.gpus) 1 }}
  tensor_parallel: {{ .Values.gpus }}
  {{- end }}
  {{- with get .Values "adapters" }}
  {{- /* Each costs memory whether it is used or not; what is idle makes way for what is asked for. */}}
  max_adapters: {{ min 8 (len .) }}
  {{- end }}
env:
  - {name: HF_HOME, value: {{ $cache }}/huggingface}
  - {name: VLLM_CACHE_ROOT, value: {{ $cache }}/vllm}
  - {name: TORCHINDUCTOR_CACHE_DIR, value: {{ $cache }}/inductor}
  - {name: TRITON_CACHE_DIR, value: {{ $cache }}/triton}
  - {name: VLLM_NO_USAGE_STATS, value: "1"}
  {{- if not (hasPrefix "hf://" $source) }}
  - {name: HF_HUB_OFFLINE, value: "1"}
  {{- end }}
  {{- with .Values.tokenSecret.name }}
  - name: HF_TOKEN
    valueFrom:
      secretKeyRef: {name: {{ . }}, key: {{ $.Values.tokenSecret.key }}}
  {{- end }}
mounts:
  - {name: cache, mountPath: {{ $cache }}}
  - {name: shm, mountPath: /dev/shm}
  {{- if or (hasPrefix "pvc://" $source) (hasPrefix "oci://" $source) }}
  - {name: models, mountPath: /models, readOnly: true}
  {{- end }}
  {{- if .Values.adaptersClaim }}
  - {name: adapters, mountPath: /adapters, readOnly: true}
  {{- end }}
volumes:
  - name: shm
    emptyDir: {medium: Memory, sizeLimit: {{ .Values.shmSize }}}
  - name: cache
    {{- if eq .Values.cache.kind "pvc" }}
    persistentVolumeClaim:
      claimName: {{ .Values.cache.existingClaim | default (printf "%s-cache" (include "chassis.fullname" .)) }}
    {{- else if eq .Values.cache.kind "hostPath" }}
    hostPath: {path: {{ required "cache.path of a model whose cache.kind is hostPath" .Values.cache.path }}, type: DirectoryOrCreate}
    {{- else }}
    emptyDir: {sizeLimit: {{ .Values.cache.size }}}
    {{- end }}
  {{- if hasPrefix "pvc://" $source }}
  - name: models
    persistentVolumeClaim: {claimName: {{ regexFind "^[^/]+" $claim }}, readOnly: true}
  {{- else if hasPrefix "oci://" $source }}
  {{- include "inference.artefact" (dict "root" . "reference" (regexFind "^[^#]+" $artefact)) | nindent 2 }}
  {{- end }}
  {{- with .Values.adaptersClaim }}
  - name: adapters
    persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
  {{- end }}
{{- end }}

{{- /* An image, or an artefact, as a volume: nothing is copied, and the node keeps it as it keeps images. root, reference. */}}
{{- define "inference.artefact" -}}
{{- $version := .root.Capabilities.KubeVersion.Version }}
{{- if semverCompare "<1.33-0" $version }}
{{- fail (printf "global.models: oci:// sources need Kubernetes 1.35, or 1.33 with the feature gate ImageVolume; this is %s" $version) }}
{{- end -}}
- name: models
  image: {reference: {{ .reference | quote }}, pullPolicy: IfNotPresent}
{{- end }}
