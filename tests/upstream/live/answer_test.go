package main

import (
	"encoding/json"
	"testing"

	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

// TestRead has the kinds of events that a live server writes.
func TestRead(t *testing.T) {
	const (
		as      = `"impersonatedUser":{"username":"panda","groups":["system:authenticated"]}`
		allow   = `"annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed"}`
		forbid  = `"annotations":{"authorization.k8s.io/decision":"forbid","authorization.k8s.io/reason":""}`
		nothing = "" // no answer
	)
	for _, c := range []struct {
		event        string
		impersonates bool
		want         string // impersonation, mode, request
	}{
		{`{` + allow + `,"responseStatus":{"code":200}}`, false, "none - allowed"},
		{`{` + allow + `,"responseStatus":{"code":403}}`, false, "none - allowed"}, // refused by an admission plugin
		{`{` + forbid + `,"responseStatus":{"code":403}}`, false, "none - denied"},
		{`{` + as + `,` + allow + `,"responseStatus":{"code":400}}`, true, "allowed legacy allowed"}, // the body was no good
		{`{` + as + `,` + forbid + `,"responseStatus":{"code":403}}`, true, "allowed legacy denied"},
		{`{` + as + `,` + allow + `,"authenticationMetadata":{"impersonationConstraint":"impersonate:user-info"}}`, true, "allowed user-info allowed"},
		{`{"responseStatus":{"code":403}}`, true, "denied - denied"},
		{`{"responseStatus":{"code":400}}`, true, "invalid - denied"},

		{`{"responseStatus":{"code":403}}`, false, nothing},
		{`{"responseStatus":{"code":500}}`, true, nothing},
		{`{` + as + `,"responseStatus":{"code":429}}`, true, nothing},
		{`{` + allow + `,"responseStatus":{"code":200}}`, true, nothing},
		{`{` + as + `,` + allow + `,"responseStatus":{"code":200}}`, false, nothing},
	} {
		var event auditv1.Event
		if err := json.Unmarshal([]byte(c.event), &event); err != nil {
			t.Fatal(err)
		}
		got := nothing
		if a, err := read(&event, c.impersonates); err == nil {
			mode := "-"
			if a.Mode != nil {
				mode = *a.Mode
			}
			got = a.Impersonation + " " + mode + " " + a.Request
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.event, got, c.want)
		}
	}
}
