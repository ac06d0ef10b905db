// Command oracle answers impersonation requests with the API server's own code: the impersonation filters of
// k8s.io/apiserver, in front of the RBAC authorizer of k8s.io/kubernetes.
//
// It reads JSON lines and writes JSON lines. A line {"world": {"items": […]}, "constrained": true} sets the RBAC objects
// and whether the server has the feature ConstrainedImpersonation; it has no answer. Every other line is a request like
// the input of `deputize simulate`, and is answered by one line like its output.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"deputize.dev/tests/upstream/internal/protocol"
	"deputize.dev/tests/upstream/internal/world"
)

func main() {
	timed := flag.Bool("time", false, "print on standard error how long answering took, without reading and writing JSON")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	debug.SetGCPercent(800) // the heap is tiny, and a new handler a request makes a lot of garbage
	o := &oracle{}
	if err := protocol.Serve(o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	if o.unsorted > 0 {
		fmt.Fprintf(os.Stderr, "oracle: %d answers with the checks of extras not in the order of their keys\n", o.unsorted)
	}
	if *timed {
		seconds := o.answering.Seconds()
		fmt.Fprintf(os.Stderr, "oracle: %d requests in %.3f s, %.0f requests/s\n",
			o.requests, seconds, float64(o.requests)/max(seconds, 1e-9))
	}
}

// oracle is the server of one world after the other, and what to say about all of them.
type oracle struct {
	server             *server
	requests, unsorted int
	answering          time.Duration
}

func (o *oracle) Set(w *world.World, constrained bool) error {
	o.server = newServer(w, constrained)
	return nil
}

func (o *oracle) Answer(r *protocol.Request) (any, error) {
	start := time.Now()
	answer, sorted := o.server.answer(r)
	o.answering += time.Since(start)
	o.requests++
	if !sorted {
		o.unsorted++
	}
	return answer, nil
}
