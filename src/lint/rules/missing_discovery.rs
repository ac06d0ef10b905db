//! Impersonation without the requests that clients make before their first.

use super::prelude::*;
use crate::authority::DISCOVERY_PATHS;

/// See `rules/missing-discovery.md`.
#[derive(Debug)]
pub struct MissingDiscovery;

impl Rule for MissingDiscovery {
    fn id(&self) -> &'static str {
        "missing-discovery"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/missing-discovery.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (mode, named) = site.named_in_mode()?;
        let (grants, holders) = site.effective_beside(named, Beside::NoDiscovery(mode))?;
        let missing = site.missing_paths(&holders, mode);
        let paths = if missing.len() == DISCOVERY_PATHS.len() {
            "any path of discovery".to_owned()
        } else {
            words::list(missing.iter().map(|path| format!("`{path}`")))
        };
        let list = missing.iter().map(|path| format!("{path:?}")).collect::<Vec<_>>().join(", ");
        Some(Diagnosis {
            severity: Severity::Note,
            message: format!("{} may not ask for {paths} in the mode {mode}", holders.words),
            help: format!(
                "for kubectl and other clients that look resources up first, grant `impersonate-on:{mode}:get` on \
                 nonResourceURLs [{list}] through a ClusterRoleBinding"
            ),
            resources: resources_of(&grants),
            label: "without discovery".to_owned(),
            holders,
        })
    }
}
