//! Actions derived from what the impersonated identities may do themselves: an upper bound of what anyone can do while
//! impersonating them, as far as RBAC shows it.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::{ActionRule, DeclaredAction, Impersonator};
use crate::authority::{
    IdentityKind, Mode, PATH_VERBS, Principal, RESOURCE_VERBS, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_NODES,
    SYSTEM_UNAUTHENTICATED, Username,
};
use crate::grants::Grants;
use crate::inventory::{PolicyRule, Text};
use crate::syntax::Place;

/// Derived actions, and whose they were expanded from `*`.
#[derive(Debug, Default)]
pub struct Derived {
    /// What each impersonator's targets may do.
    pub actions: Vec<DeclaredAction>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// What someone may do: the rules, each with the only namespace in which it counts.
type Held<'g> = Vec<(&'g PolicyRule, Option<&'g str>)>;

/// Rules, each with the only namespace in which it counts.
type ScopedRules = BTreeSet<(Option<SmolStr>, ActionRule)>;

/// For each impersonator and mode, what the identities that legacy lets it be may do in the input.
pub fn derive_actions(grants: &Grants<'_>) -> Derived {
    let held = rules_by_subject(grants);
    let mut rules: BTreeMap<(Impersonator, Mode), ScopedRules> = BTreeMap::new();
    let mut expanded: BTreeSet<Impersonator> = BTreeSet::new();
    for (from, index, rule, found) in grants.granting_rules() {
        let holders = grants.holders(from);
        for entry in grants.entries(from, index, &found, &holders) {
            let (Some(subject), None, Some(kind)) =
                (grants.subject(&entry.holder), entry.reason, entry.grant.identity.kind)
            else {
                continue;
            };
            if entry.grant.mode != Some(Mode::Legacy) {
                continue;
            }
            let who = Impersonator::of_subject(subject);
            let namespace = grants.namespace(&entry.holder);
            for (mode, target) in targets(kind, &rule.resource_names, namespace, &held) {
                let of_mode = rules.entry((who.clone(), mode)).or_default();
                for (rule, namespace) in held.get(&target).into_iter().flatten() {
                    let (actions, wildcard) = action_rules(rule, namespace.is_some());
                    of_mode.extend(actions.into_iter().map(|action| (namespace.map(SmolStr::new), action)));
                    if wildcard {
                        expanded.insert(who.clone());
                    }
                }
            }
        }
    }
    let mut actions = Vec::new();
    for ((who, mode), rules) in rules {
        let mut by_namespace: BTreeMap<Option<SmolStr>, Vec<ActionRule>> = BTreeMap::new();
        for (namespace, rule) in rules {
            by_namespace.entry(namespace).or_default().push(rule);
        }
        actions.extend(by_namespace.into_iter().map(|(namespace, rules)| DeclaredAction {
            impersonator: Some(who.clone()),
            mode: Some(mode),
            namespace,
            rules,
            place: Place::default(),
        }));
    }
    let warning = |who: Impersonator| {
        format!(
            "a target of {} holds the verb `*`: it was expanded to the standard verbs of the API ({})",
            who.describe(),
            RESOURCE_VERBS.join(", ")
        )
    };
    Derived { actions, warnings: expanded.into_iter().map(warning).collect() }
}

fn group(name: &str) -> Principal {
    Principal::Group(name.into())
}

fn rules_by_subject<'g>(grants: &'g Grants<'_>) -> BTreeMap<Principal, Held<'g>> {
    let inventory = grants.inventory();
    let mut held: BTreeMap<Principal, Held<'g>> = BTreeMap::new();
    for (role, _) in inventory.role_ids() {
        for binding in grants.links().bindings_of(role).iter() {
            let binding = inventory.binding(*binding);
            for target in binding.subjects.iter().filter_map(Principal::of_subject) {
                let namespace = binding.meta.effective_namespace();
                let rules = grants.rules().of(inventory, role).map(|contribution| (contribution.rule, namespace));
                held.entry(target).or_default().extend(rules);
            }
        }
    }
    held
}

/// Whom an identity stands for, with the groups that the server adds, and the mode in which it is reached.
fn targets(
    kind: IdentityKind,
    names: &[Text],
    namespace: Option<&str>,
    held: &BTreeMap<Principal, Held<'_>>,
) -> BTreeSet<(Mode, Principal)> {
    let any_name = names.is_empty();
    let named = |of_name: fn(&str) -> Principal| names.iter().map(move |name| of_name(name.as_str()));
    let mut targets = BTreeSet::new();
    match kind {
        IdentityKind::Users => {
            let known = held.keys().filter(|_| any_name).cloned();
            for user in known.chain(named(Principal::of_username)) {
                let Principal::User(name) = &user else { continue };
                let (mode, added) = match Username::parse(name) {
                    Username::Node(_) => (Mode::ArbitraryNode, Some(group(SYSTEM_NODES))),
                    _ if name == SYSTEM_ANONYMOUS => (Mode::UserInfo, Some(group(SYSTEM_UNAUTHENTICATED))),
                    _ => (Mode::UserInfo, None),
                };
                targets.extend(user.surely().into_iter().chain(added).map(|target| (mode, target)));
            }
            if any_name {
                targets.insert((Mode::UserInfo, group(SYSTEM_AUTHENTICATED)));
            }
        }
        IdentityKind::Groups => {
            let known = held.keys().filter(|who| any_name && matches!(who, Principal::Group(_))).cloned();
            let groups = known.chain(named(group)).filter(|group| !group.is_superuser());
            targets.extend(groups.map(|group| (Mode::UserInfo, group)));
        }
        IdentityKind::ServiceAccounts => {
            let is_meant = |who: &&Principal| match who {
                Principal::ServiceAccount { namespace: own, name } => {
                    namespace.is_none_or(|only| only == own)
                        && (any_name || names.iter().any(|known| known.value == *name))
                }
                _ => false,
            };
            let accounts = held.keys().filter(is_meant).flat_map(Principal::surely);
            let all = accounts.chain(Principal::SomeServiceAccount(None).surely());
            targets.extend(all.map(|target| (Mode::ServiceAccount, target)));
        }
        IdentityKind::Uids | IdentityKind::UserExtras | IdentityKind::Nodes => {}
    }
    targets
}

/// What a rule allows of real requests, and whether `*` had to be expanded for it. Other verbs, such as `bind`, are asked
/// about later, as the impersonated user.
fn action_rules(rule: &PolicyRule, in_namespace: bool) -> (Vec<ActionRule>, bool) {
    let wildcard = rule.verbs.iter().any(|verb| verb.as_str() == "*");
    let verbs = |known: &[&'static str]| -> Vec<SmolStr> {
        let held = |verb: &&&str| wildcard || rule.verbs.iter().any(|own| own.as_str() == **verb);
        known.iter().filter(held).map(|verb| SmolStr::new_static(verb)).collect()
    };
    let texts = |texts: &[Text]| texts.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    let mut rules = Vec::new();
    let on_resources = verbs(&RESOURCE_VERBS);
    if !on_resources.is_empty() && !rule.resources.is_empty() && !rule.api_groups.is_empty() {
        rules.push(ActionRule {
            api_groups: texts(&rule.api_groups),
            resources: texts(&rule.resources),
            verbs: on_resources,
            ..ActionRule::default()
        });
    }
    let on_paths = verbs(&PATH_VERBS);
    if !on_paths.is_empty() && !rule.non_resource_urls.is_empty() && !in_namespace {
        let non_resource_urls = texts(&rule.non_resource_urls);
        rules.push(ActionRule { non_resource_urls, verbs: on_paths, ..ActionRule::default() });
    }
    let expanded = wildcard && !rules.is_empty();
    (rules, expanded)
}
