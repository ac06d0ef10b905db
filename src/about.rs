//! What the program says of itself. The owner fills in `repository` in `Cargo.toml`; nothing else names a place of it.

/// The version of the program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The address of the repository, once `Cargo.toml` has one.
pub const REPOSITORY: Option<&str> =
    if env!("CARGO_PKG_REPOSITORY").is_empty() { None } else { Some(env!("CARGO_PKG_REPOSITORY")) };

/// Returns the address of a rule's page in this version; none as long as there is no repository, since a dead link is worse.
pub fn rule_url(rule: &str) -> Option<String> {
    REPOSITORY.map(|repository| format!("{}/blob/v{VERSION}/rules/{rule}.md", repository.trim_end_matches('/')))
}
