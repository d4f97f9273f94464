{{- define "orbit-rs.headless" -}}
{{ .Values.nameOverride }}-headless
{{- end }}

{{- define "orbit-rs.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* Never on a pod or a claim: they change with every version of the chart. */ -}}
{{- define "orbit-rs.labels" -}}
{{ include "orbit-rs.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "orbit-rs.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default .Values.nameOverride }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "orbit-rs.image" -}}
{{- with .Values.orbitServer.image -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- /* Every port of the server: its name in the cluster and the section of the configuration that sets it. */ -}}
{{- define "orbit-rs.ports" -}}
- {name: grpc, port: 50051, section: server}
- {name: http, port: 8080, section: server}
- {name: metrics, port: 9090, section: server}
- {name: redis, port: 6379, section: protocols}
- {name: postgres, port: 5432, section: protocols}
- {name: mysql, port: 3306, section: protocols}
- {name: cql, port: 9042, section: protocols}
- {name: cypher, port: 7687, section: protocols}
- {name: aql, port: 8529, section: protocols}
{{- end }}

{{- define "orbit-rs.servicePorts" -}}
{{- range include "orbit-rs.ports" . | fromYamlArray }}
- name: {{ .name }}
  port: {{ int64 .port }}
  targetPort: {{ .name }}
{{- end }}
{{- end }}

{{- /*
Numbers pass through int64: Helm holds them as floats, and TOML has no integer 2.097152e+06.
Strings are written as JSON strings: all their escapes are TOML's as well.
*/ -}}
{{- define "orbit-rs.toml" -}}
{{- $ports := include "orbit-rs.ports" . | fromYamlArray -}}
[server]
bind = "0.0.0.0"
data_dir = "/app/data"
{{- range $ports }}{{ if eq .section "server" }}
{{ .name }}_port = {{ int64 .port }}
{{- end }}{{ end }}

[protocols]
{{- range $ports }}{{ if eq .section "protocols" }}
{{ .name }}_port = {{ int64 .port }}
{{- end }}{{ end }}
{{- with .Values.config }}

[logging]
level = {{ toRawJson .logging.level }}

[transactions]
max_connections = {{ int64 .transactions.maxConnections }}

[saga]
max_execution_time_seconds = {{ int64 .saga.maxExecutionTimeSeconds }}

[performance]
worker_threads = {{ int64 .performance.workerThreads }}
max_blocking_threads = {{ int64 .performance.maxBlockingThreads }}

[tls]
enabled = {{ .tls.enabled }}
cert_file = {{ toRawJson .tls.certFile }}
key_file = {{ toRawJson .tls.keyFile }}
{{- end }}
{{- end }}

{{- /* A probe of the health endpoint; takes {path, probe}. */ -}}
{{- define "orbit-rs.probe" -}}
httpGet:
  path: {{ .path }}
  port: http
initialDelaySeconds: {{ int64 .probe.initialDelaySeconds }}
periodSeconds: {{ int64 .probe.periodSeconds }}
timeoutSeconds: {{ int64 .probe.timeoutSeconds }}
failureThreshold: {{ int64 .probe.failureThreshold }}
{{- end }}

{{- /* What the schema cannot say, because it needs more than one value. */ -}}
{{- define "orbit-rs.check" -}}
{{- $server := .Values.orbitServer }}
{{- $replicas := int64 $server.replicaCount }}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
{{- /* toJson: toString would write a large number with an exponent. */ -}}
{{- $min := toJson .minAvailable | trimAll "\"" }}
{{- $max := toJson .maxUnavailable | trimAll "\"" }}
{{- $stay := trimSuffix "%" $min | int64 }}
{{- if hasSuffix "%" $min }}
{{- /* Kubernetes rounds a percentage up. */ -}}
{{- $stay = div (add (mul $stay $replicas) 99) 100 }}
{{- end }}
{{- if and $min (ge $stay $replicas) }}
{{- fail (printf "podDisruptionBudget.minAvailable %s can never be satisfied at orbitServer.replicaCount %d: no pod could be evicted and every drain of a node would hang. Leave minAvailable out (maxUnavailable 1 is the default) or raise the replica count." $min $replicas) }}
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
{{- end }}
