package protocol

import (
	"slices"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Request is one line of input of `deputize simulate`.
type Request struct {
	User        string              `json:"user"`
	Groups      []string            `json:"groups"`
	Extra       map[string][]string `json:"extra"`
	Impersonate Impersonation       `json:"impersonate"`
	Verb        string              `json:"verb"`
	APIGroup    string              `json:"apiGroup"`
	Resource    string              `json:"resource"`
	Subresource string              `json:"subresource"`
	Namespace   string              `json:"namespace"`
	Name        string              `json:"name"`
	Path        string              `json:"path"`
	// HTTP is the request as a client sends it, instead of what the fields from Impersonate on say. Only a live API server
	// takes it.
	HTTP *HTTP `json:"http"`
}

// HTTP is a request as a client sends it.
type HTTP struct {
	Method string `json:"method"`
	// Path has its query, and is sent as it is.
	Path string `json:"path"`
	// Headers are sent in this order; authentication comes on top.
	Headers [][2]string `json:"headers"`
	Body    string      `json:"body"`
	// Upgrade asks for a WebSocket, over HTTP/1.1.
	Upgrade bool `json:"upgrade"`
}

// Impersonation is what a client asks for, before any header is made from it.
type Impersonation struct {
	User   string              `json:"user"`
	UID    string              `json:"uid"`
	Groups []string            `json:"groups"`
	Extra  map[string][]string `json:"extra"`
}

// Subject is who a request runs as.
type Subject struct {
	User   string              `json:"user"`
	Groups []string            `json:"groups"`
	UID    string              `json:"uid"`
	Extra  map[string][]string `json:"extra"`
}

// Words of an answer.
const (
	Allowed = "allowed"
	Denied  = "denied"
	None    = "none"
	Invalid = "invalid"
	Legacy  = "legacy"
)

// NewSubject has no null where there is nothing.
func NewSubject(name, uid string, groups []string, extra map[string][]string) *Subject {
	if groups == nil {
		groups = []string{}
	}
	if extra == nil {
		extra = map[string][]string{}
	}
	return &Subject{User: name, Groups: groups, UID: uid, Extra: extra}
}

// Requestor adds the groups that authenticators add: that of service account tokens, and
// k8s.io/apiserver/pkg/authentication/group.AuthenticatedGroupAdder.
func (r *Request) Requestor() *user.DefaultInfo {
	groups := slices.Clone(r.Groups)
	if namespace, _, err := serviceaccount.SplitUsername(r.User); err == nil {
		for _, group := range serviceaccount.MakeGroupNames(namespace) {
			if !slices.Contains(groups, group) {
				groups = append(groups, group)
			}
		}
	}
	if r.User != user.Anonymous && !slices.Contains(groups, user.AllAuthenticated) && !slices.Contains(groups, user.AllUnauthenticated) {
		groups = append(groups, user.AllAuthenticated)
	}
	return &user.DefaultInfo{Name: r.User, Groups: groups, Extra: r.Extra}
}
