{{- define "orbit-rs.headless" -}}
{{ .Values.nameOverride }}-headless
{{- end }}

{{- /* "true" for the real server's snapshot of November 2025, nothing for the documented server. */ -}}
{{- define "orbit-rs.snapshot" -}}
{{- if eq .Values.orbitServer.compatibility "snapshot-2025-11" }}true{{ end }}
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
{{ with .registry }}{{ . }}/{{ end }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}
{{- end }}

{{- /*
Every port: its name in the cluster, the pod's port, the Service's port, and the section of the file that sets it.
The snapshot opens 127.0.0.1:6379 and :5432 a second time, and ends itself when they are taken: it gets others.
*/ -}}
{{- define "orbit-rs.ports" -}}
{{- $snapshot := include "orbit-rs.snapshot" . }}
{{- with .Values.orbitServer.service -}}
- {name: grpc, port: 50051, service: {{ int64 .grpcPort }}, section: server}
{{- if not $snapshot }}
- {name: http, port: 8080, service: {{ int64 .healthPort }}, section: server}
{{- end }}
- {name: metrics, port: 9090, service: {{ int64 .metricsPort }}, section: server}
- {name: redis, port: {{ ternary 16379 6379 (eq $snapshot "true") }}, service: {{ int64 .redisPort }}, section: protocols}
- {name: postgres, port: {{ ternary 15432 5432 (eq $snapshot "true") }}, service: {{ int64 .postgresPort }}, section: protocols}
- {name: mysql, port: 3306, service: {{ int64 .mysqlPort }}, section: protocols}
- {name: cql, port: 9042, service: {{ int64 .cqlPort }}, section: protocols}
- {name: cypher, port: 7687, service: {{ int64 .cypherPort }}, section: protocols}
- {name: aql, port: 8529, service: {{ int64 .aqlPort }}, section: protocols}
{{- end }}
{{- end }}

{{- /* The same as a map from name to pod port and Service port. */ -}}
{{- define "orbit-rs.portMap" -}}
{{- range include "orbit-rs.ports" . | fromYamlArray }}
{{ .name }}: {pod: {{ int64 .port }}, service: {{ int64 .service }}}
{{- end }}
{{- end }}

{{- /*
Numbers pass through int64: Helm holds them as floats, and TOML has no integer 2.097152e+06.
Strings are written as JSON strings: all their escapes are TOML's as well.
*/ -}}
{{- define "orbit-rs.tomlValue" -}}
{{- if kindIs "string" . }}{{ toRawJson . }}
{{- else if kindIs "bool" . }}{{ . }}
{{- else if kindIs "slice" . }}[{{ range $index, $item := . }}{{ if $index }}, {{ end }}{{ include "orbit-rs.tomlValue" $item }}{{ end }}]
{{- else if eq (float64 .) (float64 (int64 .)) }}{{ int64 . }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{- define "orbit-rs.toml" -}}
{{- $file := dict "server" (dict "bind" "0.0.0.0" "data_dir" "/app/data") "protocols" dict }}
{{- range include "orbit-rs.ports" . | fromYamlArray }}
{{- $_ := set (get $file .section) (printf "%s_port" .name) .port }}
{{- end }}
{{- with .Values.config }}
{{- $_ := set $file "logging" (dict "level" .logging.level) }}
{{- $_ := set $file "transactions" (dict "max_connections" .transactions.maxConnections) }}
{{- $_ := set $file "saga" (dict "max_execution_time_seconds" .saga.maxExecutionTimeSeconds) }}
{{- $_ := set $file "performance" (dict "worker_threads" .performance.workerThreads "max_blocking_threads" .performance.maxBlockingThreads) }}
{{- $_ := set $file "tls" (dict "enabled" .tls.enabled "cert_file" .tls.certFile "key_file" .tls.keyFile) }}
{{- $file = mergeOverwrite $file (deepCopy .extra) }}
{{- end }}
{{- range $section, $keys := $file }}
[{{ $section }}]
{{- range $key, $value := $keys }}
{{ $key }} = {{ include "orbit-rs.tomlValue" $value }}
{{- end }}
{{ end }}
{{- end }}

{{- define "orbit-rs.command" -}}
{{- if include "orbit-rs.snapshot" . -}}
{{- $ports := include "orbit-rs.portMap" . | fromYaml -}}
- /app/orbit-server
# No such file, on purpose: with a file its 59 mandatory keys count, and almost none has an effect. The flags count.
- --config=/app/none.toml
- --bind=0.0.0.0
- --data-dir=/app/data
- --grpc-port={{ int64 $ports.grpc.pod }}
- --metrics-port={{ int64 $ports.metrics.pod }}
- --redis-port={{ int64 $ports.redis.pod }}
- --postgres-port={{ int64 $ports.postgres.pod }}
- --mysql-port={{ int64 $ports.mysql.pod }}
- --cql-port={{ int64 $ports.cql.pod }}
- --log-level={{ .Values.config.logging.level }}
{{- else -}}
- /app/orbit-server
- --config
- /tmp/orbit-server.toml
{{- end }}
{{- range .Values.orbitServer.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* One probe; takes {probe, default}: what the values say, and what is asked when they do not say it. */ -}}
{{- define "orbit-rs.probe" -}}
{{- $ask := .default }}
{{- range $kind := list "httpGet" "tcpSocket" "grpc" "exec" }}
{{- with get $.probe $kind }}
{{- $ask = dict $kind . }}
{{- end }}
{{- end }}
{{- /* The upstream chart calls the port `health`. */ -}}
{{ toYaml $ask | replace "port: health" "port: http" }}
initialDelaySeconds: {{ int64 .probe.initialDelaySeconds }}
periodSeconds: {{ int64 .probe.periodSeconds }}
timeoutSeconds: {{ int64 .probe.timeoutSeconds }}
failureThreshold: {{ int64 .probe.failureThreshold }}
{{- with .probe.successThreshold }}
successThreshold: {{ int64 . }}
{{- end }}
{{- end }}

{{- define "orbit-rs.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1001
runAsGroup: 1001
fsGroup: 1001
# Always, the default, walks through the whole volume at each start.
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- /* Each container repeats what the pod says, so that neither can be weakened alone. */ -}}
{{- define "orbit-rs.securityContext" -}}
{{- $pod := mergeOverwrite (include "orbit-rs.podSecurityContext" . | fromYaml) .Values.orbitServer.podSecurityContext -}}
{{- $own := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" true "runAsNonRoot" true "runAsUser" $pod.runAsUser "seccompProfile" $pod.seccompProfile "capabilities" (dict "drop" (list "ALL")) -}}
{{ mergeOverwrite $own .Values.orbitServer.securityContext | toYaml }}
{{- end }}

{{- /* More containers, with what they leave open of the restricted standard; takes {root, containers}. */ -}}
{{- define "orbit-rs.containers" -}}
{{- range .containers }}
{{- $own := include "orbit-rs.securityContext" $.root | fromYaml }}
{{- $container := mergeOverwrite (dict "securityContext" $own) (deepCopy .) }}
- {{ toYaml $container | nindent 2 | trim }}
{{- end }}
{{- end }}

{{- /* Requests and limits of the server: the top level wins, field by field. */ -}}
{{- define "orbit-rs.resources" -}}
{{ mergeOverwrite (deepCopy .Values.orbitServer.resources) .Values.resources | toYaml }}
{{- end }}

{{- /* The selector of all series of the release's pods, for PromQL. */ -}}
{{- define "orbit-rs.series" -}}
namespace="{{ .Release.Namespace }}",pod=~"{{ .Values.nameOverride }}-[0-9]+"
{{- end }}

{{- /* What a monitor of either kind says about its endpoint; takes {root, monitor}. */ -}}
{{- define "orbit-rs.endpoint" -}}
port: metrics
path: /metrics
interval: {{ .monitor.interval }}
scrapeTimeout: {{ .monitor.scrapeTimeout }}
honorLabels: {{ .monitor.honorLabels }}
{{- with .monitor.relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Fewest servers that there can be: what a budget has to be able to live with. */ -}}
{{- define "orbit-rs.fewest" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.orbitServer.replicaCount .Values.autoscaling.enabled | int64 }}
{{- end }}
