//! Versions of Kubernetes, as far as impersonation depends on them (KEP-5284, "Graduation Criteria").

use std::fmt;
use std::str::FromStr;

use super::Feature;
use crate::inventory::ClusterFacts;

/// A minor version of Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KubeVersion {
    /// The major version; there is only 1.
    pub major: u32,
    /// The minor version.
    pub minor: u32,
}

impl KubeVersion {
    /// The newest version whose behaviour this release knows.
    pub const NEWEST: Self = Self { major: 1, minor: 37 };

    /// The first version that knows constrained impersonation by default.
    pub const CONSTRAINED: Self = Self { major: 1, minor: 36 };
    /// The last version that does not.
    pub const LAST_LEGACY_ONLY: Self = Self { major: 1, minor: 35 };

    /// What a server of this version does unless its feature gates were set: the gate `ConstrainedImpersonation` is
    /// absent up to 1.34, off by default in 1.35, and on by default from 1.36.
    pub fn feature(self) -> Feature {
        if self >= Self::CONSTRAINED { Feature::Constrained } else { Feature::LegacyOnly }
    }
}

impl ClusterFacts {
    /// The oldest version as which its API servers behave; none if they do not say.
    pub fn kube_version(&self) -> Option<KubeVersion> {
        self.servers.iter().filter_map(|server| server.version.parse().ok()).min()
    }

    /// What its API servers do: what their metrics say of the gate, else what their version does.
    pub fn feature(&self) -> Option<Feature> {
        match self.gate.filter(|_| self.gate_decides()) {
            Some(true) => Some(Feature::Constrained),
            Some(false) => Some(Feature::LegacyOnly),
            None => self.kube_version().map(KubeVersion::feature),
        }
    }

    /// Whether that is known from the metrics. Of several servers, only one was asked for them.
    pub fn gate_decides(&self) -> bool {
        self.gate.is_some() && self.servers.len() < 2
    }
}

impl Default for KubeVersion {
    fn default() -> Self {
        Self::NEWEST
    }
}

impl fmt::Display for KubeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for KubeVersion {
    type Err = String;

    /// Reads `1.37`, `v1.37` and `1.37.2`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no version of Kubernetes, such as {}", Self::NEWEST);
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let mut number = || parts.next().and_then(|part| part.parse().ok());
        match (number(), number()) {
            (Some(1), Some(minor)) => Ok(Self { major: 1, minor }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_follows_the_version() {
        for (text, feature) in [
            ("1.34", Feature::LegacyOnly),
            ("1.35.4", Feature::LegacyOnly),
            ("v1.36", Feature::Constrained),
            ("1.37.2", Feature::Constrained),
        ] {
            assert_eq!(text.parse::<KubeVersion>().unwrap().feature(), feature);
        }
        for text in ["", "1", "2.0", "1.x", "latest"] {
            assert!(text.parse::<KubeVersion>().is_err(), "{text}");
        }
    }
}
