package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"deputize.dev/tests/upstream/internal/world"
)

const rbacPath = "/apis/rbac.authorization.k8s.io/v1"

// pathOf is where an object is created.
func pathOf(o world.Object) string {
	resource := strings.ToLower(o.GetObjectKind().GroupVersionKind().Kind) + "s"
	if namespace := o.GetNamespace(); namespace != "" {
		return rbacPath + "/namespaces/" + url.PathEscape(namespace) + "/" + resource
	}
	return rbacPath + "/" + resource
}

// apply makes the objects of a world the only ones that the server authorizes by.
func (s *apiServer) apply(w *world.World) error {
	if err := s.deleteDefaults(); err != nil {
		return fmt.Errorf("deleting the default roles: %w", err)
	}
	for _, object := range w.Objects() {
		if role, ok := object.(*rbacv1.ClusterRole); ok {
			role.AggregationRule = nil // its rules are what the controller, which is not there, would have made of it
		}
		if err := s.call(http.MethodPost, pathOf(object), object, nil); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetObjectKind().GroupVersionKind().Kind, nameOf(object), err)
		}
	}
	if err := s.settle(); err != nil {
		return fmt.Errorf("waiting for the authorizer: %w", err)
	}
	return nil
}

func nameOf(o metav1.Object) string {
	if o.GetNamespace() == "" {
		return fmt.Sprintf("%q", o.GetName())
	}
	return fmt.Sprintf("%q in namespace %q", o.GetName(), o.GetNamespace())
}

// deleteDefaults deletes the roles and bindings that a server gives itself at its start. It makes them once, before it
// says that it is ready.
func (s *apiServer) deleteDefaults() error {
	paths := []string{"/clusterrolebindings", "/clusterroles"}
	for _, resource := range []string{"/rolebindings", "/roles"} {
		var list metav1.PartialObjectMetadataList
		if err := s.call(http.MethodGet, rbacPath+resource, nil, &list); err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, object := range list.Items {
			if !seen[object.Namespace] {
				seen[object.Namespace] = true
				paths = append(paths, "/namespaces/"+object.Namespace+resource)
			}
		}
	}
	for _, path := range paths {
		if err := s.call(http.MethodDelete, rbacPath+path, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the authorizer has seen everything that was done before. It learns of each of the four kinds of
// objects in the order of the changes, so it is asked about one last object of each kind. They are for nobody else.
func (s *apiServer) settle() error {
	const name = "deputize:settled"
	typed := func(kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: kind}
	}
	there := metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault}
	everywhere := metav1.ObjectMeta{Name: name}
	rules := []rbacv1.PolicyRule{{Verbs: []string{name}, APIGroups: []string{""}, Resources: []string{name}}}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name}}
	refer := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	// The namespaced ones are first: once the others are seen they allow everything.
	for _, objects := range [][]world.Object{{
		&rbacv1.Role{TypeMeta: typed("Role"), ObjectMeta: there, Rules: rules},
		&rbacv1.RoleBinding{TypeMeta: typed("RoleBinding"), ObjectMeta: there, Subjects: subjects, RoleRef: refer("Role")},
	}, {
		&rbacv1.ClusterRole{TypeMeta: typed("ClusterRole"), ObjectMeta: everywhere, Rules: rules},
		&rbacv1.ClusterRoleBinding{TypeMeta: typed("ClusterRoleBinding"), ObjectMeta: everywhere, Subjects: subjects, RoleRef: refer("ClusterRole")},
	}} {
		for _, object := range objects {
			if err := s.call(http.MethodPost, pathOf(object), object, nil); err != nil {
				return err
			}
		}
		question := authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: name,
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: name, Resource: name, Namespace: objects[0].GetNamespace(),
			},
		}}
		err := s.process.waitFor(func() error {
			var answer authorizationv1.SubjectAccessReview
			err := s.call(http.MethodPost, "/apis/authorization.k8s.io/v1/subjectaccessreviews", question, &answer)
			if err == nil && !answer.Status.Allowed {
				err = errors.New("it does not see the last objects")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
