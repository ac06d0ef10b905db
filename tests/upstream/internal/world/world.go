// Package world holds the RBAC objects of a cluster.
package world

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	kjson "sigs.k8s.io/json"
)

// World is the RBAC objects of a cluster, looked up by name like in the API server's informers. It is the role getters
// and binding listers that the upstream authorizer asks.
type World struct {
	roles               map[types.NamespacedName]*rbacv1.Role
	roleBindings        map[string][]*rbacv1.RoleBinding
	clusterRoles        map[string]*rbacv1.ClusterRole
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
}

// New reads the objects, as an API server would: case-sensitive, unknown fields dropped. It does not validate them.
// Of several objects with the same name the last counts, as when they are applied one by one.
func New(items []json.RawMessage) (*World, error) {
	w := &World{
		roles:        map[types.NamespacedName]*rbacv1.Role{},
		roleBindings: map[string][]*rbacv1.RoleBinding{},
		clusterRoles: map[string]*rbacv1.ClusterRole{},
	}
	for i, item := range items {
		if err := w.add(item); err != nil {
			return nil, fmt.Errorf("items[%d]: %w", i, err)
		}
	}
	return w, aggregate(w.clusterRoles)
}

func (w *World) add(item json.RawMessage) error {
	var meta metav1.TypeMeta
	if err := kjson.UnmarshalCaseSensitivePreserveInts(item, &meta); err != nil {
		return err
	}
	if meta.APIVersion != rbacv1.SchemeGroupVersion.String() {
		return fmt.Errorf("not an RBAC object: %s %s", meta.APIVersion, meta.Kind)
	}
	switch meta.Kind {
	case "ClusterRole":
		role := &rbacv1.ClusterRole{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, role); err != nil {
			return err
		}
		w.clusterRoles[role.Name] = role
	case "Role":
		role := &rbacv1.Role{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, role); err != nil {
			return err
		}
		role.Namespace = namespaceOf(role)
		w.roles[types.NamespacedName{Namespace: role.Namespace, Name: role.Name}] = role
	case "ClusterRoleBinding":
		binding := &rbacv1.ClusterRoleBinding{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, binding); err != nil {
			return err
		}
		w.clusterRoleBindings = put(w.clusterRoleBindings, binding)
	case "RoleBinding":
		binding := &rbacv1.RoleBinding{}
		if err := kjson.UnmarshalCaseSensitivePreserveInts(item, binding); err != nil {
			return err
		}
		binding.Namespace = namespaceOf(binding)
		w.roleBindings[binding.Namespace] = put(w.roleBindings[binding.Namespace], binding)
	default:
		return fmt.Errorf("not an RBAC object: %s %s", meta.APIVersion, meta.Kind)
	}
	return nil
}

func namespaceOf(object metav1.Object) string {
	if namespace := object.GetNamespace(); namespace != "" {
		return namespace
	}
	return metav1.NamespaceDefault
}

// put appends an object, in place of its namesake if there is one.
func put[T metav1.Object](list []T, object T) []T {
	list = slices.DeleteFunc(list, func(other T) bool { return other.GetName() == object.GetName() })
	return append(list, object)
}

// Object is an RBAC object, of which the kind is known too.
type Object interface {
	metav1.Object
	runtime.Object
}

// Objects are all objects by name, cluster-wide ones first, and roles before the bindings that refer to them.
func (w *World) Objects() []Object {
	var roles, bindings []Object
	for _, role := range w.clusterRoles {
		roles = append(roles, role)
	}
	for _, role := range w.roles {
		roles = append(roles, role)
	}
	for _, binding := range w.clusterRoleBindings {
		bindings = append(bindings, binding)
	}
	for _, inNamespace := range w.roleBindings {
		for _, binding := range inNamespace {
			bindings = append(bindings, binding)
		}
	}
	byName := func(a, b Object) int {
		return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
	}
	slices.SortFunc(roles, byName)
	slices.SortFunc(bindings, byName)
	return append(roles, bindings...)
}

func (w *World) GetRole(_ context.Context, namespace, name string) (*rbacv1.Role, error) {
	if role, ok := w.roles[types.NamespacedName{Namespace: namespace, Name: name}]; ok {
		return role, nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("role"), name)
}

func (w *World) GetClusterRole(_ context.Context, name string) (*rbacv1.ClusterRole, error) {
	if role, ok := w.clusterRoles[name]; ok {
		return role, nil
	}
	return nil, apierrors.NewNotFound(rbacv1.Resource("clusterrole"), name)
}

func (w *World) ListRoleBindings(_ context.Context, namespace string) ([]*rbacv1.RoleBinding, error) {
	return w.roleBindings[namespace], nil
}

func (w *World) ListClusterRoleBindings(context.Context) ([]*rbacv1.ClusterRoleBinding, error) {
	return w.clusterRoleBindings, nil
}

// aggregate does what the controller of k8s.io/kubernetes/pkg/controller/clusterroleaggregation does, whose code can only
// be run against an API server. As there (syncClusterRole, applyClusterRoles):
//   - the rules become the union of the selected roles' rules, as those are at that moment;
//   - a role never contributes to itself;
//   - an empty union is applied as "no opinion about the rules", so the rules stay as written;
//   - a selector that cannot be read leaves the role alone.
//
// The controller works in no fixed order. That matters only where aggregated roles with rules of their own select each
// other in a circle: no single answer is right then (a live controller was seen to swap the rules of two such roles for
// ever). Sweeping up and down lets such rules settle on one state that can occur.
func aggregate(roles map[string]*rbacv1.ClusterRole) error {
	sorted := make([]*rbacv1.ClusterRole, 0, len(roles))
	for _, role := range roles {
		sorted = append(sorted, role)
	}
	slices.SortFunc(sorted, func(a, b *rbacv1.ClusterRole) int { return strings.Compare(a.Name, b.Name) })

	var aggregated []*rbacv1.ClusterRole
	contributors := map[*rbacv1.ClusterRole][]*rbacv1.ClusterRole{}
	for _, role := range sorted {
		if selected := contributorsOf(role, sorted); len(selected) > 0 {
			aggregated = append(aggregated, role)
			contributors[role] = selected
		}
	}

	for range 2*len(aggregated) + 2 {
		settled := true
		for _, role := range aggregated {
			var union []rbacv1.PolicyRule
			for _, contributor := range contributors[role] {
				for _, rule := range contributor.Rules {
					if !ruleExists(union, rule) {
						union = append(union, rule)
					}
				}
			}
			if len(union) > 0 && !sameRules(union, role.Rules) {
				role.Rules = union
				settled = false
			}
		}
		if settled {
			return nil
		}
		slices.Reverse(aggregated)
	}
	return fmt.Errorf("aggregated ClusterRoles do not settle")
}

func contributorsOf(role *rbacv1.ClusterRole, all []*rbacv1.ClusterRole) []*rbacv1.ClusterRole {
	if role.AggregationRule == nil {
		return nil
	}
	var contributors []*rbacv1.ClusterRole
	for i := range role.AggregationRule.ClusterRoleSelectors {
		selector, err := metav1.LabelSelectorAsSelector(&role.AggregationRule.ClusterRoleSelectors[i])
		if err != nil {
			return nil
		}
		for _, other := range all {
			if other.Name != role.Name && selector.Matches(labels.Set(other.Labels)) {
				contributors = append(contributors, other)
			}
		}
	}
	return contributors
}

func ruleExists(rules []rbacv1.PolicyRule, wanted rbacv1.PolicyRule) bool {
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool { return equality.Semantic.DeepEqual(rule, wanted) })
}

// sameRules leaves the order out of account, which no authorization depends on.
func sameRules(a, b []rbacv1.PolicyRule) bool {
	within := func(a, b []rbacv1.PolicyRule) bool {
		return !slices.ContainsFunc(a, func(rule rbacv1.PolicyRule) bool { return !ruleExists(b, rule) })
	}
	return within(a, b) && within(b, a)
}
