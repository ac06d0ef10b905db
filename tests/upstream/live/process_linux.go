package main

import (
	"os/exec"
	"runtime"
	"sync"
	"syscall"
)

// starts are made by one thread that never ends: a parent, to the kernel, is the thread that started the child.
var starts = sync.OnceValue(func() chan func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range queue {
			start()
		}
	}()
	return queue
})

// startBound starts a child that is killed when this program ends, even if that is killed itself and can clean up nothing.
func startBound(command *exec.Cmd) error {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	result := make(chan error)
	starts() <- func() { result <- command.Start() }
	return <-result
}
