//! Grants to groups that everyone is in.

use super::prelude::*;

/// See `rules/granted-to-everyone.md`.
#[derive(Debug)]
pub struct GrantedToEveryone;

impl Rule for GrantedToEveryone {
    fn id(&self) -> &'static str {
        "granted-to-everyone"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/granted-to-everyone.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error, Severity::Warning, Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, everyone) = site.effective_for_everyone(site.legacy());
        if grants.is_empty() {
            return None;
        }
        let whom = site.whom(&grants, &everyone);
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &everyone),
            message: format!("{} can impersonate {whom}", everyone.words),
            help: "bind the role to the users or service accounts that need it".to_owned(),
            resources: resources_of(&grants),
            label: "granted to everyone".to_owned(),
            holders: site.with_consequence(&everyone),
        })
    }
}
