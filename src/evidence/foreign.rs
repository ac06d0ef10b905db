//! Texts that hold audit events in forms that are not read, and what to use instead.

use aho_corasick::AhoCorasick;
use std::sync::LazyLock;

use super::container::Unsupported;

/// Audit events as YAML.
const YAML: Unsupported =
    Unsupported { name: "YAML", help: "export the events as JSON instead: `-o json`, `--format=json`" };
const LEGACY: Unsupported = Unsupported {
    name: "the legacy audit format",
    help: "run the API server with `--audit-log-format=json`: the legacy format has no groups and no UID",
};
const BIG_QUERY: Unsupported = Unsupported {
    name: "a BigQuery table of Cloud Logging",
    help: "use `gcloud logging read --format=json`, or a sink to Cloud Storage, instead",
};
/// The tables of resource-specific logs on Azure.
pub(super) const AKS_AUDIT: Unsupported = Unsupported {
    name: "the table AKSAudit",
    help: "it has no column for the impersonated user: use the table AzureDiagnostics, a storage account or Event Hubs \
           instead",
};

/// Starts of lines that only YAML has.
const YAML_KEYS: [&str; 6] = [
    "auditID:",
    "requestURI:",
    "impersonatedUser:",
    "apiVersion: audit.k8s.io/",
    "protoPayload:",
    "authoritySelector:",
];

/// Recognizes a record that holds no event which could be read.
pub(super) fn unsupported(record: &str) -> Option<Unsupported> {
    let is_yaml = |line: &str| {
        let key = line.trim_start_matches([' ', '-', '\t']);
        YAML_KEYS.iter().any(|start| key.starts_with(start))
    };
    if record.contains("AUDIT: id=\"") {
        Some(LEGACY)
    } else if record.contains("protopayload_auditlog") {
        Some(BIG_QUERY)
    } else if record.contains("AuditId") && record.contains("RequestUri") && record.contains("StageReceivedTime") {
        Some(AKS_AUDIT)
    } else if record.lines().any(is_yaml) {
        Some(YAML)
    } else {
        None
    }
}

/// Words of an event: its own keys, or what it says of the impersonated user.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let words = ["auditid", "impersonateduser", "impersonated_user"];
    AhoCorasick::builder().ascii_case_insensitive(true).build(words).ok()
});

/// Reports whether bytes have words that an event has, and hardly anything else does.
pub(super) fn has_event_words(record: &[u8]) -> bool {
    WORDS.as_ref().is_some_and(|words| words.is_match(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_words() {
        for (record, expected) in [
            ("2026-01-01T00:00:00Z AUDIT: id=\"x\" as=\"<self>\"", Some(LEGACY)),
            ("{\"protopayload_auditlog\":{}}", Some(BIG_QUERY)),
            ("TenantId,AuditId,Stage,RequestUri,Verb,StageReceivedTime", Some(AKS_AUDIT)),
            ("- auditID: x", Some(YAML)),
            ("apiVersion: audit.k8s.io/v1", Some(YAML)),
            ("I0101 audit.go:1] requestURI: no", None),
            ("", None),
        ] {
            assert_eq!(unsupported(record), expected, "{record}");
        }
        assert!(has_event_words(b"{'AuditID': 'x'}") && !has_event_words(b"cannot impersonate"));
    }
}
