//! People by name.

use super::prelude::*;

/// See `rules/names-a-person.md`.
#[derive(Debug)]
pub struct NamesAPerson;

impl Rule for NamesAPerson {
    fn id(&self) -> &'static str {
        "names-a-person"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/names-a-person.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let person = site.names()?.iter().find(|name| name.as_str().contains('@'))?;
        let users = site.legacy().filter(|grant| grant.identity.kind == Some(IdentityKind::Users));
        let (grants, holders) = site.effective(users);
        if grants.is_empty() {
            return None;
        }
        Some(Diagnosis {
            severity: Severity::Note,
            message: format!("{} can impersonate a person, {:?}", holders.words, person.as_str()),
            help: "give the task a user of its own: people leave, and the grant stays".to_owned(),
            resources: resources_of(&grants),
            label: "reaches a person".to_owned(),
            holders,
        })
    }
}
