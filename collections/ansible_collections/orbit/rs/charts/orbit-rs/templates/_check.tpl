{{- /* What the schema cannot say, because it needs more than one value. */ -}}
{{- define "orbit-rs.check" -}}
{{- $server := .Values.orbitServer }}
{{- $snapshot := include "orbit-rs.snapshot" . }}
{{- $fewest := include "orbit-rs.fewest" . | int64 }}
{{- with .Values.autoscaling }}
{{- if .enabled }}
{{- if gt (int64 .minReplicas) (int64 .maxReplicas) }}
{{- fail (printf "autoscaling.minReplicas %d is more than autoscaling.maxReplicas %d. Set minReplicas to at most maxReplicas." (int64 .minReplicas) (int64 .maxReplicas)) }}
{{- end }}
{{- if not (or (int64 .targetCPUUtilizationPercentage) (int64 .targetMemoryUtilizationPercentage) .metrics) }}
{{- fail "autoscaling has no metric to go by. Set autoscaling.targetCPUUtilizationPercentage, or list autoscaling.metrics." }}
{{- end }}
{{- /* A limit without a request is the request. */ -}}
{{- $resources := include "orbit-rs.resources" $ | fromYaml }}
{{- $stated := merge dict ($resources.requests | default dict) ($resources.limits | default dict) }}
{{- range $resource, $percent := dict "cpu" .targetCPUUtilizationPercentage "memory" .targetMemoryUtilizationPercentage }}
{{- if and (int64 $percent) (not (hasKey $stated $resource)) }}
{{- fail (printf "autoscaling goes by %s in percent of the requests, and there is no request. Set resources.requests.%s." $resource $resource) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
{{- /* toJson: toString would write a large number with an exponent. */ -}}
{{- $min := toJson .minAvailable | trimAll "\"" }}
{{- $max := toJson .maxUnavailable | trimAll "\"" }}
{{- $stay := trimSuffix "%" $min | int64 }}
{{- if hasSuffix "%" $min }}
{{- /* Kubernetes rounds a percentage up. */ -}}
{{- $stay = div (add (mul $stay $fewest) 99) 100 }}
{{- end }}
{{- if and $min (ge $stay $fewest) }}
{{- $count := ternary "autoscaling.minReplicas" "orbitServer.replicaCount" $.Values.autoscaling.enabled }}
{{- fail (printf "podDisruptionBudget.minAvailable %s can never be satisfied at %s %d: no pod could be evicted and every drain of a node would hang. Leave minAvailable out (maxUnavailable 1 is the default) or raise the replica count." $min $count $fewest) }}
{{- end }}
{{- if and (not $min) (eq 0 (trimSuffix "%" $max | int64)) }}
{{- fail "podDisruptionBudget.maxUnavailable 0 can never be satisfied: no pod could be evicted and every drain of a node would hang. Set it to 1 or more." }}
{{- end }}
{{- end }}
{{- end }}
{{- if le (int64 $server.terminationGracePeriodSeconds) (int64 $server.preStopSleepSeconds) }}
{{- fail (printf "orbitServer.terminationGracePeriodSeconds %d is not longer than orbitServer.preStopSleepSeconds %d: the server would be killed before it can finish. Raise the grace period." (int64 $server.terminationGracePeriodSeconds) (int64 $server.preStopSleepSeconds)) }}
{{- end }}
{{- range $key, $_ := $server.podLabels }}
{{- if has $key (list "app.kubernetes.io/name" "app.kubernetes.io/instance") }}
{{- fail (printf "orbitServer.podLabels: %s is how the Services find the pods. Choose another label." $key) }}
{{- end }}
{{- end }}
{{- if hasKey $server.podAnnotations "checksum/config" }}
{{- fail "orbitServer.podAnnotations: checksum/config belongs to the chart. Choose another annotation." }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name (list "config" "data" "tmp") }}
{{- fail (printf "extraVolumes: the name %q belongs to the chart's own volume. Choose another." .name) }}
{{- end }}
{{- end }}
{{- range $where, $probe := dict "livenessProbe" .Values.livenessProbe "readinessProbe" .Values.readinessProbe "startupProbe" .Values.startupProbe }}
{{- $ways := list }}
{{- range $way := list "httpGet" "tcpSocket" "grpc" "exec" }}
{{- if get $probe $way }}{{ $ways = append $ways $way }}{{ end }}
{{- end }}
{{- if gt (len $ways) 1 }}
{{- fail (printf "%s has %s; a probe asks in one way. Keep one of them." $where (join " and " $ways)) }}
{{- end }}
{{- end }}
{{- $ports := include "orbit-rs.portMap" . | fromYaml }}
{{- $numbers := dict }}
{{- range $name, $port := $ports }}
{{- $number := int64 $port.service | toString }}
{{- if hasKey $numbers $number }}
{{- fail (printf "orbitServer.service: %s and %s have the same port %s. Give each a port of its own." (get $numbers $number) $name $number) }}
{{- end }}
{{- $_ := set $numbers $number $name }}
{{- end }}
{{- $wanted := dict }}
{{- if $server.externalService.enabled }}{{ $_ := set $wanted "orbitServer.externalService.ports" $server.externalService.ports }}{{ end }}
{{- if .Values.gateway.httpRoute.enabled }}{{ $_ := set $wanted "gateway.httpRoute.port" (list .Values.gateway.httpRoute.port) }}{{ end }}
{{- range .Values.gateway.tcpRoute.routes }}{{ $_ := set $wanted "gateway.tcpRoute.routes" (list .port) }}{{ end }}
{{- if .Values.ingress.enabled }}
{{- if not .Values.ingress.hosts }}
{{- fail "ingress.enabled is true, and ingress.hosts is empty. Name a host with at least one path." }}
{{- end }}
{{- range .Values.ingress.hosts }}{{ range .paths }}{{ $_ := set $wanted "ingress.hosts" (list (.port | default "grpc")) }}{{ end }}{{ end }}
{{- end }}
{{- range $where, $names := $wanted }}
{{- range $names }}
{{- if not (hasKey $ports .) }}
{{- fail (printf "%s: the server has no port %s. Its ports are %s." $where . (keys $ports | sortAlpha | join ", ")) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and (or .Values.gateway.httpRoute.enabled .Values.gateway.grpcRoute.enabled .Values.gateway.tcpRoute.routes) (not .Values.gateway.parentRefs) }}
{{- fail "gateway.parentRefs is empty: a route without a Gateway takes no traffic. Name the Gateway." }}
{{- end }}
{{- if and .Values.certificate.enabled (not .Values.certificate.issuerRef.name) }}
{{- fail "certificate.enabled is true, and certificate.issuerRef.name is empty. Name the issuer." }}
{{- end }}
{{- if and .Values.externalSecrets.secretStore.enabled (not .Values.externalSecrets.secretStore.provider) }}
{{- fail "externalSecrets.secretStore.enabled is true, and externalSecrets.secretStore.provider is empty. Say how to reach the store." }}
{{- end }}
{{- range .Values.externalSecrets.secrets }}
{{- if not (or .data .dataFrom) }}
{{- fail (printf "externalSecrets.secrets: %s has neither data nor dataFrom, so nothing would be in it. Say what it takes from the store." .name) }}
{{- end }}
{{- end }}
{{- if and $snapshot .Values.config.tls.enabled }}
{{- fail "config.tls.enabled: the server of orbitServer.compatibility snapshot-2025-11 has no TLS. End TLS in front of it: ingress, gateway, or a sidecar in extraContainers." }}
{{- end }}
{{- end }}

{{- /* What is accepted and has no effect, one sentence in each line. */ -}}
{{- define "orbit-rs.warnings" -}}
{{- range $key, $_ := .Values.strategy.rollingUpdate }}
strategy.rollingUpdate.{{ $key }} has no effect: {{ if eq $key "maxSurge" }}a StatefulSet has no such field.{{ else }}pods are replaced one at a time.{{ end }}
{{- end }}
{{- if toYaml .Values.affinity | contains "failure-domain.beta.kubernetes.io/" }}
affinity: no node carries failure-domain.beta.kubernetes.io/... any more; topology.kubernetes.io/... is used instead.
{{- end }}
{{- if not .Values.persistence.enabled }}
persistence.enabled is false: the data of an ordinal is lost with its pod.
{{- end }}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled }}
monitoring: serviceMonitor and podMonitor are both enabled: a Prometheus that selects both counts everything twice.
{{- end }}
{{- if and .Values.autoscaling.enabled (ne .Values.autoscaling.behavior.scaleDown.selectPolicy "Disabled") }}
autoscaling.behavior.scaleDown.selectPolicy is {{ .Values.autoscaling.behavior.scaleDown.selectPolicy }}: each server that is removed takes its data away from the clients.
{{- end }}
{{- if include "orbit-rs.snapshot" . }}
{{- with .Values.config }}
{{- range $key, $changed := dict "config.transactions.maxConnections" (ne 20 (int .transactions.maxConnections)) "config.saga.maxExecutionTimeSeconds" (ne 3600 (int .saga.maxExecutionTimeSeconds)) "config.performance.maxBlockingThreads" (ne 512 (int .performance.maxBlockingThreads)) "config.extra" (not (empty .extra)) }}
{{- if $changed }}
{{ $key }} has no effect: the server of orbitServer.compatibility snapshot-2025-11 reads no configuration file.
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
