//! Which versions answer.

use http::StatusCode;
use serde::Deserialize;
use smol_str::{SmolStr, format_smolstr};

use super::client::{CallError, Client};
use super::error::ClusterError;
use crate::inventory::Server;

/// How often the version is asked for at once, each time on a connection of its own: behind one address there may be
/// several servers, and while a control plane is upgraded they differ.
const ASKED: usize = 4;
const MAX_VERSION: usize = 64 << 10;

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

#[cfg(test)]
mod tests {
    use super::*;

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
