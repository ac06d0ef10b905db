//! Grants that nothing in the input binds.

use super::prelude::*;
use crate::inventory::Form;

/// See `rules/unbound-role.md`.
#[derive(Debug)]
pub struct UnboundRole;

impl Rule for UnboundRole {
    fn id(&self) -> &'static str {
        "unbound-role"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/unbound-role.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn fix(&self) -> Fix {
        Fix::Unsafe
    }

    fn mend(&self, site: &Site<'_>) -> Option<Mend> {
        // What a controller overwrites means nothing; half of a constrained grant is no mend.
        (site.is_legacy_verb() && !site.grants.is_overwritten(site.role_id)).then(|| without_verb(site))
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (grants, holders) =
            site.dead(site.found.iter().filter(|grant| grant.identity.kind.is_some()), Reason::Unbound);
        // What a label aggregates into a default role is held on every cluster.
        if grants.is_empty() || !site.default_roles().is_empty() {
            return None;
        }
        let (role, whom) = (site.role.meta.describe(), site.whom(&grants, &holders));
        let (message, help, label) = if site.grants.is_overwritten(site.role_id) {
            (
                format!("what {role} says of {whom} is overwritten by the roles that it aggregates"),
                "write the rule into a role of its own, with the label that the aggregation rule selects",
                "overwritten by the aggregation controller",
            )
        } else {
            (
                format!("nothing {} binds {role}, which lets its holders impersonate {whom}", site.extent()),
                match site.role.meta.embedded.as_deref() {
                    Some(embedding) if embedding.form == Form::Rules => {
                        "look up what becomes of these rules and who holds them then, or remove the grant"
                    }
                    _ => "check the binding too, or remove the grant if there is none",
                },
                "bound by nothing that was read",
            )
        };
        Some(Diagnosis {
            severity: Severity::Note,
            message,
            help: help.to_owned(),
            resources: resources_of(&grants),
            label: label.to_owned(),
            holders: site.nobody(),
        })
    }
}
