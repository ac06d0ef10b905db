//! Any service account, everywhere or in a namespace.

use super::prelude::*;

/// See `rules/unrestricted-serviceaccounts.md`.
#[derive(Debug)]
pub struct UnrestrictedServiceaccounts;

impl Rule for UnrestrictedServiceaccounts {
    fn id(&self) -> &'static str {
        "unrestricted-serviceaccounts"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unrestricted-serviceaccounts.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Error, Severity::Warning, Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) = unrestricted(site, IdentityKind::ServiceAccounts)?;
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate {}", holders.words, site.whom(&grants, &holders)),
            help: if site.is_server_owned() { SERVER_KEEPS_IT } else { LIMIT_IT }.to_owned(),
            resources: resources_of(&grants),
            label: format!("reaches {}", site.whom(&grants, &holders)),
            holders: site.with_consequence(&holders),
        })
    }
}
