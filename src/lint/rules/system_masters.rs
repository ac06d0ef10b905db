//! The group that passes every check.

use super::prelude::*;
use crate::authority::SYSTEM_MASTERS;
use crate::inventory::Text;

/// See `rules/system-masters.md`.
#[derive(Debug)]
pub struct SystemMasters;

impl Rule for SystemMasters {
    fn id(&self) -> &'static str {
        "system-masters"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/system-masters.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error]
    }

    fn fix(&self) -> Fix {
        Fix::Unsafe
    }

    fn mend(&self, site: &Site<'_>) -> Option<Mend> {
        // Other resources may have the name, too.
        let groups = |text: &Text| text.as_str() == IdentityKind::Groups.resource();
        without_names(site, |name| name == SYSTEM_MASTERS).filter(|_| site.rule.resources.iter().all(groups))
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        if !site.is_legacy_verb() || !site.names_masters() {
            return None;
        }
        let groups = site.legacy().filter(|grant| grant.identity.kind == Some(IdentityKind::Groups));
        let (grants, holders) = site.effective(groups);
        if grants.is_empty() {
            return None;
        }
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can join `system:masters`, which passes every check", holders.words),
            help: "drop the name: constrained impersonation never allows this group; bind `cluster-admin` to a group \
                   of people instead"
                .to_owned(),
            resources: resources_of(&grants),
            label: "reaches system:masters".to_owned(),
            holders: site.with_consequence(&holders),
        })
    }
}
