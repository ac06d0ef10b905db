//! Service accounts that are granted in a namespace other than their own.

use super::prelude::*;
use crate::inventory::abbreviate;

/// How many names of a rule are looked up.
const MAX_NAMES: usize = 100;

/// See `rules/wrong-namespace.md`.
#[derive(Debug)]
pub struct WrongNamespace;

impl Rule for WrongNamespace {
    fn id(&self) -> &'static str {
        "wrong-namespace"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/wrong-namespace.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let mode = site.constrained_mode().filter(|mode| mode.named_kind() == IdentityKind::ServiceAccounts)?;
        let names = site.names()?;
        let (grants, holders) = site.effective(site.found);
        let granted = holders.namespaces.as_ref().filter(|_| !grants.is_empty())?;
        let subjects = site.grants.subjects();
        // There is one of this name in every namespace, whether a binding names it or not.
        let names = names.iter().map(|name| name.as_str()).filter(|name| *name != "default").take(MAX_NAMES);
        let (name, elsewhere) = names.into_iter().find_map(|name| {
            let is_here = granted.iter().any(|namespace| subjects.has_account(namespace, name));
            Some((name, subjects.namespaces_of(name).next().filter(|_| !is_here)?))
        })?;
        let here = words::list(granted.iter().map(|namespace| format!("{:?}", abbreviate(namespace))));
        let (name, elsewhere) = (abbreviate(name), abbreviate(elsewhere));
        Some(Diagnosis {
            severity: Severity::Warning,
            message: format!(
                "the service account {name:?} is in namespace {elsewhere:?}, but `{}` is granted for the one in {here}, which holds \
                 nothing here",
                mode.identity_verb()
            ),
            help: format!(
                "put the role and its binding into {elsewhere:?}: the server asks for a service account in its own namespace, \
                 wherever the request goes"
            ),
            resources: resources_of(&grants),
            label: "reaches another namespace".to_owned(),
            holders,
        })
    }
}
