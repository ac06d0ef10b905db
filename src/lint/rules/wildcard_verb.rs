//! The verb `*` over identities.

use super::prelude::*;

/// See `rules/wildcard-verb.md`.
#[derive(Debug)]
pub struct WildcardVerb;

impl Rule for WildcardVerb {
    fn id(&self) -> &'static str {
        "wildcard-verb"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/wildcard-verb.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error, Severity::Warning, Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        if !site.is_any_verb() {
            return None;
        }
        let (grants, holders) = site.effective(site.legacy());
        if grants.is_empty() {
            return None;
        }
        let whom = site.whom(&grants, &holders);
        let message = format!("the verb `*` lets {} impersonate {whom}", holders.words);
        let help = if site.is_everything() && holders.namespaces.is_none() {
            "whoever holds everything needs no impersonation; keep such roles few"
        } else {
            "list the verbs that are needed: `*` covers `impersonate`, and every verb that is added later"
        };
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message,
            help: help.to_owned(),
            resources: resources_of(&grants),
            label: format!("covers `impersonate` on {whom}"),
            holders: site.with_consequence(&holders),
        })
    }
}
