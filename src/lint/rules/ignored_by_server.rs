//! Constrained grants for servers that do not know constrained impersonation.

use super::prelude::*;
use crate::authority::{Feature, KubeVersion};

/// See `rules/ignored-by-server.md`.
#[derive(Debug)]
pub struct IgnoredByServer;

impl Rule for IgnoredByServer {
    fn id(&self) -> &'static str {
        "ignored-by-server"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/ignored-by-server.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Warning, Severity::Note]
    }

    fn versions(&self) -> Versions {
        Versions::LEGACY_ONLY
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let mode = site.constrained_mode()?;
        let (grants, holders) = site.dead(site.found, Reason::IgnoredByServer);
        if grants.is_empty() {
            return None;
        }
        let (verb, version) = (site.verb().as_str(), site.grants.version());
        let server = match version.feature() {
            Feature::Constrained => format!("Kubernetes {version} with the feature gate off"),
            Feature::LegacyOnly => format!("Kubernetes {version}"),
        };
        let whom = site.whom(&grants, &holders);
        let gone =
            site.dead_beside(site.found, Reason::IgnoredByServer, Beside::NoLegacy(mode.named_kind().in_legacy()));
        let (severity, message) = match gone {
            Some((_, holders)) => (
                Severity::Warning,
                format!(
                    "{} cannot impersonate {whom}: {server} does not know `{verb}`, and `impersonate` is not granted",
                    holders.words
                ),
            ),
            None => (
                Severity::Note,
                format!("{server} does not know `{verb}`; `impersonate` still serves {}", holders.words),
            ),
        };
        Some(Diagnosis {
            severity,
            message,
            help: format!(
                "keep `impersonate` until every API server is at {} or later, or has the feature gate \
                 ConstrainedImpersonation on (from {})",
                KubeVersion::CONSTRAINED,
                KubeVersion::LAST_LEGACY_ONLY
            ),
            resources: resources_of(&grants),
            label: "ignored by this version".to_owned(),
            holders,
        })
    }
}
