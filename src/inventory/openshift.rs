//! What OpenShift's API server makes of its own spelling of RBAC objects (`authorization.openshift.io/v1`, `v1` in old
//! manifests) before it stores them as RBAC (`pkg/authorization/apis/authorization/v1/{defaults,conversion}.go` in
//! github.com/openshift/origin).

use smol_str::SmolStr;

use super::object::{PolicyRule, Subject, SubjectKind, Text};

/// Adds the API groups of a rule without any: the core group; every group for the rule that allowed everything before there
/// were groups. That one has no list of groups at all, not an empty one, and no `attributeRestrictions`.
pub(super) fn default_groups(rule: &mut PolicyRule, has_groups: bool, has_restrictions: bool) {
    let Some(place) = rule.resources.first().map(|resource| resource.place) else { return };
    if !rule.api_groups.is_empty() {
        return;
    }
    let is_all = |texts: &[Text]| matches!(texts, [one] if one.as_str() == "*");
    let is_old_allow_all = !has_groups
        && !has_restrictions
        && is_all(&rule.verbs)
        && is_all(&rule.resources)
        && rule.resource_names.is_empty()
        && rule.non_resource_urls.is_empty();
    let group = if is_old_allow_all { SmolStr::new_static("*") } else { SmolStr::default() };
    rule.api_groups = vec![Text { value: group, place }];
}

/// Returns the subject that a name in `groupNames` is.
pub(super) fn group(name: Text) -> Subject {
    Subject { kind: SubjectKind::Group, namespace: None, name, in_own_namespace: false }
}

#[cfg(test)]
mod tests {
    use crate::inventory::{Inventory, SubjectKind, load_bytes};

    fn load(text: &str) -> Inventory {
        let inventory = load_bytes("a.yaml", text.as_bytes());
        assert_eq!(inventory.problems, [], "{text}");
        inventory
    }

    fn role(api: &str, rule: &str) -> Inventory {
        load(&format!("apiVersion: {api}\nkind: ClusterRole\nmetadata: {{name: a}}\nrules: [{rule}]\n"))
    }

    #[test]
    fn a_rule_without_groups_is_about_the_core_group() {
        for (rule, openshift, kubernetes) in [
            ("{verbs: [impersonate], resources: [users]}", &[""][..], &[][..]),
            ("{verbs: [impersonate], resources: [users], apiGroups: []}", &[""], &[]),
            ("{verbs: [impersonate], resources: [users], apiGroups: [x]}", &["x"], &["x"]),
            ("{verbs: ['*'], resources: ['*']}", &["*"], &[]),
            ("{verbs: ['*'], resources: ['*'], apiGroups: []}", &[""], &[]),
            ("{verbs: ['*'], resources: ['*'], resourceNames: [a]}", &[""], &[]),
            ("{verbs: ['*'], resources: ['*'], attributeRestrictions: {}}", &[""], &[]),
            ("{verbs: [get], nonResourceURLs: ['*']}", &[], &[]),
        ] {
            for (api, expected) in [
                ("authorization.openshift.io/v1", openshift),
                ("v1", openshift),
                ("rbac.authorization.k8s.io/v1", kubernetes),
            ] {
                let inventory = role(api, rule);
                let groups: Vec<&str> =
                    inventory.roles[0].rules[0].api_groups.iter().map(|text| text.as_str()).collect();
                assert_eq!(groups, expected, "{api} {rule}");
            }
        }
        // An export has nulls.
        let inventory = role("v1", "{apiGroups: null, attributeRestrictions: null, verbs: ['*'], resources: ['*']}");
        assert_eq!(inventory.roles[0].rules[0].api_groups[0].as_str(), "*");
    }

    #[test]
    fn names_of_users_and_groups_replace_subjects() {
        let binding = |api: &str, fields: &str| {
            let text = format!(
                "apiVersion: {api}\nkind: ClusterRoleBinding\nmetadata: {{name: a}}\n\
                roleRef: {{kind: ClusterRole, name: a}}\nsubjects: [{{kind: User, name: old}}]\n{fields}\n"
            );
            let inventory = load(&text);
            let subjects = inventory.bindings[0].subjects.iter().map(|subject| {
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                (subject.kind.clone(), namespace.to_owned(), subject.name.as_str().to_owned())
            });
            subjects.collect::<Vec<_>>()
        };
        let old = vec![(SubjectKind::User, String::new(), "old".to_owned())];
        let names = "userNames: [dave, 'system:serviceaccount:apps:two']\ngroupNames: [auditors]";
        assert_eq!(
            binding("v1", names),
            [
                (SubjectKind::User, String::new(), "dave".to_owned()),
                (SubjectKind::ServiceAccount, "apps".to_owned(), "two".to_owned()),
                (SubjectKind::Group, String::new(), "auditors".to_owned()),
            ]
        );
        assert_eq!(binding("v1", "userNames: []"), []);
        assert_eq!(binding("v1", "userNames: null\ngroupNames: null"), old);
        assert_eq!(binding("v1", ""), old);
        assert_eq!(binding("rbac.authorization.k8s.io/v1", names), old);
    }
}
