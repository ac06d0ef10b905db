//! Any group.

use super::prelude::*;

/// See `rules/unrestricted-groups.md`.
#[derive(Debug)]
pub struct UnrestrictedGroups;

impl Rule for UnrestrictedGroups {
    fn id(&self) -> &'static str {
        "unrestricted-groups"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unrestricted-groups.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) = unrestricted(site, IdentityKind::Groups)?;
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate any group, `system:masters` included", holders.words),
            help: LIMIT_IT.to_owned(),
            resources: resources_of(&grants),
            label: "reaches every group".to_owned(),
            holders: site.with_consequence(&holders),
        })
    }
}
