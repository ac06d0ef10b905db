//! Which versions answer, and whether they limit impersonation.

use std::time::Duration;

use http::StatusCode;
use memchr::memmem;
use serde::Deserialize;
use smol_str::{SmolStr, format_smolstr};
use tokio::time::timeout;

use super::client::{CallError, Client};
use super::error::ClusterError;
use crate::inventory::Server;

/// How often the version is asked for at once, each time on a connection of its own: behind one address there may be
/// several servers, and while a control plane is upgraded they differ.
const ASKED: usize = 4;
const MAX_VERSION: usize = 64 << 10;
/// How much of the metrics is read, in bytes, and for how long. Those of a large cluster are some tens of megabytes.
const MAX_METRICS: usize = 256 << 20;
const METRICS_TIMEOUT: Duration = Duration::from_secs(20);
/// The longest line of metrics that is looked at, in bytes.
const MAX_LINE: usize = 64 << 10;

/// What `/version` says. A program that behaves as an older one says that in the fields that begin with `emulation`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    major: String,
    minor: String,
    git_version: String,
    emulation_major: Option<String>,
    emulation_minor: Option<String>,
}

impl Version {
    fn into_server(self) -> Server {
        // Some clouds write `37+`.
        let number = |text: &str| text.trim_end_matches(|c: char| !c.is_ascii_digit()).to_owned();
        let major = number(&self.emulation_major.unwrap_or(self.major));
        let minor = number(&self.emulation_minor.unwrap_or(self.minor));
        Server { version: format_smolstr!("{major}.{minor}"), git_version: SmolStr::new(self.git_version) }
    }
}

/// The versions of the API servers that answer; none if they may not be asked for it.
pub(super) async fn servers(client: &Client) -> Result<Vec<Server>, ClusterError> {
    let ask = || async {
        let body = client.get("/version", MAX_VERSION).await?;
        let version: Result<Version, _> = serde_json::from_slice(&body);
        version.map(Version::into_server).map_err(|_| CallError::Malformed("/version is no version".to_owned()))
    };
    let [a, b, c, d]: [_; ASKED] = [ask(), ask(), ask(), ask()];
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let answers: Result<Vec<Server>, CallError> = [a, b, c, d].into_iter().collect();
    match answers {
        // Hardened clusters show it to fewer than RBAC. Who may read nothing learns it soon enough.
        Err(CallError::Refused { code: StatusCode::FORBIDDEN, .. }) => Ok(Vec::new()),
        answers => answers.map_err(|error| error.describe(client.server())),
    }
}

/// Whether the feature gate `ConstrainedImpersonation` is on, where the metrics may be read and say so.
pub(super) async fn gate(client: &Client) -> Option<bool> {
    let mut search = GateSearch::default();
    let read = client.stream("/metrics", MAX_METRICS, |piece| search.push(piece));
    timeout(METRICS_TIMEOUT, read).await.ok()?.ok()?;
    search.found
}

/// Looks for the metric of the gate in text that comes in pieces.
#[derive(Default)]
struct GateSearch {
    /// The beginning of a line whose end is still to come.
    rest: Vec<u8>,
    /// None as long as there is no line of it: a gate that is not there says less than the version does.
    found: Option<bool>,
}

impl GateSearch {
    const METRIC: &[u8] = b"kubernetes_feature_enabled{";
    const GATE: &[u8] = b"name=\"ConstrainedImpersonation\"";

    /// Whether nothing more is needed.
    fn push(&mut self, piece: &[u8]) -> bool {
        let Some(end) = memchr::memrchr(b'\n', piece) else {
            if self.rest.len() < MAX_LINE {
                self.rest.extend_from_slice(piece);
            }
            return false;
        };
        let end = self.rest.len() + end;
        self.rest.extend_from_slice(piece);
        let lines = self.rest.get(..=end).unwrap_or_default();
        for at in memmem::find_iter(lines, Self::METRIC) {
            let line = lines.get(at..).and_then(|rest| rest.split(|byte| *byte == b'\n').next()).unwrap_or_default();
            if memmem::find(line, Self::GATE).is_some() {
                self.found = Some(line.trim_ascii_end().ends_with(b" 1"));
            }
        }
        self.rest.drain(..=end);
        self.found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_is_found_wherever_the_text_is_cut() {
        let gate = |text: &str, cut: usize| {
            let mut search = GateSearch::default();
            let enough = search.push(&text.as_bytes()[..cut]);
            if !enough {
                search.push(&text.as_bytes()[cut..]);
            }
            search.found
        };
        let line =
            |gate: &str, value: u8| format!("kubernetes_feature_enabled{{name=\"{gate}\",stage=\"BETA\"}} {value}\n");
        let other = format!("# HELP kubernetes_feature_enabled x\na 1\n{}", line("Other", 1));
        for (text, expected) in [
            (format!("{other}{}", line("ConstrainedImpersonation", 1)), Some(true)),
            (format!("{other}{}", line("ConstrainedImpersonation", 0)), Some(false)),
            (other.clone(), None),
            (String::new(), None),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(gate(&text, cut), expected, "{text:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_a_server_emulates_is_what_it_is() {
        let server = |text: &str| serde_json::from_str::<Version>(text).unwrap().into_server();
        let eks = server(r#"{"major": "1", "minor": "37+", "gitVersion": "v1.37.2-eks-1"}"#);
        assert_eq!((&*eks.version, &*eks.git_version), ("1.37", "v1.37.2-eks-1"));
        let text =
            r#"{"major": "1", "minor": "37", "emulationMajor": "1", "emulationMinor": "35", "gitVersion": "v1.37.2"}"#;
        assert_eq!(server(text).version, "1.35");
    }
}
