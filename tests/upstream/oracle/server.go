package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	auditinternal "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/authorization/union"
	"k8s.io/apiserver/pkg/endpoints/filters"
	impersonationfilter "k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	"deputize.dev/tests/upstream/internal/protocol"
	"deputize.dev/tests/upstream/internal/world"
)

// answer is one line of output of `deputize simulate`.
type answer struct {
	Impersonation string            `json:"impersonation"`
	Mode          *string           `json:"mode"`
	Constraint    *string           `json:"constraint"`
	As            *protocol.Subject `json:"as"`
	Request       string            `json:"request"`
	Checks        []check           `json:"checks"`
	Reason        string            `json:"reason"`
}

// check is one question to the authorizer.
type check struct {
	Verb        string `json:"verb"`
	APIGroup    string `json:"apiGroup"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
	Path        string `json:"path"`
	Allowed     bool   `json:"allowed"`
}

// server is an API server, as far as impersonation goes.
type server struct {
	authorizer authorizer.Authorizer
	// withImpersonation is the filter, chosen as k8s.io/apiserver/pkg/server.DefaultBuildHandlerChain does.
	withImpersonation func(http.Handler, authorizer.UnconditionalAuthorizer, runtime.NegotiatedSerializer) http.Handler
}

func newServer(w *world.World, constrained bool) *server {
	// The chain of --authorization-mode=RBAC, see k8s.io/kubernetes/pkg/kubeapiserver/authorizer.
	chain, err := union.New(
		union.NamedAuthorizer{
			AuthorizerName: "kubernetes.io/system-privileged-group",
			Authorizer:     authorizerfactory.NewPrivilegedGroups(user.SystemPrivilegedGroup),
		},
		union.NamedAuthorizer{AuthorizerName: "rbac", Authorizer: rbac.New(w, w, w, w)},
	)
	if err != nil {
		panic(err) // only for names that are empty or the same
	}
	s := &server{authorizer: chain, withImpersonation: impersonationfilter.WithImpersonation}
	if constrained {
		s.withImpersonation = impersonationfilter.WithConstrainedImpersonation
	}
	return s
}

// maxAttempts bounds the search in answer. As of Go 1.24 a map of up to eight keys is walked in the order of insertion
// from a random start, so that few attempts are needed where a request has up to eight headers, which is nearly always.
const maxAttempts = 10_000

// answer sends the request through the filters, and says whether the checks of extras are in the order of their keys.
//
// Upstream walks extras in the random order of a Go map, and stops at the first refusal, so that not even the set of
// checks is the same each time. All orders are upstream's: the request is sent until the keys came sorted.
func (s *server) answer(r *protocol.Request) (a *answer, sorted bool) {
	extras := sortedExtras(&r.Impersonate)
	for range maxAttempts {
		if a = s.serve(r); inOrder(a.Checks, extras) {
			return a, true
		}
	}
	return a, false
}

// serve sends the request through new filters, whose caches are cold.
func (s *server) serve(r *protocol.Request) *answer {
	// The audit context is the only one who is told the constraint.
	event := &auditSink{}
	ctx := audit.WithAuditContext(context.Background())
	if err := audit.AuditContextFrom(ctx).Init(audit.RequestAuditConfig{Level: auditinternal.LevelMetadata}, event); err != nil {
		panic(err) // only for a context that is not new
	}
	ctx = apirequest.WithUser(apirequest.WithRequestInfo(ctx, infoOf(r)), r.Requestor())
	headers := r.Impersonate.Headers()
	a := &answer{Impersonation: protocol.None, Request: protocol.Denied, Checks: []check{}}
	attempted := len(headers) > 0

	recorder := authorizer.AuthorizerFunc(func(ctx context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := s.authorizer.Authorize(ctx, attributes)
		a.Checks = append(a.Checks, checkOf(attributes, decision))
		return decision, reason, err
	})
	final := http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		attributes, err := filters.GetAuthorizerAttributes(ctx)
		if err != nil {
			panic(err) // only without a RequestInfo
		}
		if attempted {
			audit.AuditContextFrom(ctx).ProcessEventStage(ctx, auditinternal.StageResponseComplete)
			a.Impersonation, a.As = protocol.Allowed, subjectOf(attributes.GetUser())
			a.Mode, a.Constraint = event.mode()
		}
		decision, reason, _ := s.authorizer.Authorize(ctx, attributes)
		if decision == authorizer.DecisionAllow {
			a.Request = protocol.Allowed
		} else {
			a.Reason = reason
		}
	})

	response := &response{header: http.Header{}}
	req := (&http.Request{Method: http.MethodGet, URL: anyURL, Header: headers}).WithContext(ctx)
	s.withImpersonation(final, recorder, response).ServeHTTP(response, req)

	switch status := response.status; {
	case status != nil && status.Code == http.StatusForbidden:
		a.Impersonation, a.Reason = protocol.Denied, status.Message
	case status != nil && status.Code == http.StatusBadRequest:
		a.Impersonation, a.Reason = protocol.Invalid, status.Message
	case status != nil || response.code != 0:
		panic("an answer that the filters never give")
	}
	return a
}

var anyURL = &url.URL{Path: "/"}

// infoOf is what the API server reads from the URL of a request.
func infoOf(r *protocol.Request) *apirequest.RequestInfo {
	if r.Path != "" {
		return &apirequest.RequestInfo{Verb: r.Verb, Path: r.Path}
	}
	return &apirequest.RequestInfo{
		IsResourceRequest: true,
		Verb:              r.Verb,
		APIGroup:          r.APIGroup,
		APIVersion:        "v1",
		Resource:          r.Resource,
		Subresource:       r.Subresource,
		Namespace:         r.Namespace,
		Name:              r.Name,
	}
}

func subjectOf(u user.Info) *protocol.Subject {
	return protocol.NewSubject(u.GetName(), u.GetUID(), u.GetGroups(), u.GetExtra())
}

func checkOf(attributes authorizer.Attributes, decision authorizer.Decision) check {
	return check{
		Verb:        attributes.GetVerb(),
		APIGroup:    attributes.GetAPIGroup(),
		Resource:    attributes.GetResource(),
		Subresource: attributes.GetSubresource(),
		Namespace:   attributes.GetNamespace(),
		Name:        attributes.GetName(),
		Path:        attributes.GetPath(),
		Allowed:     decision == authorizer.DecisionAllow,
	}
}

type extra struct{ key, value string }

// sortedExtras are the extras as the server sees them, by key, if there is more than one key.
func sortedExtras(i *protocol.Impersonation) []extra {
	if len(i.Extra) < 2 {
		return nil
	}
	var extras []extra
	for _, key := range i.SortedKeys() {
		for _, value := range i.Extra[key] {
			extras = append(extras, extra{protocol.ASCIILower(key), value})
		}
	}
	return extras
}

// inOrder tells whether each mode checked the extras from the first one on, leaving none out. The question for all of
// them at once, of constrained modes only, is none of them.
func inOrder(checks []check, extras []extra) bool {
	if extras == nil {
		return true
	}
	next := map[string]int{}
	for _, c := range checks {
		if c.APIGroup != authenticationv1.GroupName || c.Resource != "userextras" || strings.HasPrefix(c.Verb, "impersonate-on:") {
			continue
		}
		if c.Verb != "impersonate" && c.Subresource == "*" {
			continue
		}
		if extras[next[c.Verb]] != (extra{c.Subresource, c.Name}) {
			return false
		}
		next[c.Verb]++
	}
	return true
}

// auditSink keeps the constraint of the event it is given.
type auditSink struct{ constraint string }

func (s *auditSink) ProcessEvents(events ...*auditinternal.Event) bool {
	for _, event := range events {
		if event.AuthenticationMetadata != nil {
			s.constraint = event.AuthenticationMetadata.ImpersonationConstraint
		}
	}
	return true
}

func (s *auditSink) mode() (mode, constraint *string) {
	if name, ok := strings.CutPrefix(s.constraint, "impersonate:"); ok {
		return &name, &s.constraint
	}
	name := protocol.Legacy
	return &name, nil
}

// response takes the filters' refusal as an object. It is at once the writer and the serializer, so that nothing has to
// be encoded.
type response struct {
	header http.Header
	code   int
	status *metav1.Status
}

func (r *response) Header() http.Header            { return r.header }
func (r *response) Write(data []byte) (int, error) { return len(data), nil }
func (r *response) WriteHeader(code int)           { r.code = code }

func (r *response) SupportedMediaTypes() []runtime.SerializerInfo {
	return []runtime.SerializerInfo{{MediaType: runtime.ContentTypeJSON, MediaTypeType: "application", MediaTypeSubType: "json"}}
}
func (r *response) EncoderForVersion(runtime.Encoder, runtime.GroupVersioner) runtime.Encoder {
	return r
}
func (r *response) DecoderToVersion(runtime.Decoder, runtime.GroupVersioner) runtime.Decoder {
	return nil
}
func (r *response) Identifier() runtime.Identifier { return "oracle" }

func (r *response) Encode(object runtime.Object, _ io.Writer) error {
	r.status = object.(*metav1.Status)
	return nil
}

var _ runtime.NegotiatedSerializer = &response{}
