//! Roles that land in `admin`, `edit` or `view`.

use super::prelude::*;

/// See `rules/aggregated-to-default-role.md`.
#[derive(Debug)]
pub struct AggregatedToDefaultRole;

impl Rule for AggregatedToDefaultRole {
    fn id(&self) -> &'static str {
        "aggregated-to-default-role"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/aggregated-to-default-role.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning, Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let roles = site.default_roles();
        if roles.is_empty() {
            return None;
        }
        let reaching: Vec<&RuleGrant> = site.legacy().filter(|grant| grant.reason.is_none()).collect();
        if reaching.is_empty() {
            return None;
        }
        let names = words::list(roles.iter().map(|name| format!("`{name}`")));
        Some(Diagnosis {
            severity: if site.is_server_owned() { Severity::Note } else { Severity::Warning },
            message: format!(
                "{} is aggregated into {names}: whoever holds one of these can impersonate {}",
                site.role.meta.describe(),
                site.whom(&reaching, &site.nobody()),
            ),
            help: if site.is_server_owned() {
                SERVER_KEEPS_IT
            } else {
                "remove the label, and bind the role to those who need it"
            }
            .to_owned(),
            resources: resources_of(&reaching),
            label: format!("lands in {names}"),
            holders: site.nobody(),
        })
    }
}
