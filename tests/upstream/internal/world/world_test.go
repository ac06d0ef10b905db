package world

import (
	"encoding/json"
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAggregate expects what a live kube-controller-manager made of the same ClusterRoles.
func TestAggregate(t *testing.T) {
	roles := []struct {
		name, label, selects, rule string // a rule is known by its resource; no selector, no aggregation
		want                       []string
	}{
		{name: "empty", label: "one", want: nil},
		{name: "over-empty", selects: "one", rule: "own", want: []string{"own"}},
		{name: "over-nothing", selects: "nobody", rule: "own", want: []string{"own"}},
		{name: "over-itself", label: "two", selects: "two", rule: "own", want: []string{"own"}},
		{name: "leaf", label: "three", rule: "leaf", want: []string{"leaf"}},
		{name: "middle", label: "four", selects: "three", rule: "lost", want: []string{"leaf"}},
		{name: "chain", selects: "four", want: []string{"leaf"}},
		{name: "circle-a", label: "five", selects: "six", want: []string{"round"}},
		{name: "circle-b", label: "six", selects: "five", want: []string{"round"}},
		{name: "circle-leaf", label: "five", rule: "round", want: []string{"round"}},
	}
	var items []json.RawMessage
	for _, r := range roles {
		role := rbacv1.ClusterRole{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
			ObjectMeta: metav1.ObjectMeta{Name: r.name, Labels: map[string]string{"l": r.label}},
		}
		if r.selects != "" {
			selector := metav1.LabelSelector{MatchLabels: map[string]string{"l": r.selects}}
			role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{selector}}
		}
		if r.rule != "" {
			role.Rules = []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{r.rule}}}
		}
		item, err := json.Marshal(role)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	w, err := New(items)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		var got []string
		for _, rule := range w.clusterRoles[r.name].Rules {
			got = append(got, rule.Resources...)
		}
		if !slices.Equal(got, r.want) {
			t.Errorf("%s: got %q, want %q", r.name, got, r.want)
		}
	}
}
