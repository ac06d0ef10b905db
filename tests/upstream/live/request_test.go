package main

import (
	"net/http"
	"testing"

	"deputize.dev/tests/upstream/internal/protocol"
)

func TestNewRequest(t *testing.T) {
	for _, c := range []struct {
		request protocol.Request
		want    string // empty: there is none
	}{
		{protocol.Request{Verb: "list", Resource: "pods"}, "GET /api/v1/pods?limit=1"},
		{protocol.Request{Verb: "list", Resource: "pods", Namespace: "apps", Name: "web"},
			"GET /api/v1/namespaces/apps/pods?fieldSelector=metadata.name%3Dweb&limit=1"},
		{protocol.Request{Verb: "get", Resource: "pods", Subresource: "log", Namespace: "apps", Name: "web"},
			"GET /api/v1/namespaces/apps/pods/web/log"},
		{protocol.Request{Verb: "create", APIGroup: "acme.com", Resource: "things"}, "POST /apis/acme.com/v1/things?dryRun=All"},
		{protocol.Request{Verb: "update", Resource: "nodes", Name: "n"}, "PUT /api/v1/nodes/n?dryRun=All"},
		{protocol.Request{Verb: "patch", Resource: "nodes", Name: "n"}, "PATCH /api/v1/nodes/n?dryRun=All"},
		{protocol.Request{Verb: "delete", Resource: "nodes", Name: "n"}, "DELETE /api/v1/nodes/n?dryRun=All"},
		{protocol.Request{Verb: "deletecollection", Resource: "nodes"}, "DELETE /api/v1/nodes?dryRun=All"},
		{protocol.Request{Verb: "watch", Resource: "nodes"}, "GET /api/v1/nodes?timeoutSeconds=1&watch=true"},
		{protocol.Request{Verb: "get", Resource: "namespaces", Namespace: "apps", Name: "apps"}, "GET /api/v1/namespaces/apps"},
		{protocol.Request{Verb: "create", Resource: "pods", Subresource: "log"}, "POST /api/v1/pods//log?dryRun=All"},
		{protocol.Request{Verb: "get", APIGroup: "a b", Resource: "*", Name: "50%"}, "GET /apis/a%20b/v1/%2A/50%25"},
		{protocol.Request{Verb: "get", Path: "/what is/%2F?#"}, "GET /what%20is/%252F%3F%23"},
		{protocol.Request{Verb: "head", Path: "//x/"}, "HEAD //x/"},

		{protocol.Request{Verb: "get", Resource: "pods"}, ""},
		{protocol.Request{Verb: "get", Resource: "namespaces", Name: "apps"}, ""},
		{protocol.Request{Verb: "deletecollection", Resource: "pods", Name: "web"}, ""},
		{protocol.Request{Verb: "get", Resource: "pods", Name: "a/b"}, ""},
		{protocol.Request{Verb: "impersonate", Resource: "pods", Name: "web"}, ""},
		{protocol.Request{Verb: "list", Resource: "watch"}, ""},
		{protocol.Request{Verb: "get", Path: "/api/v1/pods"}, ""},
		{protocol.Request{Verb: "GET", Path: "/api"}, ""},
		{protocol.Request{Verb: "get", Path: "api"}, ""},
		{protocol.Request{}, ""},
	} {
		got := ""
		if request, err := newRequest("https://localhost", &c.request); err == nil {
			got = request.Method + " " + request.URL.RequestURI()
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.request, got, c.want)
		}
	}
}

// TestWritesAreDry makes sure that no request can change the server that the next one is sent to.
func TestWritesAreDry(t *testing.T) {
	for verb, method := range methods {
		r := protocol.Request{Verb: verb, Resource: "pods", Name: "web"}
		if verb == "deletecollection" {
			r.Name = ""
		}
		request, err := newRequest("https://localhost", &r)
		if err != nil {
			t.Fatal(err)
		}
		if dry := request.URL.Query().Get("dryRun") == "All"; dry == (method == http.MethodGet) {
			t.Errorf("%s: %s", verb, request.URL)
		}
	}
}
