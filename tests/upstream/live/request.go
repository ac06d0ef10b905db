package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/sets"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"

	"deputize.dev/tests/upstream/internal/protocol"
)

// methods are those of the verbs of requests about resources.
var methods = map[string]string{
	"get": http.MethodGet, "list": http.MethodGet, "watch": http.MethodGet,
	"create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch,
	"delete": http.MethodDelete, "deletecollection": http.MethodDelete,
}

var infos = apirequest.RequestInfoFactory{
	APIPrefixes:          sets.NewString("api", "apis"),
	GrouplessAPIPrefixes: sets.NewString("api"),
}

// attributes are what authorization is about. Requests about resources have no path here.
type attributes struct{ Verb, APIGroup, Resource, Subresource, Namespace, Name, Path string }

// newRequest is a request that the server will read as having the wanted attributes, whatever may come of it: it need
// not be about anything that exists, and what is written is not kept.
func newRequest(base string, r *protocol.Request) (*http.Request, error) {
	if r.HTTP != nil {
		return newRawRequest(base, r.HTTP)
	}
	method, target, body := strings.ToUpper(r.Verb), &url.URL{Path: r.Path}, ""
	if r.Path == "" {
		target = resourceURL(r)
		method = methods[r.Verb]
		if method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
			body = "{}"
		}
	} else if !strings.HasPrefix(r.Path, "/") || method == http.MethodConnect {
		return nil, errors.New("no HTTP request has this path and verb")
	}
	request, err := http.NewRequest(method, base+target.RequestURI(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	info, err := infos.NewRequestInfo(request)
	if err != nil {
		return nil, err
	}
	wanted := attributes{r.Verb, r.APIGroup, r.Resource, r.Subresource, r.Namespace, r.Name, r.Path}
	got := attributes{Verb: info.Verb, Path: info.Path}
	if info.IsResourceRequest {
		got = attributes{info.Verb, info.APIGroup, info.Resource, info.Subresource, info.Namespace, info.Name, ""}
	}
	if got != wanted {
		return nil, fmt.Errorf("no HTTP request has the attributes %+v: of %s %s they are %+v", wanted, request.Method, target.RequestURI(), got)
	}

	request.Header = r.Impersonate.Headers()
	request.Header.Set("Accept", "application/json")
	switch {
	case method == http.MethodPatch:
		request.Header.Set("Content-Type", "application/merge-patch+json")
	case body != "":
		request.Header.Set("Content-Type", "application/json")
	}
	return request, nil
}

// newRawRequest is a request as a client sends it.
func newRawRequest(base string, raw *protocol.HTTP) (*http.Request, error) {
	request, err := http.NewRequest(raw.Method, base+raw.Path, strings.NewReader(raw.Body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	if raw.Upgrade {
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "websocket")
		request.Header.Set("Sec-WebSocket-Version", "13")
		request.Header.Set("Sec-WebSocket-Key", "ZGVwdXRpemUtZGVwdXRpeg==")
	}
	for _, header := range raw.Headers {
		request.Header.Add(header[0], header[1])
	}
	return request, nil
}

// isEndless tells whether the response goes on until it is broken off.
func isEndless(r *protocol.Request, request *http.Request) bool {
	if r.HTTP != nil {
		return r.HTTP.Upgrade || request.URL.Query().Get("watch") == "true"
	}
	return r.Path == "" && r.Verb == "watch"
}

// resourceURL is that of a request about a resource. All groups have a v1 here: whether a group, version or resource
// exists is of no matter before authorization.
func resourceURL(r *protocol.Request) *url.URL {
	parts := []string{"/api/v1"}
	if r.APIGroup != "" {
		parts = []string{"/apis", r.APIGroup, "v1"}
	}
	// Requests about one namespace are said to be in it.
	if r.Namespace != "" && (r.Resource != "namespaces" || r.Namespace != r.Name) {
		parts = append(parts, "namespaces", r.Namespace)
	}
	parts = append(parts, r.Resource)

	query := url.Values{}
	name := r.Name
	switch r.Verb {
	case "list", "watch":
		if name != "" {
			query.Set("fieldSelector", fields.OneTermEqualSelector("metadata.name", name).String())
			name = ""
		}
		if r.Verb == "watch" {
			query.Set("watch", "true")
			query.Set("timeoutSeconds", "1")
		} else {
			query.Set("limit", "1")
		}
	case "get":
	default:
		query.Set("dryRun", "All")
	}
	if name != "" || r.Subresource != "" {
		parts = append(parts, name)
	}
	if r.Subresource != "" {
		parts = append(parts, r.Subresource)
	}
	for i, part := range parts[1:] {
		parts[i+1] = url.PathEscape(part)
	}
	path := strings.Join(parts, "/")
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		panic(err) // only for what PathEscape did not make
	}
	return &url.URL{Path: unescaped, RawPath: path, RawQuery: query.Encode()}
}

// checkHeaders refuses what no client can send. White space at the ends is not among it: HTTP/1 drops it, but HTTP/2 does
// not.
func checkHeaders(headers http.Header) error {
	for name, values := range headers {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("HTTP cannot carry the header %s with the value %q", name, value)
			}
		}
	}
	return nil
}
