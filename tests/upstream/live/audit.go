package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"k8s.io/apimachinery/pkg/types"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// auditIDPrefix tells the events of requests that are answered from those of the many others.
const auditIDPrefix = "deputize-live-"

// auditLog is the standard output of a kube-apiserver. Audit events are all that is written there, a line each.
type auditLog struct {
	copy    io.Writer // gets all of it
	partial []byte
	events  chan auditv1.Event
}

func newAuditLog(copy io.Writer) *auditLog {
	// More than one request has events that nobody waits for: a watch has two.
	return &auditLog{copy: copy, events: make(chan auditv1.Event, 1024)}
}

// Write is told what the server writes. The server waits meanwhile, and so does the request that the event is about.
func (l *auditLog) Write(data []byte) (int, error) {
	if _, err := l.copy.Write(data); err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	l.partial = append(l.partial, data...)
	for {
		line, rest, complete := bytes.Cut(l.partial, []byte("\n"))
		if !complete {
			return len(data), nil
		}
		if bytes.Contains(line, []byte(auditIDPrefix)) {
			var event auditv1.Event
			if err := json.Unmarshal(line, &event); err != nil {
				return 0, fmt.Errorf("audit log: %w", err)
			}
			l.events <- event
		}
		l.partial = rest
	}
}

// wait returns the first event of a request. Where there are several, of a long-running request, the first already has
// all decisions: it is made when the response begins.
func (s *apiServer) wait(id types.UID) (*auditv1.Event, error) {
	timeout := time.After(patience)
	for {
		select {
		case event := <-s.audit.events:
			if event.AuditID == id {
				return &event, nil
			}
		case <-s.process.done:
			return nil, s.process.failed("no audit event")
		case <-timeout:
			return nil, s.process.failed("no audit event")
		}
	}
}
