// Command oracle answers impersonation requests with the API server's own code: the impersonation filters of
// k8s.io/apiserver, in front of the RBAC authorizer of k8s.io/kubernetes.
//
// It reads JSON lines and writes JSON lines. A line {"world": {"items": […]}, "constrained": true} sets the RBAC objects
// and whether the server has the feature ConstrainedImpersonation; it has no answer. Every other line is a request like
// the input of `deputize simulate`, and is answered by one line like its output.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"
)

// line is either a world or a request.
type line struct {
	World *struct {
		Items []json.RawMessage `json:"items"`
	} `json:"world"`
	Constrained bool `json:"constrained"`
	request
}

func main() {
	timed := flag.Bool("time", false, "print on standard error how long answering took, without reading and writing JSON")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	debug.SetGCPercent(800) // the heap is tiny, and a new handler a request makes a lot of garbage
	stats, err := run(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(2)
	}
	if stats.unsorted > 0 {
		fmt.Fprintf(os.Stderr, "oracle: %d answers with the checks of extras not in the order of their keys\n", stats.unsorted)
	}
	if *timed {
		seconds := stats.answering.Seconds()
		fmt.Fprintf(os.Stderr, "oracle: %d requests in %.3f s, %.0f requests/s\n",
			stats.requests, seconds, float64(stats.requests)/max(seconds, 1e-9))
	}
}

type stats struct {
	requests, unsorted int
	answering          time.Duration
}

// run answers all lines. Answers are held back only while there is more input to read at once, so that the oracle can be
// talked to through a pair of pipes.
func run(input io.Reader, output io.Writer) (stats, error) {
	in := bufio.NewReaderSize(input, 1<<16)
	out := bufio.NewWriterSize(output, 1<<16)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)

	var total stats
	var server *server
	for number := 1; ; number++ {
		text, readErr := in.ReadBytes('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return total, readErr
		}
		if len(text) > 1 {
			var next line
			if err := json.Unmarshal(text, &next); err != nil {
				return total, fmt.Errorf("line %d: %w", number, err)
			}
			switch {
			case next.World != nil:
				world, err := newWorld(next.World.Items)
				if err != nil {
					return total, fmt.Errorf("line %d: %w", number, err)
				}
				server = newServer(world, next.Constrained)
			case server == nil:
				return total, fmt.Errorf("line %d: a request before any world", number)
			default:
				start := time.Now()
				answer, sorted := server.answer(&next.request)
				total.answering += time.Since(start)
				total.requests++
				if !sorted {
					total.unsorted++
				}
				if err := encoder.Encode(answer); err != nil {
					return total, err
				}
			}
		}
		if readErr != nil || in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return total, err
			}
		}
		if readErr != nil {
			return total, nil
		}
	}
}
