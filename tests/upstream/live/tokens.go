package main

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"deputize.dev/tests/upstream/internal/protocol"
)

// tokens are those of service accounts, issued and checked by the server itself.
type tokens struct {
	server *apiServer
	issued map[place]string
}

type place struct{ user, node string }

// authenticate lets a service account make the request, from a pod on the node that its extras name, if they do. The token
// has more extras of its own.
func (t *tokens) authenticate(r *protocol.Request, headers http.Header) (func(*authenticationv1.UserInfo) error, error) {
	nodes := r.Extra[serviceaccount.NodeNameKey]
	if len(nodes) > 1 || len(r.Extra) != len(nodes) {
		return nil, fmt.Errorf("tokens need a requestor with no extra but %s, of one value", serviceaccount.NodeNameKey)
	}
	from := place{r.User, strings.Join(nodes, "")}
	token, ok := t.issued[from]
	if !ok {
		var err error
		if token, err = t.issue(from); err != nil {
			return nil, fmt.Errorf("a token of %s on node %s: %w", from.user, from.node, err)
		}
		if t.issued == nil {
			t.issued = map[place]string{}
		}
		t.issued[from] = token
	}
	headers.Set("Authorization", "Bearer "+token)
	return func(seen *authenticationv1.UserInfo) error {
		got, wanted := subjectOf(seen), r.Requestor()
		if got.User != wanted.Name || !reflect.DeepEqual(got.Groups, wanted.Groups) ||
			!reflect.DeepEqual(got.Extra[serviceaccount.NodeNameKey], nodes) {
			return fmt.Errorf("the token is that of %+v, wanted is %+v", *got, *wanted)
		}
		return nil
	}, nil
}

// orFrontProxy authenticates service accounts with tokens, and everybody else as a front proxy does.
func (t *tokens) orFrontProxy(r *protocol.Request, headers http.Header) (func(*authenticationv1.UserInfo) error, error) {
	if _, _, err := serviceaccount.SplitUsername(r.User); err == nil {
		return t.authenticate(r, headers)
	}
	return asFrontProxy(r, headers)
}

// issue makes the service account, the node and the pod, and asks for a token that is bound to the pod. On no node there is
// no pod.
func (t *tokens) issue(from place) (string, error) {
	namespace, name, err := serviceaccount.SplitUsername(from.user)
	if err != nil {
		return "", err
	}
	pod := fmt.Sprint("pod-", len(t.issued))
	meta := metav1.ObjectMeta{Name: name}
	inNamespace := "/api/v1/namespaces/" + namespace
	type part struct {
		path   string
		object any
		shared bool // by pods
	}
	parts := []part{
		{"/api/v1/namespaces", corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, true},
		{inNamespace + "/serviceaccounts", corev1.ServiceAccount{ObjectMeta: meta}, true},
	}
	var request authenticationv1.TokenRequest
	if from.node != "" {
		parts = append(parts,
			part{"/api/v1/nodes", corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: from.node}}, true},
			part{inNamespace + "/pods", corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: pod},
				Spec: corev1.PodSpec{
					ServiceAccountName: name,
					NodeName:           from.node,
					Containers:         []corev1.Container{{Name: "agent", Image: "agent"}},
				},
			}, false})
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod}
	}
	for _, part := range parts {
		err := t.server.call(http.MethodPost, part.path, part.object, nil)
		if err != nil && !(part.shared && exists(err)) {
			return "", err
		}
	}
	err = t.server.call(http.MethodPost, inNamespace+"/serviceaccounts/"+name+"/token", request, &request)
	return request.Status.Token, err
}
