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
        let (grants, holders) = site.effective(site.legacy());
        let everyone: Vec<Holder> =
            holders.into_iter().filter(|holder| site.grants.subject(holder).is_some_and(is_everyone)).collect();
        if everyone.is_empty() {
            return None;
        }
        let whom = site.whom(&grants, &everyone);
        Some(Diagnosis {
            severity: site.reach_severity(&grants, &everyone),
            message: format!("{} can impersonate {whom}", site.who(&everyone)),
            help: "bind the role to the users or service accounts that need it".to_owned(),
            resources: resources_of(&grants),
            label: "granted to everyone".to_owned(),
            holders: everyone,
        })
    }
}

/// Whether a subject stands for all users, all service accounts, or those without credentials.
fn is_everyone(subject: &Subject) -> bool {
    let name = subject.name.as_str();
    match subject.kind {
        SubjectKind::Group => [SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS].contains(&name),
        SubjectKind::User => name == SYSTEM_ANONYMOUS,
        _ => false,
    }
}
