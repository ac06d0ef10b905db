//! Identities that may be taken and for which nothing may be done.

use super::prelude::*;

/// See `rules/identity-without-action.md`.
#[derive(Debug)]
pub struct IdentityWithoutAction;

impl Rule for IdentityWithoutAction {
    fn id(&self) -> &'static str {
        "identity-without-action"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/identity-without-action.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let mode = site.constrained_mode()?;
        let (grants, holders) = site.effective_beside(site.found, Beside::NoAction(mode))?;
        let whom = site.whom(&grants, &holders);
        Some(Diagnosis {
            severity: Severity::Warning,
            message: format!(
                "{} may impersonate {whom} in the mode {mode}, but do nothing as such: no rule gives it an action of this mode",
                holders.words
            ),
            help: format!(
                "grant `impersonate-on:{mode}:<verb>` on the resources and paths that are asked for; actions of another mode \
                 do not count"
            ),
            resources: resources_of(&grants),
            label: "passes no request".to_owned(),
            holders,
        })
    }
}
