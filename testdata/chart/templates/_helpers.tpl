{{/* The name of everything. */}}
{{- define "proxy.fullname" -}}
{{ .Release.Name }}-{{ .Chart.Name }}
{{- end -}}

{{- define "proxy.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* A binding that several charts share. */}}
{{- define "proxy.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ include "proxy.fullname" . }}
  labels:
    {{- include "proxy.labels" . | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: {{ include "proxy.fullname" . }}
subjects:
- kind: ServiceAccount
  name: {{ include "proxy.fullname" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
