{{/* The configuration as text: what the values say over what the chart needs. */}}
{{- define "sidegate.config" -}}
{{- if kindIs "string" .Values.config -}}
{{ .Values.config }}
{{- else -}}
{{- $listen := list (printf "http://0.0.0.0:%v" .Values.ports.http) -}}
{{- $server := dict "drain" (dict "delay" (include "sidegate.delay" .) "timeout" (printf "%vs" .Values.drain.timeout)) -}}
{{- if .Values.tls.secretName -}}
{{- $listen = append $listen (printf "https://0.0.0.0:%v" .Values.ports.https) -}}
{{- $pair := dict "cert_file" "/etc/sidegate-tls/tls.crt" "key_file" "/etc/sidegate-tls/tls.key" -}}
{{- $_ := set $server "tls" (dict "certificates" (list $pair)) -}}
{{- end -}}
{{- $_ := set $server "listen" $listen -}}
{{- $admin := dict "listen" (printf "http://0.0.0.0:%v" .Values.ports.admin) -}}
{{- $own := dict "server" $server "admin" $admin -}}
{{- if not (or .Values.config.upstreams .Values.config.routes) -}}
{{- if eq .Values.mode "gateway" -}}
{{- fail "config.upstreams: name the services to stand before, as in --set config.upstreams.shop=http://shop.default.svc:80" -}}
{{- end -}}
{{- $_ := set $own "upstreams" (dict "app" (printf "http://127.0.0.1:%v" .Values.sidecar.app.port)) -}}
{{- end -}}
{{ mergeOverwrite $own (deepCopy .Values.config) | toYaml }}
{{- end -}}
{{- end -}}

{{/* A native sidecar is told to end when the application has, and there is nothing to wait for. */}}
{{- define "sidegate.delay" -}}
{{- if and (eq .Values.mode "sidecar") .Values.sidecar.native -}}0s{{- else -}}{{ .Values.drain.delay }}s{{- end -}}
{{- end -}}
