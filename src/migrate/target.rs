//! The constrained form of a legacy grant's identities (KEP-5284; `authorizeUsername`, `authorizeGroups`, `authorizeExtra` in `mode.go`).

use smol_str::SmolStr;

use crate::authority::{IdentityKind, Mode, Requestable, Username, is_refused_group, is_refused_key};
use crate::grants::RuleGrant;
use crate::inventory::PolicyRule;

/// Identities that a constrained mode can grant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub mode: Mode,
    /// The resource, with the key of an extra.
    pub resource: SmolStr,
    /// The names; none for any.
    pub names: Option<Vec<SmolStr>>,
}

impl Target {
    /// Whether it is an extra.
    pub fn is_extra(&self) -> bool {
        self.resource.starts_with(IdentityKind::UserExtras.resource())
    }
}

/// The constrained form of a grant, and whether some of it has none.
#[derive(Debug, Default)]
pub(super) struct Constrained {
    pub targets: Vec<Target>,
    /// Something that legacy grants cannot be had in any constrained mode.
    pub incomplete: bool,
    /// A mode was asked for that would reach more identities than legacy did.
    pub would_widen: bool,
}

/// Finds the constrained form of an effective legacy grant. `wanted` are the modes that evidence names for the
/// impersonator: nodes behind a grant of all users are only granted where someone asks for them.
pub(super) fn constrained_form(rule: &PolicyRule, grant: &RuleGrant, wanted: &[Mode]) -> Constrained {
    let mut form = Constrained::default();
    let Some(kind) = grant.identity.kind else { return form };
    let key = grant.identity.extra_key.as_deref();
    let asked = Requestable { mode: Mode::Legacy, kind, extra_key: key };
    let names = &rule.resource_names;
    // Names that the server never asks for are dead, and need no replacement.
    let names = (!names.is_empty())
        .then(|| names.iter().map(|name| &name.value).filter(|name| asked.asks_for(name)).cloned().collect::<Vec<_>>());
    match (kind, names) {
        (IdentityKind::Users, None) => {
            form.push(Mode::UserInfo, kind, None);
            for mode in [Mode::AssociatedNode, Mode::ArbitraryNode].into_iter().filter(|mode| wanted.contains(mode)) {
                form.push(mode, IdentityKind::Nodes, None);
            }
        }
        (IdentityKind::Users, Some(names)) => {
            let (nodes, users): (Vec<_>, Vec<_>) =
                names.into_iter().partition(|name| matches!(Username::parse(name), Username::Node(_)));
            // That mode knows no names: the agent on any node could be its node.
            form.would_widen = !nodes.is_empty() && wanted.contains(&Mode::AssociatedNode);
            let nodes = nodes.iter().filter_map(|name| name.strip_prefix("system:node:")).map(SmolStr::new).collect();
            form.push(Mode::UserInfo, kind, Some(users));
            form.push(Mode::ArbitraryNode, IdentityKind::Nodes, Some(nodes));
        }
        (IdentityKind::Groups, Some(names)) => {
            // The name `*` answers the question for many groups at once.
            let refused = |name: &SmolStr| is_refused_group(name) || name == "*";
            form.push_allowed(kind.resource(), names, refused);
        }
        (IdentityKind::UserExtras, names) => match key {
            Some(key) if !is_refused_key(key) => {
                let resource = format!("{}/{key}", kind.resource());
                match names {
                    None => form.targets.push(Target { mode: Mode::UserInfo, resource: resource.into(), names: None }),
                    Some(names) => form.push_allowed(&resource, names, |name| name.is_empty() || name == "*"),
                }
            }
            // A bare key is refused, and "any key" cannot be written without reaching other identities.
            _ => form.incomplete = true,
        },
        (IdentityKind::ServiceAccounts, names) => form.push(Mode::ServiceAccount, kind, names),
        (_, names) => form.push(Mode::UserInfo, kind, names),
    }
    form
}

impl Constrained {
    fn push(&mut self, mode: Mode, kind: IdentityKind, names: Option<Vec<SmolStr>>) {
        if names.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        // The server asks for all nodes at once in this mode.
        let names = if mode == Mode::AssociatedNode { Some(vec![SmolStr::new_static("*")]) } else { names };
        self.targets.push(Target { mode, resource: SmolStr::new_static(kind.resource()), names });
    }

    fn push_allowed(&mut self, resource: &str, names: Vec<SmolStr>, refused: impl Fn(&SmolStr) -> bool) {
        let (out, names): (Vec<_>, Vec<_>) = names.into_iter().partition(refused);
        self.incomplete |= !out.is_empty();
        if !names.is_empty() {
            self.targets.push(Target { mode: Mode::UserInfo, resource: resource.into(), names: Some(names) });
        }
    }
}
