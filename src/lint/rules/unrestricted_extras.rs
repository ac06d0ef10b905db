//! Any value of an extra.

use super::prelude::*;

/// See `rules/unrestricted-extras.md`.
#[derive(Debug)]
pub struct UnrestrictedExtras;

impl Rule for UnrestrictedExtras {
    fn id(&self) -> &'static str {
        "unrestricted-extras"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unrestricted-extras.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) = unrestricted(site, IdentityKind::UserExtras)?;
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &holders),
            message: format!("{} can impersonate {}", holders.words, site.whom(&grants, &holders)),
            help: "limit it by constrained impersonation (`deputize migrate`), which takes domain-prefixed keys only, or name the \
                   values in `resourceNames`"
                .to_owned(),
            resources: resources_of(&grants),
            label: format!("reaches {}", site.whom(&grants, &holders)),
            holders: site.with_consequence(&holders),
        })
    }
}
