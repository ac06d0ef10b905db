// Package protocol is the JSON lines that the oracle and the live API server are talked to with.
package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"deputize.dev/tests/upstream/internal/world"
)

// Server answers requests in a world.
type Server interface {
	// Set is told the world in which the following requests are made, and whether its API server has the feature
	// ConstrainedImpersonation.
	Set(w *world.World, constrained bool) error
	// Answer is what becomes the line of output.
	Answer(r *Request) (any, error)
}

// line is either a world or a request.
type line struct {
	World *struct {
		Items []json.RawMessage `json:"items"`
	} `json:"world"`
	Constrained bool `json:"constrained"`
	Request
}

// Serve answers all lines. Answers are held back only while there is more input to read at once, so that a server can be
// talked to through a pair of pipes.
func Serve(server Server, input io.Reader, output io.Writer) (err error) {
	in := bufio.NewReaderSize(input, 1<<16)
	out := bufio.NewWriterSize(output, 1<<16)
	defer func() { err = errors.Join(err, out.Flush()) }() // what was answered before it went wrong is right
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)

	var inWorld bool
	for number := 1; ; number++ {
		text, readErr := in.ReadBytes('\n')
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return readErr
		}
		if len(text) > 1 {
			var next line
			if err := json.Unmarshal(text, &next); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			switch {
			case next.World != nil:
				w, err := world.New(next.World.Items)
				if err == nil {
					err = server.Set(w, next.Constrained)
				}
				if err != nil {
					return fmt.Errorf("line %d: %w", number, err)
				}
				inWorld = true
			case !inWorld:
				return fmt.Errorf("line %d: a request before any world", number)
			default:
				answer, err := server.Answer(&next.Request)
				if err != nil {
					return fmt.Errorf("line %d: %w", number, err)
				}
				if err := encoder.Encode(answer); err != nil {
					return err
				}
			}
		}
		if readErr != nil {
			return nil
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}
