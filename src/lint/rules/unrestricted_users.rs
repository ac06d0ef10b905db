//! Any user.

use super::prelude::*;

/// See `rules/unrestricted-users.md`.
#[derive(Debug)]
pub struct UnrestrictedUsers;

impl Rule for UnrestrictedUsers {
    fn id(&self) -> &'static str {
        "unrestricted-users"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unrestricted-users.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) = unrestricted(site, IdentityKind::Users)?;
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate any user", holders.words),
            help: LIMIT_IT.to_owned(),
            resources: resources_of(&grants),
            label: "reaches every user".to_owned(),
            holders: site.with_consequence(&holders),
        })
    }
}
