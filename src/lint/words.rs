//! How findings speak of holders and identities.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use crate::authority::{IdentityKind, Mode, Requestable};
use crate::grants::RuleGrant;
use crate::inventory::{ObjectMeta, PolicyRule, Subject, Text, abbreviate};

/// How many names or keys are spelled out before the rest is counted.
const MAX_SPELLED: usize = 3;

/// `ServiceAccount "apps/deputy"`, `User "a" and Group "b"`, `Group "a" and 4 others`; the role itself where nobody
/// holds it.
pub(super) fn holders(role: &ObjectMeta, subjects: &[&Subject]) -> String {
    let count = subjects.len();
    let subjects: Vec<&Subject> = subjects.iter().copied().take(2).collect();
    match (subjects.as_slice(), count) {
        ([one], _) => one.describe(),
        ([one, two], 2) => format!("{} and {}", one.describe(), two.describe()),
        ([one, ..], many) => format!("{} and {} others", one.describe(), many - 1),
        ([], _) => format!("whoever is given {}", role.describe()),
    }
}

/// `any user and any group`, `the users "a" and "b"`, `any service account in namespace "apps"`.
pub(crate) fn identities(rule: &PolicyRule, grants: &[&RuleGrant], namespaces: Option<&BTreeSet<SmolStr>>) -> String {
    let mut parts: Vec<String> = Vec::new();
    for kind in IdentityKind::ALL {
        let of_kind: Vec<&&RuleGrant> = grants.iter().filter(|grant| grant.identity.kind == Some(kind)).collect();
        if of_kind.is_empty() {
            continue;
        }
        let one = match kind {
            IdentityKind::Users => "user",
            IdentityKind::Groups => "group",
            IdentityKind::ServiceAccounts => "service account",
            IdentityKind::Uids => "UID",
            IdentityKind::Nodes => "node",
            IdentityKind::UserExtras => {
                parts.push(extras(rule, &of_kind));
                continue;
            }
        };
        let mut part = match names_of(rule) {
            None => format!("any {one}"),
            Some(names) => {
                // Of names that the server never asks for, nothing can be said to be reached.
                let mode = of_kind[0].mode.unwrap_or(Mode::Legacy);
                let requestable = Requestable { mode, kind, extra_key: None };
                let asked = |name: &&Text| name.is_templated() || requestable.asks_for(name.as_str());
                let names: Vec<&Text> = names.iter().filter(asked).collect();
                let plural = if names.len() == 1 { "" } else { "s" };
                format!("the {one}{plural} {}", list(names.into_iter().map(quote)))
            }
        };
        if kind == IdentityKind::ServiceAccounts {
            part.push_str(&in_namespaces(namespaces));
        }
        parts.push(part);
    }
    list(parts.into_iter())
}

fn extras(rule: &PolicyRule, grants: &[&&RuleGrant]) -> String {
    let keys: Vec<&str> = grants.iter().filter_map(|grant| grant.identity.extra_key.as_deref()).collect();
    let values = match names_of(rule) {
        None => "any value".to_owned(),
        Some([name]) => format!("the value {}", quote(name)),
        Some(names) => format!("the values {}", list(names.iter().map(quote))),
    };
    match keys.as_slice() {
        _ if keys.len() < grants.len() => format!("{values} of any extra"),
        [key] => format!("{values} of the extra {}", spell(key)),
        keys => format!("{values} of the extras {}", list(keys.iter().map(|key| spell(key)))),
    }
}

/// The names to which a rule is limited; none for any.
fn names_of(rule: &PolicyRule) -> Option<&[Text]> {
    (!rule.resource_names.is_empty()).then_some(&rule.resource_names)
}

fn in_namespaces(namespaces: Option<&BTreeSet<SmolStr>>) -> String {
    let Some(names) = namespaces else { return String::new() };
    let spelled = list(names.iter().map(|name| format!("{:?}", name.as_str())));
    match names.len() {
        0 => String::new(),
        1 => format!(" in namespace {spelled}"),
        _ => format!(" in the namespaces {spelled}"),
    }
}

fn quote(text: &Text) -> String {
    spell(text.as_str())
}

/// A name in quotes. `*` is no wildcard among names and keys, and looks like one.
fn spell(name: &str) -> String {
    if name == "*" { "\"*\" (a name, no wildcard)".to_owned() } else { format!("{:?}", abbreviate(name)) }
}

/// `a`, `a and b`, `a, b and c`, `a, b, c and 4 more`.
pub(crate) fn list(items: impl Iterator<Item = String>) -> String {
    let mut rest = items;
    let mut items: Vec<String> = rest.by_ref().take(MAX_SPELLED + 1).collect();
    let more = rest.count();
    if more > 0 {
        items.truncate(MAX_SPELLED);
        items.push(format!("{} more", more + 1));
    }
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} and {last}", items.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::list;

    #[test]
    fn lists() {
        let of = |count: usize| list((1..=count).map(|n| n.to_string()));
        assert_eq!([of(0), of(1), of(2), of(4), of(6)], ["", "1", "1 and 2", "1, 2, 3 and 4", "1, 2, 3 and 3 more"]);
    }
}
