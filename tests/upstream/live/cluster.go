package main

import (
	"errors"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"deputize.dev/tests/upstream/internal/world"
)

// Files in the directory of a cluster. Whoever uses it writes the first.
const (
	tokensFile     = "tokens.csv" // of users, as --token-auth-file has them
	kubeconfigFile = "kubeconfig"
	auditFile      = "audit.log"
)

// adminToken is that of the kubeconfig.
const adminToken = "admin"

// cluster is one API server with its default roles, and the controller that fills aggregated ClusterRoles.
type cluster struct {
	dir        string
	events     *os.File
	controller *process
}

// restart starts the API server of the cluster, or starts it anew: its objects stay, and it has forgotten which mode each
// requestor succeeded with. It listens elsewhere, so the controller is started anew too.
func (d *driver) restart(w *world.World, dir string, constrained bool) error {
	if len(w.Objects()) > 0 {
		return errors.New("the objects of a cluster are applied to it")
	}
	c := d.cluster
	if c.controller != nil {
		c.controller.kill()
	}
	if c.events == nil {
		var err error
		if c.events, err = os.Create(filepath.Join(c.dir, auditFile)); err != nil {
			return err
		}
	}
	server, err := startAPIServer(d.processes, d.bin, dir, d.identity, d.etcd, constrained, c.events,
		"--etcd-prefix=/cluster", "--token-auth-file="+filepath.Join(c.dir, tokensFile))
	if err != nil {
		return err
	}
	d.server = server
	if d.tokens == nil {
		d.tokens = &tokens{}
	}
	d.tokens.server = server

	kubeconfig := filepath.Join(c.dir, kubeconfigFile)
	if err := clientcmd.WriteToFile(newKubeconfig(server.url, d.identity.authorityFile), kubeconfig); err != nil {
		return err
	}
	program, err := d.besides("kube-controller-manager")
	if err != nil {
		return err
	}
	c.controller, err = d.processes.start("kube-controller-manager", filepath.Join(dir, "kube-controller-manager.log"), nil, program,
		"--kubeconfig="+kubeconfig,
		"--controllers=clusterrole-aggregation-controller",
		"--leader-elect=false",
		"--secure-port=0",
	)
	return err
}

func newKubeconfig(url, authorityFile string) api.Config {
	config := api.NewConfig()
	config.Clusters["live"] = &api.Cluster{Server: url, CertificateAuthority: authorityFile}
	config.AuthInfos["admin"] = &api.AuthInfo{Token: adminToken}
	config.Contexts["live"] = &api.Context{Cluster: "live", AuthInfo: "admin"}
	config.CurrentContext = "live"
	return *config
}

// besides is a program that is not in all collections of etcd and kube-apiserver: else it is where this program is.
func (d *driver) besides(name string) (string, error) {
	program := filepath.Join(d.bin, name)
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	self, err := os.Executable()
	return filepath.Join(filepath.Dir(self), name), err
}
