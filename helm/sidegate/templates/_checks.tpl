{{/* Values that Kubernetes or Sidegate would take, but that can't work. */}}
{{- define "sidegate.checks" -}}
{{- $ports := list (int .Values.ports.http) (int .Values.ports.admin) -}}
{{- if .Values.tls.secretName -}}
{{- $ports = append $ports (int .Values.ports.https) -}}
{{- end -}}
{{- if ne (len $ports) (len (uniq $ports)) -}}
{{- fail "ports: each has to be another" -}}
{{- end -}}
{{- if kindIs "map" .Values.config -}}
{{- if hasKey (default dict .Values.config.admin) "listen" -}}
{{- fail "config.admin.listen: the probes ask there; leave it to the chart and set ports.admin" -}}
{{- end -}}
{{- $server := default dict .Values.config.server -}}
{{- if hasKey $server "listen" -}}
{{- fail "config.server.listen: leave it to the chart and set ports.http, ports.https and tls.secretName" -}}
{{- end -}}
{{- if hasKey $server "drain" -}}
{{- fail "config.server.drain: set drain.delay and drain.timeout, which the kubelet has to know as well" -}}
{{- end -}}
{{- end -}}
{{- with .Values.metrics.monitor -}}
{{- $others := and (eq $.Values.mode "sidecar") (not $.Values.sidecar.app.image) -}}
{{- if and .enabled $others (not .selector) -}}
{{- fail "metrics.monitor.selector: give labels of the Pods that Sidegate is in" -}}
{{- end -}}
{{- if and .selector (not $others) -}}
{{- fail "metrics.monitor.selector: is for Sidegate in the Pods of another chart" -}}
{{- end -}}
{{- end -}}
{{- if eq .Values.mode "gateway" -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (not (or .cpu .requestsInFlight)) -}}
{{- fail "autoscaling: set cpu or requestsInFlight" -}}
{{- end -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling: minReplicas is above maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts: name those that it is for, as in {host: api.example.com}" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs: name the Gateway, as in {name: gateway, namespace: infra}" -}}
{{- end -}}
{{- end -}}
{{- end -}}
