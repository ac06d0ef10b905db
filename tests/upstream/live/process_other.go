//go:build !linux

package main

import "os/exec"

// startBound starts a child. Other systems than Linux cannot bind its life to that of this program: whoever kills this
// program by SIGKILL has to look for it.
func startBound(command *exec.Cmd) error {
	return command.Start()
}
