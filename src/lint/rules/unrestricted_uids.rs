//! Any UID.

use super::prelude::*;

/// See `rules/unrestricted-uids.md`.
#[derive(Debug)]
pub struct UnrestrictedUids;

impl Rule for UnrestrictedUids {
    fn id(&self) -> &'static str {
        "unrestricted-uids"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unrestricted-uids.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) = unrestricted(site, IdentityKind::Uids)?;
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate any UID", holders.words),
            help: LIMIT_IT.to_owned(),
            resources: resources_of(&grants),
            label: "reaches every UID".to_owned(),
            holders: site.with_consequence(&holders),
        })
    }
}
