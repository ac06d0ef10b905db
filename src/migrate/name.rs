//! Names of generated objects.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::manifest::Scope;
use crate::evidence::Impersonator;
use crate::inventory::{DEFAULT_NAMESPACE, Inventory, ObjectKey, ObjectKind, SubjectKind};

/// Longest part of a name that is taken from a subject as it is.
const MAX_SUBJECT: usize = 100;

/// The name of the objects that give `impersonator` a mode: `deputize:user-info:sa:apps:deputy`.
///
/// Two impersonators never share a name. What is long, or holds a character that an object's name may not have, or
/// that would have to be quoted everywhere, is cut and has a hash behind a `~`, which no plain name holds.
pub(super) fn name_for(impersonator: &Impersonator, mode: &str) -> String {
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
    format!("{start}~{}", short_hash(subject))
}

/// Twelve hexadecimal digits that tell names apart which look alike once they are cut to what is allowed somewhere.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Names of objects that are taken.
pub(super) struct Names {
    taken: BTreeSet<ObjectKey>,
}

impl Names {
    /// The names of the input, without those of an earlier run's own objects: these are replaced.
    pub fn new(inventory: &Inventory, own: &[ObjectKey]) -> Self {
        let roles = inventory.roles.iter().map(|role| role.meta.key());
        let bindings = inventory.bindings.iter().map(|binding| binding.meta.key());
        let own: BTreeSet<&ObjectKey> = own.iter().collect();
        Self { taken: roles.chain(bindings).filter(|key| !own.contains(key)).collect() }
    }

    /// The wanted name, or the first of `name~2`, `name~3`, … that neither a role nor a binding has in a scope.
    pub fn free(&mut self, scope: &Scope, wanted: &str) -> String {
        let (kinds, namespace) = match scope {
            Scope::Cluster => ([ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding], None),
            Scope::Namespace(namespace) => {
                let namespace = namespace.clone().unwrap_or(SmolStr::new_static(DEFAULT_NAMESPACE));
                ([ObjectKind::Role, ObjectKind::RoleBinding], Some(namespace))
            }
        };
        let keys = |name: &str| {
            let key = |kind| ObjectKey { kind, namespace: namespace.clone(), name: SmolStr::new(name) };
            kinds.map(key)
        };
        let numbered = (2..).map(|number| format!("{wanted}~{number}"));
        let free = |name: &String| keys(name).iter().all(|key| !self.taken.contains(key));
        let name = std::iter::once(wanted.to_owned()).chain(numbered).find(free).unwrap_or_default();
        self.taken.extend(keys(&name));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let of = |kind, namespace: Option<&str>, name: &str| {
            let impersonator = Impersonator { kind, namespace: namespace.map(Into::into), name: name.into() };
            name_for(&impersonator, "user-info")
        };
        assert_eq!(of(SubjectKind::ServiceAccount, Some("apps"), "deputy"), "deputize:user-info:sa:apps:deputy");
        assert_eq!(of(SubjectKind::Group, None, "oidc:devs"), "deputize:user-info:group:oidc:devs");
        assert_eq!(of(SubjectKind::User, None, "a/b%c"), "deputize:user-info:user:a-b-c~861ecc5bf556");
        assert_ne!(of(SubjectKind::User, None, "a/b"), of(SubjectKind::User, None, "a%b"));
        assert!(of(SubjectKind::User, None, &"ü".repeat(400)).len() < 100);
    }
}
