{{/*
For charts that have this one as a dependency, with `mode: sidecar`. In the Pod of a Deployment:

  spec:
    initContainers:
      {{- include "sidegate.sidecar.initContainers" .Subcharts.sidegate | nindent 6 }}
    containers:
      - name: app
        ...
      {{- include "sidegate.sidecar.containers" .Subcharts.sidegate | nindent 6 }}
    volumes:
      {{- include "sidegate.sidecar.volumes" .Subcharts.sidegate | nindent 6 }}

By `sidecar.native` one of the first two is empty. The Service's target port is
`ports.http`, by its number: before Kubernetes 1.32 names of a native sidecar's ports lead nowhere.
*/}}
{{- define "sidegate.sidecar.initContainers" -}}
{{- if .Values.sidecar.native -}}
- restartPolicy: Always
  {{- include "sidegate.container" . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sidegate.sidecar.containers" -}}
{{- if not .Values.sidecar.native -}}
- {{ include "sidegate.container" . | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{- define "sidegate.sidecar.volumes" -}}
{{- include "sidegate.volumes" . -}}
{{- end -}}
