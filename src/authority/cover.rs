//! What the patterns of rules match, all of it: whether one rule allows whatever another does. What a rule says of one
//! request is in [`super::rbac`], and what single patterns match is decided here for both.

use crate::inventory::{PolicyRule, Text};

/// How many combinations of groups, resources and names of one rule are looked at: input is hostile.
const MAX_ITEMS: usize = 200_000;

/// One combination of what a rule lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item<'r> {
    /// Of the API groups, the resources and the names; no name for any.
    Resource { group: &'r str, resource: &'r str, name: Option<&'r str> },
    /// Of the URLs.
    Url(&'r str),
}

/// Reports whether for each combination of groups, resources, names and URLs that `rule` lists one of `known` has all
/// that it matches. Verbs are not compared. URLs do not count in a namespace. False where there are too many to tell.
pub fn is_covered<'k>(
    rule: &PolicyRule,
    in_namespace: bool,
    known: impl Iterator<Item = &'k PolicyRule> + Clone,
) -> bool {
    let names = || {
        let any = rule.resource_names.is_empty().then_some(None);
        any.into_iter().chain(rule.resource_names.iter().map(|name| Some(name.as_str())))
    };
    let urls = if in_namespace { &[] } else { rule.non_resource_urls.as_slice() };
    let combinations = rule.api_groups.len().saturating_mul(rule.resources.len()).saturating_mul(names().count());
    if combinations.saturating_add(urls.len()) > MAX_ITEMS {
        return false;
    }
    let covered = |item: Item<'_>| known.clone().any(|known| covers(known, item));
    urls.iter().all(|url| covered(Item::Url(url.as_str())))
        && rule.api_groups.iter().all(|group| {
            rule.resources.iter().all(|resource| {
                let item = |name| Item::Resource { group: group.as_str(), resource: resource.as_str(), name };
                names().all(|name| covered(item(name)))
            })
        })
}

fn covers(rule: &PolicyRule, item: Item<'_>) -> bool {
    let any = |texts: &[Text], covers: fn(&str, &str) -> bool, pattern: &str| {
        texts.iter().any(|known| covers(known.as_str(), pattern))
    };
    match item {
        Item::Url(url) => any(&rule.non_resource_urls, url_covers, url),
        Item::Resource { group, resource, name } => {
            any(&rule.api_groups, word_covers, group)
                && any(&rule.resources, resource_covers, resource)
                // Names have no pattern: a rule without any has all, and `*` is a name.
                && (rule.resource_names.is_empty()
                    || name.is_some_and(|name| rule.resource_names.iter().any(|own| own.as_str() == name)))
        }
    }
}

/// Reports whether a verb or an API group of a rule has all that another has: equal, or `*`.
pub fn word_covers(known: &str, pattern: &str) -> bool {
    known == "*" || known == pattern
}

/// Reports whether a resource of a rule matches all that another matches.
pub fn resource_covers(known: &str, pattern: &str) -> bool {
    let subresource = || pattern.split_once('/').map(|(_, subresource)| subresource);
    word_covers(known, pattern) || known.strip_prefix("*/").is_some_and(|known| subresource() == Some(known))
}

/// Reports whether a URL of a rule matches all paths that another matches.
pub fn url_covers(known: &str, pattern: &str) -> bool {
    let prefix = url_prefix(known);
    known == pattern || prefix.is_some_and(|prefix| url_prefix(pattern).unwrap_or(pattern).starts_with(prefix))
}

/// Reports whether a resource of a rule matches a resource with its subresource (empty for none): `*`, the same, or
/// `*/subresource`.
pub fn resource_pattern_matches(known: &str, resource: &str, subresource: &str) -> bool {
    if known == "*" {
        return true;
    }
    if subresource.is_empty() {
        return known == resource;
    }
    // Both may hold slashes: the key of an extra does.
    let left = known.strip_suffix(subresource).and_then(|left| left.strip_suffix('/'));
    left.is_some_and(|left| left == "*" || left == resource)
}

/// Reports whether a URL of a rule matches a path: the same, or a prefix before a trailing `*`.
pub fn url_pattern_matches(known: &str, path: &str) -> bool {
    known == path || url_prefix(known).is_some_and(|prefix| path.starts_with(prefix))
}

/// `*` is the empty prefix. Upstream trims all stars at the end.
fn url_prefix(pattern: &str) -> Option<&str> {
    pattern.ends_with('*').then(|| pattern.trim_end_matches('*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_resources() {
        for (known, pattern, expected) in [
            ("*", "pods", true),
            ("*", "*", true),
            ("*", "*/log", true),
            ("pods", "*", false),
            ("pods", "pods", true),
            ("pods", "pods/log", false),
            ("pods/log", "pods/log", true),
            ("pods/log", "*/log", false),
            ("*/log", "pods/log", true),
            ("*/log", "*/log", true),
            ("*/log", "*", false),
            ("*/log", "log", false),
            ("*/log", "pods/blog", false),
            ("*/c", "a/b/c", false),
            ("*/b/c", "a/b/c", true),
            ("*/*", "pods/log", false),
        ] {
            assert_eq!(resource_covers(known, pattern), expected, "{known} {pattern}");
        }
    }

    #[test]
    fn patterns_of_urls() {
        for (known, pattern, expected) in [
            ("*", "/api", true),
            ("*", "*", true),
            ("/api", "*", false),
            ("/api", "/api", true),
            ("/api", "/apis", false),
            ("/api*", "/apis", true),
            ("/api*", "/apis/*", true),
            ("/api**", "/apis/*", true),
            ("/api/*", "/api*", false),
            ("/api/*", "/api", false),
            ("/a*b", "/axb", false),
        ] {
            assert_eq!(url_covers(known, pattern), expected, "{known} {pattern}");
            let is_path = !pattern.ends_with('*');
            assert!(!is_path || url_pattern_matches(known, pattern) == expected, "{known} {pattern}");
        }
    }

    #[test]
    fn a_rule_may_be_covered_by_several() {
        let texts = |words: &[&str]| words.iter().map(|word| Text::new(*word)).collect::<Vec<_>>();
        let rule = |groups: &[&str], resources: &[&str], names: &[&str], urls: &[&str]| PolicyRule {
            api_groups: texts(groups),
            resources: texts(resources),
            resource_names: texts(names),
            non_resource_urls: texts(urls),
            ..PolicyRule::default()
        };
        let pods = rule(&[""], &["pods"], &[], &[]);
        let web = rule(&["", "apps"], &["pods", "deployments"], &["web"], &[]);
        let covered = |wanted: &PolicyRule, known: &[&PolicyRule]| is_covered(wanted, false, known.iter().copied());
        assert!(covered(&rule(&[""], &["pods"], &["web", "db"], &[]), &[&pods]));
        assert!(covered(&rule(&["", "apps"], &["pods"], &["web"], &[]), &[&pods, &web]));
        assert!(!covered(&rule(&["", "apps"], &["pods"], &["web"], &[]), &[&pods]));
        assert!(!covered(&rule(&["", "apps"], &["pods"], &[], &[]), &[&pods, &web]));
        assert!(!covered(&rule(&[""], &["pods", "secrets"], &[], &[]), &[&pods]));
        assert!(!covered(&pods, &[&rule(&[""], &["pods"], &["*"], &[])]));
        // What lists nothing allows nothing.
        assert!(covered(&PolicyRule::default(), &[]));
        let urls = rule(&[], &[], &[], &["/api/*", "/version"]);
        assert!(covered(&urls, &[&rule(&[], &[], &[], &["/api*"]), &rule(&[], &[], &[], &["/version"])]));
        assert!(!covered(&urls, &[&rule(&[], &[], &[], &["/api*"])]));
        assert!(is_covered(&urls, true, std::iter::empty()));
        let many = texts(&["x"; 1000]);
        let many = PolicyRule { api_groups: many.clone(), resources: many, ..PolicyRule::default() };
        assert!(!covered(&many, &[&rule(&["*"], &["*"], &[], &[])]));
    }
}
