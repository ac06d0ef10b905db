//! The name or key `*`, which is no wildcard.

use super::prelude::*;
use crate::authority::MANY;

/// See `rules/literal-star.md`.
#[derive(Debug)]
pub struct LiteralStar;

impl Rule for LiteralStar {
    fn id(&self) -> &'static str {
        "literal-star"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/literal-star.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        site.constrained_mode()?;
        let named = site.names().is_some_and(|names| names.iter().any(|name| name.as_str() == "*"));
        let is_literal = |grant: &&RuleGrant| match grant.identity.kind {
            // Here it is the name that the server asks for.
            Some(IdentityKind::Nodes) => false,
            Some(IdentityKind::UserExtras) => named || grant.identity.extra_key.as_deref() == Some("*"),
            _ => named,
        };
        let (grants, holders) = site.effective(site.found.iter().filter(is_literal));
        let rank = |grant: &&&RuleGrant| (grant.identity.kind == Some(IdentityKind::Groups), grant.identity.kind);
        let gravest = grants.iter().max_by_key(rank)?;
        let many = |what: &str| {
            format!(
                "`*` is no wildcard here: it lets {} have any {what} in a request that carries {MANY} or more of them, and none in \
                 one that carries fewer",
                holders.words
            )
        };
        let message = match (gravest.identity.kind, gravest.identity.extra_key.as_deref()) {
            (Some(IdentityKind::Groups), _) => many("group"),
            (Some(IdentityKind::UserExtras), None | Some("*")) => many("extra"),
            _ => format!("`*` is no wildcard here: it lets {} have what is named `*`, and nothing else", holders.words),
        };
        Some(Diagnosis {
            severity: Severity::Warning,
            message,
            help: "leave `resourceNames` out to mean any, or list the names; write one `userextras/<key>` for each key"
                .to_owned(),
            resources: resources_of(&grants),
            label: "no wildcard among names".to_owned(),
            holders,
        })
    }
}
