//! The rules that a requestor lacks, as few and as small as they can be.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::authority::{
    AUTHENTICATION_GROUP, Attributes, IdentityKind, Mode, SYSTEM_MASTERS, Username, Verb, is_of_accounts,
    is_refused_key, smallest_rule,
};
use crate::evidence::{OwnedRequest, RefusedCheck};
use crate::inventory::{PolicyRule, Text};

/// A rule that a requestor lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRule {
    /// The rule.
    pub rule: PolicyRule,
    /// The namespace for a Role and a RoleBinding; none for a ClusterRole and a ClusterRoleBinding.
    pub namespace: Option<String>,
}

impl MissingRule {
    /// The smallest rule that allows a check. For extras any value is allowed: values change from session to session,
    /// and may be secrets.
    pub(super) fn of(check: &Attributes<'_>) -> Self {
        let namespace = (!check.namespace.is_empty()).then(|| check.namespace.to_owned());
        let mut rule = smallest_rule(check);
        let is_identity = matches!(Verb::parse(check.verb), Verb::Identity(_));
        if is_identity && check.resource == IdentityKind::UserExtras.resource() {
            rule.resource_names.clear();
        }
        Self { rule, namespace }
    }
}

/// What would help against a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// These rules.
    Rules(Vec<MissingRule>),
    /// No rule: why not.
    Impossible(&'static str),
    /// Not known: the server's words are not understood.
    Unknown,
}

/// What would help against the refusal of a check of a request. The verb `impersonate` is never proposed.
pub(super) fn advise(check: &RefusedCheck, request: &OwnedRequest) -> Advice {
    let asked = check.attributes();
    let mode = match Verb::parse(asked.verb) {
        Verb::Action(..) => return Advice::Rules(vec![MissingRule::of(&asked)]),
        Verb::Identity(mode) => mode,
        Verb::Any | Verb::Unknown { .. } | Verb::Other => return Advice::Unknown,
    };
    let Some(kind) = IdentityKind::of_resource(asked.resource) else { return Advice::Unknown };
    match kind {
        IdentityKind::Groups if asked.name.is_empty() => {
            return Advice::Impossible("the server refuses an empty group name, whatever the rules say");
        }
        IdentityKind::Groups if asked.name == SYSTEM_MASTERS => {
            return Advice::Impossible("no constrained mode takes the group system:masters, whatever the rules say");
        }
        IdentityKind::Groups if mode == Mode::Legacy && is_of_accounts(asked.name) => {
            return Advice::Impossible("no constrained mode takes groups with a service account: do not send them");
        }
        IdentityKind::UserExtras if is_refused_key(asked.subresource) => {
            return Advice::Impossible(
                "constrained modes take only keys that are lower-case domain-prefixed paths, such as example.com/key",
            );
        }
        IdentityKind::UserExtras if asked.name.is_empty() => {
            return Advice::Impossible("constrained modes refuse an extra with an empty value, whatever the rules say");
        }
        _ => {}
    }
    if mode != Mode::Legacy {
        return Advice::Rules(vec![MissingRule::of(&asked)]);
    }
    let (mode, kind, name) = match (kind, Username::parse(asked.name)) {
        (IdentityKind::ServiceAccounts, _) => (Mode::ServiceAccount, kind, asked.name),
        (IdentityKind::Users, Username::Node(name)) => (Mode::ArbitraryNode, IdentityKind::Nodes, name),
        _ => (Mode::UserInfo, kind, asked.name),
    };
    let identity = Attributes {
        verb: mode.identity_verb(),
        api_group: AUTHENTICATION_GROUP,
        resource: kind.resource(),
        name,
        ..asked
    };
    let mut rules = vec![MissingRule::of(&identity)];
    if let Some(verb) = mode.action_verb(&request.verb) {
        // Actions carry no names.
        let action = Attributes { verb: &verb, name: "", ..request.as_request().attributes };
        rules.insert(0, MissingRule::of(&action));
    }
    Advice::Rules(rules)
}

/// What two rules must share to be one: the namespace, the API groups, the names and the verbs; and then the resources.
type Key = (Option<String>, Vec<SmolStr>, Vec<SmolStr>);

/// Joins rules that differ in one list only. What they allow together stays the same.
pub(super) fn smallest_role<'r>(rules: impl Iterator<Item = &'r MissingRule>) -> Vec<MissingRule> {
    // Verb by verb and resource by resource: the names.
    let mut names: BTreeMap<(Option<String>, SmolStr, SmolStr, SmolStr), BTreeSet<SmolStr>> = BTreeMap::new();
    let mut paths: BTreeMap<SmolStr, BTreeSet<SmolStr>> = BTreeMap::new();
    for MissingRule { rule, namespace } in rules {
        for verb in &rule.verbs {
            for url in &rule.non_resource_urls {
                paths.entry(url.value.clone()).or_default().insert(verb.value.clone());
            }
            for (group, resource) in rule.api_groups.iter().flat_map(|group| {
                rule.resources.iter().map(move |resource| (group.value.clone(), resource.value.clone()))
            }) {
                let of_verb = names.entry((namespace.clone(), group, resource, verb.value.clone())).or_default();
                if rule.resource_names.is_empty() {
                    // Any name covers each one.
                    of_verb.insert(ANY.into());
                }
                of_verb.extend(rule.resource_names.iter().map(|name| name.value.clone()));
            }
        }
    }
    // Verbs of one resource with the same names.
    let mut verbs: BTreeMap<(Key, SmolStr), BTreeSet<SmolStr>> = BTreeMap::new();
    for ((namespace, group, resource, verb), names) in names {
        let names = if names.contains(ANY) { Vec::new() } else { names.into_iter().collect() };
        verbs.entry(((namespace, vec![group], names), resource)).or_default().insert(verb);
    }
    // Resources with the same verbs.
    let mut resources: BTreeMap<(Key, BTreeSet<SmolStr>), Vec<SmolStr>> = BTreeMap::new();
    for ((key, resource), verbs) in verbs {
        resources.entry((key, verbs)).or_default().push(resource);
    }
    let texts = |values: Vec<SmolStr>| values.into_iter().map(Text::new).collect();
    let mut joined: Vec<MissingRule> = resources
        .into_iter()
        .map(|(((namespace, groups, names), verbs), resources)| MissingRule {
            rule: PolicyRule {
                api_groups: texts(groups),
                resources: texts(resources),
                resource_names: texts(names),
                verbs: texts(verbs.into_iter().collect()),
                ..PolicyRule::default()
            },
            namespace,
        })
        .collect();
    let mut urls: BTreeMap<BTreeSet<SmolStr>, Vec<SmolStr>> = BTreeMap::new();
    for (url, verbs) in paths {
        urls.entry(verbs).or_default().push(url);
    }
    joined.extend(urls.into_iter().map(|(verbs, urls)| MissingRule {
        rule: PolicyRule {
            non_resource_urls: texts(urls),
            verbs: texts(verbs.into_iter().collect()),
            ..PolicyRule::default()
        },
        namespace: None,
    }));
    joined
}

/// Marks any name; no name of an object holds a NUL.
const ANY: &str = "\0";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::read_request;

    fn request() -> OwnedRequest {
        read_request(br#"{"user": "proxy", "verb": "list", "resource": "pods", "namespace": "shop"}"#).unwrap()
    }

    fn advice(words: &str) -> Advice {
        advise(&RefusedCheck::parse(words).unwrap(), &request())
    }

    #[test]
    fn what_no_rule_can_allow_is_said() {
        const GROUP: &str = "in API group \"authentication.k8s.io\" at the cluster scope";
        for words in [
            format!("impersonate:user-info resource \"groups\" {GROUP}: refused named \"system:masters\""),
            format!("impersonate:user-info resource \"groups\" {GROUP}: refused"),
            format!("impersonate:user-info resource \"userextras\" {GROUP}: refused"),
            format!("impersonate:user-info resource \"userextras/scopes\" {GROUP} named \"a\""),
            format!("impersonate:user-info resource \"userextras/acme.com/a\" {GROUP}: refused"),
            "impersonate resource \"groups\" in API group \"\" at the cluster scope named \"system:masters\""
                .to_owned(),
            "impersonate resource \"groups\" in API group \"\" at the cluster scope named \"system:serviceaccounts:a\""
                .to_owned(),
        ] {
            assert!(matches!(advice(&words), Advice::Impossible(_)), "{words}");
        }
    }

    #[test]
    fn a_refused_legacy_check_is_answered_by_constrained_rules() {
        let words = "impersonate resource \"users\" in API group \"\" at the cluster scope named \"panda\"";
        let Advice::Rules(rules) = advice(words) else { panic!() };
        let shown: Vec<String> = rules
            .iter()
            .map(|missing| {
                let MissingRule { rule, namespace } = missing;
                format!("{namespace:?} {} {}", rule.verbs[0].as_str(), rule.resources[0].as_str())
            })
            .collect();
        assert_eq!(shown, ["Some(\"shop\") impersonate-on:user-info:list pods", "None impersonate:user-info users"]);
        let words = "impersonate resource \"users\" in API group \"\" at the cluster scope named \"system:node:n1\"";
        let Advice::Rules(rules) = advice(words) else { panic!() };
        let identity = &rules[1].rule;
        assert_eq!((identity.resources[0].as_str(), identity.resource_names[0].as_str()), ("nodes", "n1"));
    }

    #[test]
    fn values_of_extras_are_in_no_rule() {
        let words = "impersonate:user-info resource \"userextras/acme.com/token\" in API group \"authentication.k8s.io\" \
                     at the cluster scope named \"secret\"";
        let Advice::Rules(rules) = advice(words) else { panic!() };
        assert!(rules[0].rule.resource_names.is_empty());
    }

    #[test]
    fn rules_that_differ_in_one_list_are_joined() {
        let check = |namespace, resource, verb, name| {
            MissingRule::of(&Attributes { verb, resource, namespace, name, ..Attributes::default() })
        };
        let path = |path, verb| MissingRule::of(&Attributes { verb, path, ..Attributes::default() });
        let rules = [
            check("shop", "pods", "get", ""),
            check("shop", "pods", "list", ""),
            check("shop", "secrets", "list", ""),
            check("shop", "secrets", "get", ""),
            check("", "users", "impersonate:user-info", "b"),
            check("", "users", "impersonate:user-info", "a"),
            path("/api", "get"),
            path("/apis", "get"),
        ];
        let joined = smallest_role(rules.iter());
        assert_eq!(joined.len(), 3);
        let names: Vec<&str> = joined[0].rule.resource_names.iter().map(Text::as_str).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!((joined[1].rule.resources.len(), joined[1].rule.verbs.len()), (2, 2));
        assert_eq!(joined[2].rule.non_resource_urls.len(), 2);
    }
}
