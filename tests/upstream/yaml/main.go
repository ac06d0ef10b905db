// Command yaml reads files as kubectl does: it finds out their encoding, tells JSON from YAML, splits them into documents,
// and converts each one to JSON, all with kubectl's own packages.
//
// Input and output are frames: the length in four bytes, little-endian, then as many bytes. A frame of input is the content
// of a file, and its answer is {"values": […], "error": "…"}: the documents that are not null, up to the first error.
// Of numbers it says only that they are numbers.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
	kuberuntime "k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

type answer struct {
	Values []any  `json:"values"`
	Error  string `json:"error,omitempty"`
}

func main() {
	debug.SetGCPercent(800) // the heap is tiny
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "yaml:", err)
		os.Exit(2)
	}
}

// serve answers frames in their order, on all processors, and flushes when no more input is waiting.
func serve(input io.Reader, output io.Writer) error {
	reader := bufio.NewReaderSize(input, 1<<20)
	pending := make(chan chan []byte, 64*runtime.GOMAXPROCS(0))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	written := make(chan error, 1)
	go func() {
		writer := bufio.NewWriterSize(output, 1<<20)
		var err error
		for result := range pending {
			frame := <-result
			if err == nil {
				err = binary.Write(writer, binary.LittleEndian, uint32(len(frame)))
			}
			if err == nil {
				_, err = writer.Write(frame)
			}
			if err == nil && len(pending) == 0 {
				err = writer.Flush()
			}
		}
		written <- err
	}()
	var failed error
	for {
		var length uint32
		if err := binary.Read(reader, binary.LittleEndian, &length); err != nil {
			if !errors.Is(err, io.EOF) {
				failed = err
			}
			break
		}
		content := make([]byte, length)
		if _, err := io.ReadFull(reader, content); err != nil {
			failed = err
			break
		}
		result := make(chan []byte, 1)
		pending <- result
		limit <- struct{}{}
		go func() {
			defer func() { <-limit }()
			result <- encode(read(content))
		}()
	}
	close(pending)
	return errors.Join(failed, <-written)
}

func encode(a answer) []byte {
	frame, err := json.Marshal(a)
	if err != nil {
		frame, _ = json.Marshal(answer{Values: []any{}, Error: err.Error()})
	}
	return frame
}

// read does what (*FileVisitor).Visit and (*StreamVisitor).Visit of k8s.io/cli-runtime/pkg/resource do with a file, up to
// the JSON of each object, and decodes that as kubectl does.
func read(content []byte) (a answer) {
	a.Values = []any{}
	defer func() {
		// Its YAML reader may panic, which ends kubectl.
		if cause := recover(); cause != nil {
			a.Error = fmt.Sprint("panic: ", cause)
		}
	}()
	decoded := transform.NewReader(bytes.NewReader(content), unicode.BOMOverride(unicode.UTF8.NewDecoder()))
	decoder := yaml.NewYAMLOrJSONDecoder(decoded, 4096)
	for {
		var extension kuberuntime.RawExtension
		if err := decoder.Decode(&extension); err != nil {
			if err != io.EOF {
				a.Error = err.Error()
			}
			return a
		}
		raw := bytes.TrimSpace(extension.Raw)
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			continue
		}
		var value any
		if err := utiljson.Unmarshal(raw, &value); err != nil {
			a.Error = err.Error()
			return a
		}
		a.Values = append(a.Values, withoutNumbers(value))
	}
}

func withoutNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, of := range value {
			value[key] = withoutNumbers(of)
		}
	case []any:
		for index, of := range value {
			value[index] = withoutNumbers(of)
		}
	case int64, float64:
		return 0
	}
	return value
}
