//! Bindings to roles that every cluster has, and that carry impersonation.

use super::prelude::*;
use crate::authority::allows_everything;

/// See `rules/default-role.md`.
#[derive(Debug)]
pub struct DefaultRole;

impl Rule for DefaultRole {
    fn id(&self) -> &'static str {
        "default-role"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/default-role.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn check(&self, _site: &Site<'_>) -> Option<Diagnosis> {
        None
    }

    fn check_binding(&self, site: &BindingSite<'_>) -> Option<Diagnosis> {
        let holders = site.holders();
        if holders.subjects.is_empty() {
            return None;
        }
        let role = site.binding.role_ref.name.as_str();
        let whom = site.legacy().map(|(rule, grants)| {
            words::identities(rule, &grants.iter().collect::<Vec<_>>(), holders.namespaces.as_ref())
        });
        let whom = words::list(whom);
        let everything = site.rules.iter().any(allows_everything);
        let help = if everything {
            "whoever holds everything needs no impersonation; keep such bindings few, and name roles that are narrower"
        } else {
            SERVER_KEEPS_IT
        };
        Some(Diagnosis {
            severity: Severity::Note,
            message: format!("the default role `{role}` lets {} impersonate {whom}", holders.words),
            help: help.to_owned(),
            resources: Vec::new(),
            label: if everything { "carries everything" } else { "carries `impersonate` on service accounts" }
                .to_owned(),
            holders,
        })
    }
}
