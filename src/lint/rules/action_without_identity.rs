//! Actions in a mode in which nobody can be impersonated.

use super::prelude::*;
use crate::authority::AUTHENTICATION_GROUP;

/// See `rules/action-without-identity.md`.
#[derive(Debug)]
pub struct ActionWithoutIdentity;

impl Rule for ActionWithoutIdentity {
    fn id(&self) -> &'static str {
        "action-without-identity"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/action-without-identity.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let mode = site.acting_mode()?;
        let holders = site.acting_beside(Beside::NoIdentity(mode))?;
        let (verb, resource) = (mode.identity_verb(), mode.named_kind().resource());
        Some(Diagnosis {
            severity: Severity::Warning,
            message: format!(
                "{} may act in the mode {mode}, but as nobody: no rule gives it `{verb}` on `{resource}`",
                holders.words
            ),
            help: format!(
                "grant `{verb}` on `{resource}` in {AUTHENTICATION_GROUP}; identities of another mode do not count"
            ),
            resources: Vec::new(),
            label: "is done as nobody".to_owned(),
            holders,
        })
    }
}
