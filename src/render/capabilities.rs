//! What the cluster can do for which a chart is rendered.

use super::api_versions::API_VERSIONS;

/// What the cluster can do, as far as charts ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The version of Kubernetes as it was given, with a `v`.
    pub kube_version: String,
    /// The same without anything after the numbers.
    pub normalized: String,
    /// The first number of the version.
    pub major: String,
    /// The second one.
    pub minor: String,
    /// The versions of APIs, and perhaps their kinds.
    pub api_versions: Vec<String>,
    /// The version of Helm that is imitated.
    pub helm_version: String,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            kube_version: "v1.37.0".to_owned(),
            normalized: "v1.37.0".to_owned(),
            major: "1".to_owned(),
            minor: "37".to_owned(),
            api_versions: API_VERSIONS.iter().map(|version| (*version).to_owned()).collect(),
            helm_version: "v4.3.1".to_owned(),
        }
    }
}

impl Capabilities {
    /// Sets the version of Kubernetes.
    ///
    /// # Errors
    /// When it is none.
    pub fn set_kube_version(&mut self, version: &str) -> Result<(), String> {
        let bare = version.trim().strip_prefix('v').unwrap_or(version.trim());
        let numbers: Vec<&str> =
            bare.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default().split('.').collect();
        let parsed: Option<Vec<u64>> = numbers.iter().take(3).map(|number| number.parse().ok()).collect();
        let Some([major, minor, rest @ ..]) = parsed.as_deref() else {
            return Err(format!("{version:?} is not a version of Kubernetes, such as 1.36 or v1.36.2"));
        };
        let patch = rest.first().copied().unwrap_or_default();
        self.kube_version = if version.starts_with('v') { version.to_owned() } else { format!("v{version}") };
        self.normalized =
            if rest.is_empty() { format!("v{major}.{minor}") } else { format!("v{major}.{minor}.{patch}") };
        self.major = major.to_string();
        self.minor = minor.to_string();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_distributions_are_normalized() {
        let mut capabilities = Capabilities::default();
        capabilities.set_kube_version("1.33.4-gke.1245000").unwrap();
        assert_eq!(capabilities.kube_version, "v1.33.4-gke.1245000");
        assert_eq!(capabilities.normalized, "v1.33.4");
        assert_eq!((capabilities.major.as_str(), capabilities.minor.as_str()), ("1", "33"));
        assert!(capabilities.set_kube_version("new").is_err());
    }
}
