//! Identities by name.

use super::prelude::*;

/// See `rules/named-identities.md`.
#[derive(Debug)]
pub struct NamedIdentities;

impl Rule for NamedIdentities {
    fn id(&self) -> &'static str {
        "named-identities"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/named-identities.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning, Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        if !site.is_legacy_verb() || site.names().is_none() {
            return None;
        }
        // A group `system:masters` among the names has a rule of its own.
        let masters = |grant: &&RuleGrant| grant.identity.kind == Some(IdentityKind::Groups) && site.names_masters();
        let spelled = site.legacy().filter(|grant| site.is_spelled(grant) && !masters(grant));
        let (grants, holders) = site.effective(spelled);
        if grants.is_empty() {
            return None;
        }
        let whom = site.whom(&grants, &holders);
        let is_someone =
            |grant: &&RuleGrant| !matches!(grant.identity.kind, Some(IdentityKind::Uids | IdentityKind::UserExtras));
        let reach = if grants.iter().any(is_someone) { ", and do all that they can" } else { "" };
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate {whom}{reach}", holders.words),
            help: "replace it by constrained impersonation, which limits what is done (`deputize migrate`)".to_owned(),
            resources: resources_of(&grants),
            label: "reaches those that are named".to_owned(),
            holders: site.with_consequence(&holders),
        })
    }
}
