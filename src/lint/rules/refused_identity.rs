//! Identities that constrained modes refuse whatever RBAC says.

use super::prelude::*;
use crate::authority::{is_refused_group, is_refused_key};
use crate::inventory::{Text, abbreviate};

/// See `rules/refused-identity.md`.
#[derive(Debug)]
pub struct RefusedIdentity;

impl Rule for RefusedIdentity {
    fn id(&self) -> &'static str {
        "refused-identity"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/refused-identity.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn fix(&self) -> Fix {
        Fix::Safe
    }

    fn mend(&self, site: &Site<'_>) -> Option<Mend> {
        let (grants, _, refused) = refused(site)?;
        let resources = grants.iter().map(|grant| grant.resource).collect();
        let is_refused = |name: &Text| refused.contains(&name.as_str());
        let names = site.rule.resource_names.iter().enumerate().filter(|(_, name)| is_refused(name));
        without_dead(site, &Dead { resources, names: names.map(|(index, _)| index).collect() })
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let mode = site.constrained_mode()?;
        let (grants, holders, refused_names) = refused(site)?;
        if grants.is_empty() {
            return None;
        }
        let keys = grants.iter().filter_map(|grant| grant.identity.extra_key.as_deref());
        let mut parts: Vec<String> = keys.map(|key| format!("the extra {:?}", abbreviate(key))).collect();
        if grants.iter().any(|grant| grant.identity.kind == Some(IdentityKind::Groups)) {
            parts.extend(refused_names.iter().map(|name| format!("the group {name:?}")));
        }
        Some(Diagnosis {
            severity: Severity::Warning,
            message: format!(
                "the server refuses {} in the mode {mode}, whatever is granted",
                words::list(parts.into_iter())
            ),
            help: "remove it: keys of extras have to be domain-prefixed and lower-case (`example.com/key`), and `system:masters` \
                   and empty names are never allowed; what needs them stays on `impersonate` until the client changes"
                .to_owned(),
            resources: resources_of(&grants),
            label: "is always refused".to_owned(),
            holders,
        })
    }
}

/// The grants that reach someone or something that is refused, for whom, and the names of refused groups.
fn refused<'a>(site: &Site<'a>) -> Option<(Vec<&'a RuleGrant>, Rc<Holders>, Vec<&'a str>)> {
    site.constrained_mode()?;
    let names: Vec<&str> = site.names().into_iter().flatten().map(Text::as_str).collect();
    let refused_names: Vec<&str> = names.iter().copied().filter(|name| is_refused_group(name)).collect();
    let no_value = !names.is_empty() && names.iter().all(|name| name.is_empty());
    let is_refused = |grant: &&RuleGrant| match (grant.identity.kind, grant.identity.extra_key.as_deref()) {
        (Some(IdentityKind::Groups), _) => !refused_names.is_empty(),
        // The key `*` answers the question for many, which nothing refuses.
        (Some(IdentityKind::UserExtras), Some(key)) => key != "*" && (no_value || is_refused_key(key)),
        _ => false,
    };
    let (grants, holders) = site.effective(site.found.iter().filter(is_refused));
    Some((grants, holders, refused_names))
}
