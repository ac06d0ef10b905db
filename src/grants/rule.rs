//! What one rule grants, whoever holds it.

use std::collections::HashSet;

use smol_str::SmolStr;

use super::Reason;
use crate::authority::{IdentityKind, Mode, Requestable, Verb, group_matches, owns_service_account_impersonation};
use crate::inventory::{ObjectKind, ObjectMeta, PolicyRule, Role, Text};

/// What the server would ask about: a kind of identity, or a spelled resource that it never asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The API group; as the server asks, or as written where it never does.
    pub api_group: SmolStr,
    /// The kind; none for a resource that the server never asks for there.
    pub kind: Option<IdentityKind>,
    /// The resource without the key of an extra; as written for what the server never asks for.
    pub resource: SmolStr,
    /// The key of `userextras/<key>`; none for every key, and for other resources.
    pub extra_key: Option<SmolStr>,
}

/// One verb of one rule over one identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleGrant {
    /// Index of the verb in the rule.
    pub verb: usize,
    /// The mode; none for a verb that no server knows.
    pub mode: Option<Mode>,
    /// Whom it reaches.
    pub identity: Identity,
    /// Index of the resource in the rule by which it does.
    pub resource: usize,
    /// Why the rule by itself reaches nobody; none if it does.
    pub reason: Option<Reason>,
}

/// One verb of one rule that says what may be done while impersonating.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAction {
    /// Index of the verb in the rule.
    pub verb: usize,
    /// The mode; none for a verb that no server knows.
    pub mode: Option<Mode>,
    /// The verb of the request; `*` for the verb `*`, none for a verb that no server knows.
    pub action: Option<SmolStr>,
    /// Why the rule by itself allows nothing.
    pub reason: Option<Reason>,
}

/// How many resources that a rule names in vain are listed one by one. Each verb has one entry at least; input is
/// hostile, and every verb may be combined with every group and resource.
const MAX_DEAD_PER_RULE: usize = 1_000;

/// What a rule grants of identities, in the order of its verbs. A verb that is written twice counts once.
pub fn grants_of_rule(rule: &PolicyRule) -> Vec<RuleGrant> {
    let mut grants = Vec::new();
    let mut seen = HashSet::new();
    let mut dead = Dead { rule, left: MAX_DEAD_PER_RULE };
    for (verb, text) in rule.verbs.iter().enumerate() {
        let parsed = Verb::parse(text.as_str());
        if matches!(parsed, Verb::Action(..) | Verb::Unknown { action: true } | Verb::Other) || !seen.insert(text) {
            continue;
        }
        match parsed {
            Verb::Any => {
                for mode in Mode::ALL {
                    reached(rule, verb, mode, &mut grants);
                }
            }
            Verb::Identity(mode) => {
                let before = grants.len();
                let alive = reached(rule, verb, mode, &mut grants);
                dead.list(verb, Some(mode), &alive, grants.len() > before, &mut grants);
            }
            _ => dead.list(verb, None, &HashSet::new(), false, &mut grants),
        }
    }
    grants
}

/// The identities that the rule reaches in a mode, wildcards spread over what the server asks for. Returns the indices
/// of the resources that reach one.
fn reached(rule: &PolicyRule, verb: usize, mode: Mode, grants: &mut Vec<RuleGrant>) -> HashSet<usize> {
    let mut alive = HashSet::new();
    for kind in IdentityKind::ALL {
        let Some(group) = kind.asked_in(mode).filter(|group| group_matches(rule, group)) else { continue };
        let mut seen = HashSet::new();
        for (resource, text) in rule.resources.iter().enumerate() {
            let Some(key) = kind.key_in(text.as_str()) else { continue };
            alive.insert(resource);
            if !seen.insert(key) {
                continue;
            }
            let requestable = Requestable { mode, kind, extra_key: key };
            let names = &rule.resource_names;
            // What a template fills in may be any name.
            let asks = |name: &Text| name.is_templated() || requestable.asks_for(name.as_str());
            let asked = names.is_empty() || names.iter().any(asks);
            grants.push(RuleGrant {
                verb,
                mode: Some(mode),
                identity: Identity {
                    api_group: SmolStr::new_static(group),
                    kind: Some(kind),
                    resource: SmolStr::new_static(kind.resource()),
                    extra_key: key.map(SmolStr::new),
                },
                resource,
                reason: (!asked).then_some(Reason::NameNeverMatches),
            });
        }
    }
    alive
}

/// The resources that a written verb names in vain.
struct Dead<'r> {
    rule: &'r PolicyRule,
    left: usize,
}

impl Dead<'_> {
    /// Lists the spelled resources that are not `alive`. A verb without any entry has one for its first resource,
    /// whatever that is: a rule that names none is dead as a whole, and so is one whose wildcards lead nowhere.
    fn list(
        &mut self,
        verb: usize,
        mode: Option<Mode>,
        alive: &HashSet<usize>,
        mut listed: bool,
        grants: &mut Vec<RuleGrant>,
    ) {
        let rule = self.rule;
        let wildcard = |text: &str| text == "*" || text.starts_with("*/");
        let mut seen = HashSet::new();
        for (resource, text) in rule.resources.iter().enumerate() {
            if alive.contains(&resource) || wildcard(text.as_str()) {
                continue;
            }
            for group in &rule.api_groups {
                if (self.left == 0 && listed) || !seen.insert((group, text)) {
                    continue;
                }
                self.left = self.left.saturating_sub(1);
                listed = true;
                grants.push(dead_grant(verb, mode, group.as_str(), resource, text.as_str()));
            }
            if self.left == 0 && listed {
                break;
            }
        }
        if !listed {
            let group = rule.api_groups.first().map_or("", Text::as_str);
            let text = rule.resources.first().map_or("", Text::as_str);
            grants.push(dead_grant(verb, mode, group, 0, text));
        }
    }
}

fn dead_grant(verb: usize, mode: Option<Mode>, group: &str, resource: usize, text: &str) -> RuleGrant {
    let identity =
        Identity { api_group: SmolStr::new(group), kind: None, resource: SmolStr::new(text), extra_key: None };
    RuleGrant { verb, mode, identity, resource, reason: Some(dead_reason(mode, text)) }
}

fn dead_reason(mode: Option<Mode>, resource: &str) -> Reason {
    let Some(mode) = mode else { return Reason::NoSuchVerb };
    let asked = |kind: IdentityKind| kind.asked_in(mode).is_some();
    if resource == IdentityKind::UserExtras.resource() && asked(IdentityKind::UserExtras) {
        return Reason::BareUserextras;
    }
    let mut kinds = IdentityKind::ALL.into_iter().filter(|kind| asked(*kind));
    if kinds.any(|kind| kind.key_in(resource).is_some()) { Reason::WrongApiGroup } else { Reason::NoSuchResource }
}

/// What a rule says may be done while impersonating, in the order of its verbs.
pub fn actions_of_rule(rule: &PolicyRule) -> Vec<RuleAction> {
    let mut actions = Vec::new();
    for (verb, text) in rule.verbs.iter().enumerate() {
        match Verb::parse(text.as_str()) {
            Verb::Any => actions.extend(Mode::CONSTRAINED.into_iter().map(|mode| RuleAction {
                verb,
                mode: Some(mode),
                action: Some(SmolStr::new_static("*")),
                reason: None,
            })),
            Verb::Action(mode, action) => {
                actions.push(RuleAction { verb, mode: Some(mode), action: Some(SmolStr::new(action)), reason: None });
            }
            Verb::Unknown { action: true } => {
                actions.push(RuleAction { verb, mode: None, action: None, reason: Some(Reason::NoSuchVerb) });
            }
            Verb::Identity(_) | Verb::Unknown { action: false } | Verb::Other => {}
        }
    }
    actions
}

/// Whether a grant is one that the API server keeps in its default roles: spelled, for service accounts, without names.
pub fn is_server_owned(role: &Role, rule: &PolicyRule, grant: &RuleGrant) -> bool {
    owns_service_account_impersonation(&role.meta)
        && grant.mode == Some(Mode::Legacy)
        && grant.identity.kind == Some(IdentityKind::ServiceAccounts)
        && rule.verbs.iter().all(|verb| Verb::parse(verb.as_str()) != Verb::Any)
}

/// Returns the default roles (`view`, `edit`, `admin`) into which the labels of a role aggregate it
/// (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`: each is aggregated into the next).
pub fn default_roles(meta: &ObjectMeta) -> Vec<&'static str> {
    if meta.kind != ObjectKind::ClusterRole {
        return Vec::new();
    }
    let roles = [
        ("view", "rbac.authorization.k8s.io/aggregate-to-view"),
        ("edit", "rbac.authorization.k8s.io/aggregate-to-edit"),
        ("admin", "rbac.authorization.k8s.io/aggregate-to-admin"),
    ];
    let chain = roles.into_iter().skip_while(|(_, label)| meta.label(label) != Some("true"));
    chain.map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> PolicyRule {
        let texts = |values: &[&str]| {
            values.iter().map(|value| Text { value: SmolStr::new(value), place: Default::default() }).collect()
        };
        PolicyRule {
            verbs: texts(verbs),
            api_groups: texts(groups),
            resources: texts(resources),
            resource_names: texts(names),
            non_resource_urls: Vec::new(),
        }
    }

    fn show(rule: &PolicyRule) -> Vec<String> {
        let of = |grant: RuleGrant| {
            let mode = grant.mode.map_or("-", Mode::as_str);
            let key = grant.identity.extra_key.map(|key| format!("/{key}")).unwrap_or_default();
            let reason = grant.reason.map(|reason| format!(" {}", reason.as_str())).unwrap_or_default();
            format!("{mode} {:?}:{}{key}{reason}", grant.identity.api_group, grant.identity.resource)
        };
        grants_of_rule(rule).into_iter().map(of).collect()
    }

    #[test]
    fn the_usual_legacy_rule() {
        let groups = ["", "authentication.k8s.io"];
        assert_eq!(
            show(&rule(
                &["get", "impersonate"],
                &groups,
                &["users", "groups", "serviceaccounts", "userextras/scopes"],
                &[]
            )),
            [
                "legacy \"\":users",
                "legacy \"\":groups",
                "legacy \"\":serviceaccounts",
                "legacy \"authentication.k8s.io\":userextras/scopes",
            ]
        );
    }

    #[test]
    fn wildcards_are_spread_over_what_is_asked_for() {
        assert_eq!(
            show(&rule(&["*"], &[""], &["*"], &[])),
            ["legacy \"\":users", "legacy \"\":groups", "legacy \"\":serviceaccounts"]
        );
        assert_eq!(
            show(&rule(&["impersonate"], &["authentication.k8s.io"], &["*"], &[])),
            ["legacy \"authentication.k8s.io\":uids", "legacy \"authentication.k8s.io\":userextras"]
        );
        assert_eq!(
            show(&rule(&["impersonate"], &["*"], &["*/scopes", "userextras/*", "userextras/scopes"], &[])),
            ["legacy \"authentication.k8s.io\":userextras/scopes", "legacy \"authentication.k8s.io\":userextras/*"]
        );
        assert_eq!(show(&rule(&["*"], &["*"], &["*"], &[])).len(), 5 + 1 + 1 + 1 + 4);
        // An ordinary rule on nodes or pods is no grant of identities.
        assert_eq!(show(&rule(&["*"], &[""], &["nodes", "pods"], &[])), [""; 0]);
    }

    #[test]
    fn dead_rules() {
        for (verb, groups, resources, names, expected) in [
            (
                "impersonate",
                &["authentication.k8s.io"][..],
                &["users"][..],
                &[][..],
                "legacy \"authentication.k8s.io\":users wrong-api-group",
            ),
            ("impersonate", &[""], &["uids"], &[], "legacy \"\":uids wrong-api-group"),
            ("impersonate", &[""], &["userextras/a"], &[], "legacy \"\":userextras/a wrong-api-group"),
            (
                "impersonate",
                &["authentication.k8s.io"],
                &["userextras"],
                &[],
                "legacy \"authentication.k8s.io\":userextras bare-userextras",
            ),
            ("impersonate", &["*"], &["nodes"], &[], "legacy \"*\":nodes no-such-resource"),
            ("impersonate", &["apps"], &["*"], &[], "legacy \"apps\":* wrong-api-group"),
            ("impersonate", &[], &[], &[], "legacy \"\": no-such-resource"),
            ("impersonate:user-info", &[""], &["users"], &[], "user-info \"\":users wrong-api-group"),
            (
                "impersonate:user-info",
                &["authentication.k8s.io"],
                &["serviceaccounts"],
                &[],
                "user-info \"authentication.k8s.io\":serviceaccounts no-such-resource",
            ),
            (
                "impersonate:scheduled-node",
                &["authentication.k8s.io"],
                &["nodes"],
                &[],
                "- \"authentication.k8s.io\":nodes no-such-verb",
            ),
            ("impersonate", &[""], &["users"], &["system:serviceaccount:a:b"], "legacy \"\":users name-never-matches"),
            (
                "impersonate:associated-node",
                &["authentication.k8s.io"],
                &["nodes"],
                &["n1"],
                "associated-node \"authentication.k8s.io\":nodes name-never-matches",
            ),
        ] {
            assert_eq!(show(&rule(&[verb], groups, resources, names)), [expected]);
        }
        // One group of two reaches it: nothing is dead.
        assert_eq!(show(&rule(&["impersonate"], &["", "authentication.k8s.io"], &["uids"], &[])).len(), 1);
        // A resource beside those that are reached is.
        assert_eq!(
            show(&rule(&["impersonate"], &[""], &["users", "tokenreviews"], &[])),
            ["legacy \"\":users", "legacy \"\":tokenreviews no-such-resource"]
        );
    }

    #[test]
    fn actions() {
        let actions = actions_of_rule(&rule(
            &["impersonate-on:user-info:list", "impersonate-on:user-info:*", "get"],
            &[""],
            &["pods"],
            &[],
        ));
        let show: Vec<_> =
            actions.iter().map(|action| (action.verb, action.mode, action.action.as_deref(), action.reason)).collect();
        assert_eq!(show, [(0, Some(Mode::UserInfo), Some("list"), None), (1, None, None, Some(Reason::NoSuchVerb))]);
        assert_eq!(actions_of_rule(&rule(&["*"], &[""], &["pods"], &[])).len(), 4);
    }
}
