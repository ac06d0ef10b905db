//! Whether one rule allows one request (`pkg/apis/rbac/v1/evaluation_helpers.go` and
//! `plugin/pkg/auth/authorizer/rbac/rbac.go`, `RuleAllows`).

use super::Attributes;
use super::cover::{resource_pattern_matches, url_pattern_matches};
use crate::inventory::{PolicyRule, Text};

/// Whether the rule allows the request.
pub fn allows(rule: &PolicyRule, request: &Attributes<'_>) -> bool {
    if !verb_matches(rule, request.verb) {
        return false;
    }
    if !request.path.is_empty() {
        return url_matches(rule, request.path);
    }
    group_matches(rule, request.api_group)
        && resource_matches(rule, request.resource, request.subresource)
        && name_matches(rule, request.name)
}

/// `VerbMatches`: equal, or `*`. There are no partial wildcards.
pub fn verb_matches(rule: &PolicyRule, verb: &str) -> bool {
    has(&rule.verbs, "*") || has(&rule.verbs, verb)
}

/// `APIGroupMatches`: equal, or `*`.
pub fn group_matches(rule: &PolicyRule, group: &str) -> bool {
    has(&rule.api_groups, "*") || has(&rule.api_groups, group)
}

/// `ResourceMatches`: `*`, the resource with its subresource, or `*/subresource`.
pub fn resource_matches(rule: &PolicyRule, resource: &str, subresource: &str) -> bool {
    rule.resources.iter().any(|known| resource_pattern_matches(known.as_str(), resource, subresource))
}

/// `ResourceNameMatches`: no names, or an equal one. `*` is an ordinary name.
pub fn name_matches(rule: &PolicyRule, name: &str) -> bool {
    rule.resource_names.is_empty() || has(&rule.resource_names, name)
}

/// `NonResourceURLMatches`: `*`, equal, or a prefix before a trailing `*`.
pub fn url_matches(rule: &PolicyRule, path: &str) -> bool {
    rule.non_resource_urls.iter().any(|known| url_pattern_matches(known.as_str(), path))
}

/// Whether the rule is `*/*/*` without names: all verbs on all resources.
pub fn allows_everything(rule: &PolicyRule) -> bool {
    [&rule.verbs, &rule.api_groups, &rule.resources].iter().all(|texts| has(texts, "*"))
        && rule.resource_names.is_empty()
}

/// The rule that allows one request and nothing more. It has to count in the namespace of the request, or in the whole
/// cluster where that has none.
pub fn smallest_rule(request: &Attributes<'_>) -> PolicyRule {
    let Attributes { verb, api_group, resource, subresource, name, path, .. } = *request;
    let one = |value: &str| vec![Text::new(value)];
    if !path.is_empty() {
        return PolicyRule { verbs: one(verb), non_resource_urls: one(path), ..PolicyRule::default() };
    }
    let slash = if subresource.is_empty() { "" } else { "/" };
    PolicyRule {
        verbs: one(verb),
        api_groups: one(api_group),
        resources: one(&format!("{resource}{slash}{subresource}")),
        resource_names: if name.is_empty() { Vec::new() } else { one(name) },
        non_resource_urls: Vec::new(),
    }
}

fn has(texts: &[Text], value: &str) -> bool {
    texts.iter().any(|text| text.as_str() == value)
}
