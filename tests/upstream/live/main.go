// Command live answers impersonation requests with a real kube-apiserver, and takes its audit log as witness.
//
// It speaks the oracle's protocol: a line {"world": {"items": […]}, "constrained": true} starts an API server with these
// RBAC objects and no others; every other line is a request like the input of `deputize simulate`, which is sent to that
// server and answered by one line. Requests are sent one after the other, because a server remembers. With -cluster it is
// one cluster instead, whose objects others apply.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"deputize.dev/tests/upstream/internal/protocol"
	"deputize.dev/tests/upstream/internal/world"
)

func main() {
	bin := flag.String("bin", "", "directory of etcd and kube-apiserver (default: $KUBEBUILDER_ASSETS if they are there, else the directory of this program)")
	tokens := flag.Bool("tokens", false, "let requestors be service accounts with tokens bound to a pod, on the node of their extras")
	dir := flag.String("cluster", "", "directory of one cluster that stays, with its default roles and a kubeconfig: a world starts its API server anew")
	timed := flag.Bool("time", false, "print on standard error how long starting and answering took")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	d := &driver{withTokens: *tokens}
	if *dir != "" {
		d.cluster = &cluster{dir: *dir}
	}
	err := d.open(*bin)
	if err == nil {
		err = protocol.Serve(d, os.Stdin, os.Stdout)
	}
	d.close()
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(2)
	}
	if *timed {
		seconds := d.answering.Seconds()
		fmt.Fprintf(os.Stderr, "live: %d worlds in %.1f s; %d requests in %.1f s, %.0f requests/s\n",
			d.worlds, d.starting.Seconds(), d.requests, seconds, float64(d.requests)/max(seconds, 1e-9))
	}
}

// driver is the API server of one world after the other. Their etcd is the same; each has its own part of it.
type driver struct {
	withTokens bool
	cluster    *cluster // none: worlds
	bin, dir   string
	processes  *processes
	identity   *identity
	etcd       *etcd
	server     *apiServer
	tokens     *tokens

	worlds, requests    int
	starting, answering time.Duration
}

// open prepares what all worlds need. Whatever it returns, the driver has to be closed.
func (d *driver) open(bin string) (err error) {
	d.processes = newProcesses()
	if d.bin, err = binaries(bin); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "deputize-live-"); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		d.close()
		os.Exit(2)
	}()
	if d.identity, err = newIdentity(d.dir); err != nil {
		return err
	}
	d.etcd, err = startEtcd(d.processes, d.bin, d.dir)
	return err
}

// close ends everything that was started. It may run more than once, as a signal may come at any time.
func (d *driver) close() {
	d.processes.end()
	if d.dir != "" {
		os.RemoveAll(d.dir)
	}
}

// binaries is the directory of etcd and kube-apiserver.
func binaries(wanted string) (string, error) {
	complete := func(dir string) bool {
		_, etcdErr := os.Stat(filepath.Join(dir, "etcd"))
		_, serverErr := os.Stat(filepath.Join(dir, "kube-apiserver"))
		return errors.Join(etcdErr, serverErr) == nil
	}
	if wanted != "" {
		return wanted, nil
	}
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" && complete(assets) {
		return assets, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if dir := filepath.Dir(self); complete(dir) {
		return dir, nil
	}
	return "", errors.New("no etcd and kube-apiserver in $KUBEBUILDER_ASSETS or beside this program: build them, or use -bin")
}

// Set starts a new server. That, and not new objects in the old one, because a server remembers for good which mode each
// requestor succeeded with.
func (d *driver) Set(w *world.World, constrained bool) error {
	start := time.Now()
	defer func() { d.starting += time.Since(start) }()
	if d.server != nil {
		d.server.process.kill()
	}
	d.worlds++
	dir := filepath.Join(d.dir, fmt.Sprint("world-", d.worlds))
	if d.cluster != nil {
		return d.restart(w, dir, constrained)
	}
	server, err := startAPIServer(d.processes, d.bin, dir, d.identity, d.etcd, constrained, io.Discard)
	if err != nil {
		return err
	}
	d.server, d.tokens = server, &tokens{server: server}
	return server.apply(w)
}

func (d *driver) Answer(r *protocol.Request) (any, error) {
	start := time.Now()
	authenticate := asFrontProxy
	switch {
	case d.withTokens:
		authenticate = d.tokens.authenticate
	case d.cluster != nil:
		authenticate = d.tokens.orFrontProxy
	}
	a, err := d.server.answer(r, authenticate)
	d.answering += time.Since(start)
	d.requests++
	return a, err
}
