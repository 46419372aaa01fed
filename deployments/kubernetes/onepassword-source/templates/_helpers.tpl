{{- define "source.name" -}}
{{- if contains "onepassword-source" .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-onepassword-source" (.Release.Name | trunc 26 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "source.selector" -}}
app.kubernetes.io/name: onepassword-source
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "source.labels" -}}
{{ include "source.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "source.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest -}}
{{- else -}}
{{- printf "%s:%s" .repository (.tag | default $.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "source.scheme" -}}
{{- if .Values.server.tls.existingSecret }}https{{ else }}http{{ end -}}
{{- end -}}

{{/* The metadata of a pod. */}}
{{- define "source.podMetadata" -}}
labels:
  {{- include "source.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* What all pods share: Pod Security "restricted", no token of the API server.
     enableServiceLinks is off: Kubernetes would set variables such as ONEPASSWORD_SOURCE_PORT, which are settings here. */}}
{{- define "source.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "source.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "source.container" -}}
image: {{ include "source.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  privileged: false
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* A variable whose value is in a file of the Secret: (dict "name" … "key" …). */}}
{{- define "source.secretFile" -}}
- name: {{ .name }}_FILE
  value: /run/secrets/onepassword-source/{{ .key }}
{{- end -}}

{{- define "source.settings" -}}
{{- range $name, $value := .Values.settings }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "source.trustedProxies" -}}
{{- with .Values.ingress.trustedProxies }}
- name: ONEPASSWORD_SOURCE_TRUSTED_PROXIES
  value: {{ join "," . | quote }}
{{- end }}
{{- end -}}

{{/* The environment of what uses the store and the server: workers, console, apply. */}}
{{- define "source.clientEnv" -}}
{{ include "source.secretFile" (dict "name" "ONEPASSWORD_SOURCE_DATABASE_URL" "key" .Values.secrets.keys.storeUrl) }}
{{ include "source.secretFile" (dict "name" "PREFECT_API_AUTH_STRING" "key" .Values.secrets.keys.apiAuthString) }}
- name: PREFECT_API_URL
  value: {{ printf "%s://%s-server:%v/api" (include "source.scheme" .) (include "source.name" .) .Values.server.port }}
{{- if .Values.server.tls.existingSecret }}
- name: PREFECT_API_SSL_CERT_FILE
  value: /run/tls/ca.crt
{{- end }}
{{- include "source.settings" . }}
{{- end -}}

{{- define "source.clientMounts" -}}
- name: data
  mountPath: /data
- name: tmp
  mountPath: /tmp
- name: secrets
  mountPath: /run/secrets/onepassword-source
  readOnly: true
{{- if .Values.server.tls.existingSecret }}
- name: tls
  mountPath: /run/tls
  readOnly: true
{{- end }}
{{- end -}}

{{/* The volumes of a client. Each pod has a data directory of its own, which it never shares. */}}
{{- define "source.clientVolumes" -}}
- name: data
  emptyDir:
    sizeLimit: 1Gi
{{ include "source.commonVolumes" (dict "root" .root "keys" .keys) }}
{{- if .root.Values.server.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ .root.Values.server.tls.existingSecret }}
    defaultMode: 0440
    items:
      - {key: ca.crt, path: ca.crt}
{{- end }}
{{- end -}}

{{/* /tmp, and the keys of the Secret that this pod needs, and no other. */}}
{{- define "source.commonVolumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 256Mi
- name: secrets
  secret:
    secretName: {{ .root.Values.secrets.existingSecret }}
    defaultMode: 0440
    items:
      {{- range .keys }}
      - key: {{ . }}
        path: {{ . }}
      {{- end }}
{{- end -}}

{{/* Rules of network policies. */}}
{{- define "source.egressDns" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "source.egressDatabase" -}}
- ports:
    - {protocol: TCP, port: {{ .Values.networkPolicy.database.port }}}
  {{- with .Values.networkPolicy.database.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "source.egressHttps" -}}
- ports:
    {{- range .Values.networkPolicy.httpsPorts }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
{{- end -}}

{{- define "source.egressServer" -}}
- to:
    - podSelector:
        matchLabels:
          {{- include "source.selector" (dict "root" . "component" "server") | nindent 10 }}
  ports:
    - {protocol: TCP, port: {{ .Values.server.port }}}
{{- end -}}
