// Command kubectl is the upstream client, built like cmd/kubectl of k8s.io/kubernetes.
package main

import (
	"os"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // the authentication plugins
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	// As upstream does: the verbosity must be known before the command is built.
	_, _ = logs.GlogSetter(cmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err)
	}
}
