package main

import (
	"bytes"
	"testing"
)

// TestAuditLog has events that arrive in pieces: all are kept, and only those of answered requests are told apart.
func TestAuditLog(t *testing.T) {
	const text = `{"auditID":"other"}` + "\n" + `{"auditID":"deputize-live-1"}` + "\n" + `{"auditID":"deputize-live-2"}` + "\n"
	for size := 1; size <= len(text); size++ {
		var kept bytes.Buffer
		log := newAuditLog(&kept)
		for rest := []byte(text); len(rest) > 0; {
			piece := rest[:min(size, len(rest))]
			if n, err := log.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
			rest = rest[len(piece):]
		}
		if kept.String() != text {
			t.Errorf("in pieces of %d: kept %q", size, kept.String())
		}
		close(log.events)
		var ids []string
		for event := range log.events {
			ids = append(ids, string(event.AuditID))
		}
		if len(ids) != 2 || ids[0] != "deputize-live-1" || ids[1] != "deputize-live-2" {
			t.Errorf("in pieces of %d: %q", size, ids)
		}
	}
}
