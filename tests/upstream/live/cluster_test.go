package main

import (
	"encoding/json"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"deputize.dev/tests/upstream/internal/world"
)

func TestKubeconfig(t *testing.T) {
	i, err := newIdentity(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.NewDefaultClientConfig(newKubeconfig("https://127.0.0.1:1", i.authorityFile), nil).ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if config.Host != "https://127.0.0.1:1" || config.CAFile != i.authorityFile || config.BearerToken != adminToken {
		t.Errorf("%+v", config)
	}
}

// TestClusterTakesNoWorld: else its objects would be taken for those of a cluster that has others.
func TestClusterTakesNoWorld(t *testing.T) {
	role := `{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "role"}}`
	w, err := world.New([]json.RawMessage{json.RawMessage(role)})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{processes: newProcesses(), cluster: &cluster{dir: t.TempDir()}}
	defer d.close()
	if err := d.Set(w, true); err == nil {
		t.Error("it was taken")
	}
}
