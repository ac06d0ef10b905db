//! Names of generated objects.

use sha2::{Digest, Sha256};

use crate::authority::Mode;
use crate::evidence::Impersonator;
use crate::inventory::SubjectKind;

/// Longest part of a name that is taken from a subject as it is.
const MAX_SUBJECT: usize = 100;

/// The name of the objects that give `impersonator` a mode: `deputize:user-info:sa:apps:deputy`.
///
/// Two impersonators never share a name. What is long, or holds a character that an object's name may not have, or
/// that would have to be quoted everywhere, is cut and has a hash behind a `~`, which no plain name holds.
pub(super) fn name_for(impersonator: &Impersonator, mode: Mode) -> String {
    let kind = match impersonator.kind {
        SubjectKind::ServiceAccount => "sa",
        SubjectKind::User => "user",
        SubjectKind::Group => "group",
        SubjectKind::Unknown(_) => "unknown",
    };
    let subject = match &impersonator.namespace {
        Some(namespace) => format!("{namespace}:{}", impersonator.name),
        None => impersonator.name.to_string(),
    };
    format!("deputize:{mode}:{kind}:{}", plain(&subject))
}

fn plain(subject: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:@".contains(c);
    if subject.len() <= MAX_SUBJECT && !subject.is_empty() && subject.chars().all(allowed) {
        return subject.to_owned();
    }
    let start: String = subject.chars().map(|c| if allowed(c) { c } else { '-' }).take(40).collect();
    let hash = Sha256::digest(subject.as_bytes());
    let hash: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("{start}~{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |kind, namespace: Option<&str>, name: &str| {
            let impersonator = Impersonator { kind, namespace: namespace.map(Into::into), name: name.into() };
            name_for(&impersonator, Mode::UserInfo)
        };
        assert_eq!(of(SubjectKind::ServiceAccount, Some("apps"), "deputy"), "deputize:user-info:sa:apps:deputy");
        assert_eq!(of(SubjectKind::Group, None, "oidc:devs"), "deputize:user-info:group:oidc:devs");
        assert_eq!(of(SubjectKind::User, None, "a/b%c"), "deputize:user-info:user:a-b-c~861ecc5bf556");
        assert_ne!(of(SubjectKind::User, None, "a/b"), of(SubjectKind::User, None, "a%b"));
        assert!(of(SubjectKind::User, None, &"ü".repeat(400)).len() < 100);
    }
}
