{{/* The name of everything. */}}
{{- define "attestation.name" -}}
{{- printf "%s-envoy" .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- end }}

{{- define "attestation.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: proxy
{{- end }}

{{- define "attestation.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* Every domain, with any port too: Envoy compares both. */}}
{{- define "attestation.domains" -}}
{{- $domains := list -}}
{{- range .Values.domains -}}
{{- $domains = concat $domains (list . (printf "%s:*" .)) -}}
{{- end -}}
{{- toJson $domains -}}
{{- end }}

{{/* The host of the identity provider's keyset, and its port. */}}
{{- define "attestation.idpHost" -}}
{{- regexReplaceAll ":[0-9]+$" (urlParse .Values.login.jwksUri).host "" -}}
{{- end }}
{{- define "attestation.idpPort" -}}
{{- $host := (urlParse .Values.login.jwksUri).host -}}
{{- if regexMatch ":[0-9]+$" $host -}}{{ regexFind "[0-9]+$" $host }}{{- else -}}443{{- end -}}
{{- end }}

{{/* The filter's configuration. */}}
{{- define "attestation.settings" -}}
{{- $key := dict "signing_key_file" "/run/secrets/attestation/signing-key.pem" -}}
{{- if eq .Values.host "wasm" -}}
{{- $_ := set $key "signing_key_cluster" "signing_key" -}}
{{- end -}}
{{- toJson (merge $key .Values.settings) -}}
{{- end }}

{{/* Removes what jwt_claims_headers sends before a route is chosen: any byte that is no letter or digit stands for `-`. */}}
{{- define "attestation.removals" -}}
{{- range $header, $claim := .Values.settings.jwt_claims_headers }}
- remove_on_match:
    key_matcher:
      safe_regex: {regex: {{ regexReplaceAll "[^a-z0-9]" (lower $header) "[^a-z0-9]" | quote }}}
{{- end }}
{{- end }}

{{- define "attestation.metricsListener" -}}
- name: metrics
  address:
    socket_address: {address: 0.0.0.0, port_value: 9902}
  filter_chains:
  - filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
        stat_prefix: metrics
        http_filters:
        - name: envoy.filters.http.router
          typed_config:
            "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
        route_config:
          virtual_hosts:
          - name: metrics
            domains: ["*"]
            routes:
            - match: {path: /stats/prometheus}
              route: {cluster: admin}
{{- end }}

{{- define "attestation.adminCluster" -}}
- name: admin
  load_assignment:
    cluster_name: admin
    endpoints:
    - lb_endpoints:
      - endpoint:
          address:
            socket_address: {address: 127.0.0.1, port_value: 9901}
{{- end }}

{{- define "attestation.bootstrap" -}}
{{ tpl (.Files.Get (printf "files/%s.yaml" .Values.host)) . }}
{{- end }}

{{- define "attestation.image" -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end }}
