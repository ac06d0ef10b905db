//! The verb `impersonate` over the resource `*`.

use super::prelude::*;

/// See `rules/wildcard-resource.md`.
#[derive(Debug)]
pub struct WildcardResource;

impl Rule for WildcardResource {
    fn id(&self) -> &'static str {
        "wildcard-resource"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/wildcard-resource.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error, Severity::Warning]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        if !site.is_legacy_verb() {
            return None;
        }
        let (grants, holders) = site.effective(site.legacy().filter(|grant| !site.is_spelled(grant)));
        if grants.is_empty() {
            return None;
        }
        let whom = site.whom(&grants, &holders);
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("`impersonate` on a wildcard resource lets {} impersonate {whom}", holders.words),
            help: "spell the resources: users, groups, serviceaccounts, uids or userextras/<key>".to_owned(),
            resources: resources_of(&grants),
            label: format!("reaches {whom}"),
            holders: site.with_consequence(&holders),
        })
    }
}
