package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// auditPolicy records who every request ran as. Stages with nothing to say about that are left out.
const auditPolicy = `{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [{"level": "Metadata"}]}`

// Headers in which a front proxy names the requestor.
const (
	userHeader        = "X-Remote-User"
	groupHeader       = "X-Remote-Group"
	extraHeaderPrefix = "X-Remote-Extra-"
)

// apiServer is a kube-apiserver that runs.
type apiServer struct {
	process  *process
	url      string
	client   *http.Client
	upgrades *http.Client // speaks HTTP/1.1: WebSockets need it
	audit    *auditLog
	sent     int // requests, for their audit ids
}

// startAPIServer takes more flags, which win over its own.
func startAPIServer(p *processes, bin, dir string, i *identity, e *etcd, constrained bool, events io.Writer, flags ...string) (*apiServer, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	policy := filepath.Join(dir, "audit-policy.json")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	return withFreePort(func(port int) (*apiServer, *process, error) {
		audit := newAuditLog(events)
		arguments := append([]string{
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1", // else it looks for a network
			"--endpoint-reconciler-type=none",
			fmt.Sprint("--secure-port=", port),
			"--cert-dir=" + dir,
			"--tls-cert-file=" + i.certificateFile,
			"--tls-private-key-file=" + i.keyFile,
			"--etcd-servers=" + e.url,
			"--etcd-prefix=/" + filepath.Base(dir),
			"--service-cluster-ip-range=10.0.0.0/24",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + i.signerFile,
			"--service-account-signing-key-file=" + i.signerFile,

			"--authorization-mode=RBAC",
			fmt.Sprintf("--feature-gates=ConstrainedImpersonation=%t", constrained),
			"--requestheader-client-ca-file=" + i.authorityFile,
			"--requestheader-allowed-names=" + proxyName,
			"--requestheader-username-headers=" + userHeader,
			"--requestheader-group-headers=" + groupHeader,
			"--requestheader-extra-headers-prefix=" + extraHeaderPrefix,
			"--audit-policy-file=" + policy,
			"--audit-log-path=-",

			// Worlds need not have namespaces, nor pods a controller that makes the service account's token.
			"--disable-admission-plugins=NamespaceLifecycle,ServiceAccount",
			"--enable-priority-and-fairness=false", // there is one client
			"--profiling=false",                    // its paths take their time to answer
		}, flags...)
		started, err := p.start("kube-apiserver", filepath.Join(dir, "kube-apiserver.log"), audit, filepath.Join(bin, "kube-apiserver"), arguments...)
		if err != nil {
			return nil, nil, err
		}
		server := &apiServer{
			process: started,
			url:     fmt.Sprintf("https://127.0.0.1:%d", port),
			audit:   audit,
			// Over HTTP/2, requests that are broken off leave the connection as it is.
			client:   newClient(i, true),
			upgrades: newClient(i, false),
		}
		return server, started, started.waitFor(func() error { return server.call(http.MethodGet, "/readyz", nil, nil) })
	})
}

// newClient is a client that the server takes for its front proxy.
func newClient(i *identity, http2 bool) *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:    &tls.Config{RootCAs: i.authorities, Certificates: []tls.Certificate{i.proxy}},
			ForceAttemptHTTP2:  http2,
			DisableCompression: true,
		},
		// Another request would be an answer of its own.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
}
