{{/* What every container of Sidegate has, whoever's Pod it is in. */}}
{{- define "sidegate.container" -}}
name: sidegate
image: {{ include "sidegate.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [run, /etc/sidegate/sidegate.yaml]
{{- if or .Values.env .Values.secretEnv }}
env:
  {{- range $name, $value := .Values.env }}
  - name: {{ $name }}
    value: {{ $value | quote }}
  {{- end }}
  {{- range $name, $from := .Values.secretEnv }}
  - name: {{ $name }}
    valueFrom: {secretKeyRef: {name: {{ $from.name }}, key: {{ $from.key }}}}
  {{- end }}
{{- end }}
ports:
  - {name: http, containerPort: {{ .Values.ports.http }}, protocol: TCP}
  {{- if .Values.tls.secretName }}
  - {name: https, containerPort: {{ .Values.ports.https }}, protocol: TCP}
  {{- end }}
  - {name: admin, containerPort: {{ .Values.ports.admin }}, protocol: TCP}
startupProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  periodSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  # Whole folders: what is mounted file by file is never updated.
  - {name: sidegate-config, mountPath: /etc/sidegate, readOnly: true}
  {{- if .Values.tls.secretName }}
  - {name: sidegate-tls, mountPath: /etc/sidegate-tls, readOnly: true}
  {{- end }}
  {{- range .Values.secretFiles }}
  - {name: {{ printf "sidegate-secret-%s" .name | trunc 63 | trimSuffix "-" }}, mountPath: /etc/sidegate-secrets/{{ .name }}, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The volumes of that container. */}}
{{- define "sidegate.volumes" -}}
- name: sidegate-config
  configMap: {name: {{ include "sidegate.fullname" . }}}
{{- if .Values.tls.secretName }}
- name: sidegate-tls
  secret: {secretName: {{ .Values.tls.secretName }}}
{{- end }}
{{- range .Values.secretFiles }}
- name: {{ printf "sidegate-secret-%s" .name | trunc 63 | trimSuffix "-" }}
  secret: {secretName: {{ .name }}}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
