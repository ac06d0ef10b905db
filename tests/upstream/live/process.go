package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// processes are the servers that run. None outlives the driver.
type processes struct {
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func newProcesses() *processes {
	ctx, cancel := context.WithCancel(context.Background())
	return &processes{ctx: ctx, cancel: cancel}
}

// end kills all of them and waits until they are gone. None can be started any more.
func (p *processes) end() {
	p.cancel()
	p.running.Wait()
}

// patience is how long a server may take for what it is waited for: far longer than it does, for the sake of busy machines.
const patience = 2 * time.Minute

// process is a server that runs, or did.
type process struct {
	name   string
	cancel context.CancelFunc
	log    string        // a file
	done   chan struct{} // closed when it ended
	err    error         // why it ended, once it has
}

// start runs a program whose log, or what it writes to standard error, goes to a file.
func (p *processes) start(name, log string, stdout io.Writer, program string, args ...string) (*process, error) {
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer file.Close() // the child has its own
	ctx, cancel := context.WithCancel(p.ctx)
	command := exec.CommandContext(ctx, program, args...)
	command.Stdout, command.Stderr = stdout, file
	if err := startBound(command); err != nil {
		cancel()
		return nil, err
	}
	started := &process{name: name, cancel: cancel, log: log, done: make(chan struct{})}
	p.running.Go(func() {
		defer cancel()
		started.err = command.Wait()
		close(started.done)
	})
	return started, nil
}

// kill ends it at once: all that it keeps is thrown away anyway.
func (p *process) kill() {
	p.cancel()
	<-p.done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// waitFor tries until a process does what it should.
func (p *process) waitFor(try func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := try()
		switch {
		case err == nil:
			return nil
		case p.ended():
			return p.failed("%v", err)
		case time.Now().After(deadline):
			return p.failed("no success in %v: %v", patience, err)
		}
	}
}

// failed adds the end of the log, which is thrown away together with the process, to an error.
func (p *process) failed(format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	if p.ended() {
		reason += fmt.Sprintf(" (it ended: %v)", p.err)
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		text = []byte(err.Error())
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	lines = lines[max(0, len(lines)-10):]
	return fmt.Errorf("%s: %s; its log ends with:\n%s", p.name, reason, strings.Join(lines, "\n"))
}

// lostPort tells whether somebody else took the port between freePort and the start.
func (p *process) lostPort() bool {
	text, err := os.ReadFile(p.log)
	return err == nil && p.ended() && strings.Contains(string(text), "address already in use")
}

// freePort is a port that nobody listened on a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// withFreePort tries again with another port where a port was lost.
func withFreePort[T any](start func(port int) (T, *process, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		port, err := freePort()
		if err != nil {
			var none T
			return none, err
		}
		started, process, err := start(port)
		if err == nil || attempt == 5 || process == nil || !process.lostPort() {
			return started, err
		}
	}
}
