//! What each subject holds as a whole, whatever rule and binding it comes from: asked by whoever judges one grant by what
//! stands beside it.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::{Grants, RuleAction, RuleGrant, Through, actions_of_rule, grants_of_rule};
use crate::authority::{
    Circle, DISCOVERY_PATHS, Feature, IdentityKind, Mode, Principal, Verb, allows_everything, binds_cluster_wide,
    is_of_accounts, namespace_of_accounts, url_matches,
};
use crate::inventory::{BindingId, PolicyRule, RoleId, Subject};

/// How many legacy grants of one subject are remembered one by one. They explain; input is hostile.
const MAX_LEGACY: usize = 32;
/// How many pairs, likewise.
const MAX_PAIRS: usize = 8;

/// Which identities someone may take and what for, in every mode: whether there is any, not which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// By mode, a bit for each kind.
    identities: [u8; Mode::ALL.len()],
    /// A bit for each constrained mode.
    actions: u8,
    /// By constrained mode, a bit for each path of discovery.
    discovery: [u8; Mode::CONSTRAINED.len()],
}

impl Abilities {
    /// Whether there is an identity of the kind to take.
    pub fn has_identity(self, mode: Mode, kind: IdentityKind) -> bool {
        self.identities[mode as usize] & (1 << kind as u8) != 0
    }

    /// Whether there is anything that may be done in the mode.
    pub fn has_action(self, mode: Mode) -> bool {
        self.actions & (1 << mode as u8) != 0
    }

    /// The paths of discovery that may not be asked for in a constrained mode.
    pub fn missing_paths(self, mode: Mode) -> impl Iterator<Item = &'static str> {
        let held = self.discovery.get(mode as usize).copied().unwrap_or(u8::MAX);
        DISCOVERY_PATHS.into_iter().enumerate().filter(move |(bit, _)| held & (1 << bit) == 0).map(|(_, path)| path)
    }

    fn is_nothing(self) -> bool {
        self == Self::default()
    }

    fn add(&mut self, other: Self) {
        for (own, other) in self.identities.iter_mut().zip(other.identities) {
            *own |= other;
        }
        self.actions |= other.actions;
        for (own, other) in self.discovery.iter_mut().zip(other.discovery) {
            *own |= other;
        }
    }

    /// Adds what a rule gives to someone who holds it.
    fn add_rule(&mut self, rule: &PolicyRule, found: &[RuleGrant], actions: &[RuleAction], namespaced: bool) {
        for grant in found.iter().filter(|grant| grant.reason.is_none()) {
            let (Some(mode), Some(kind)) = (grant.mode, grant.identity.kind) else { continue };
            if !namespaced || kind.is_namespaced() {
                self.identities[mode as usize] |= 1 << kind as u8;
            }
        }
        let does_something = !rule.resources.is_empty() || (!namespaced && !rule.non_resource_urls.is_empty());
        for action in actions.iter().filter(|action| action.reason.is_none() && does_something) {
            let Some(mode) = action.mode else { continue };
            self.actions |= 1 << mode as u8;
            if namespaced || !matches!(action.action.as_deref(), Some("get" | "*")) {
                continue;
            }
            for (bit, path) in DISCOVERY_PATHS.into_iter().enumerate() {
                if url_matches(rule, path) {
                    self.discovery[mode as usize] |= 1 << bit;
                }
            }
        }
    }
}

/// A legacy grant in someone's hands.
#[derive(Debug, Clone, Copy)]
pub struct HeldGrant {
    /// The role that holds the rule, the rule's index there and the verb's in the rule; none for a default role that the
    /// input does not define, whose grant has no names.
    pub at: Option<(RoleId, usize, usize)>,
    /// What it reaches.
    pub kind: IdentityKind,
    /// By which binding it is held.
    pub binding: BindingId,
}

/// A role that gives someone identities in a constrained mode and says what may be done as these.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// The mode.
    pub mode: Mode,
    /// The role.
    pub role: RoleId,
    /// Stands for the rules about identities.
    identities: u64,
    /// Stands for the rules about actions on resources.
    actions: u64,
}

impl Pair {
    /// Whether the other role is about other identities and other actions.
    pub fn differs(&self, other: &Self) -> bool {
        self.mode == other.mode && self.identities != other.identities && self.actions != other.actions
    }
}

/// What one name or group holds.
#[derive(Debug, Default)]
struct Holding {
    all: Abilities,
    /// The same without rules that allow everything: whoever holds one needs no other.
    meant: Abilities,
    legacy: SmallVec<[HeldGrant; 1]>,
    pairs: SmallVec<[Pair; 1]>,
}

impl Holding {
    fn remember(&mut self, legacy: impl Iterator<Item = HeldGrant>) {
        self.legacy.extend(legacy.take(MAX_LEGACY.saturating_sub(self.legacy.len())));
    }
}

/// What each subject of the input holds.
#[derive(Debug, Default)]
pub struct Subjects {
    holdings: HashMap<Principal, Holding, RandomState>,
    /// What all groups that people may be in hold together, and all people.
    any_group: Abilities,
    any_person: Abilities,
    /// What all service accounts hold together, with the groups that they are in, and those of each namespace.
    any_account: Abilities,
    accounts_of: HashMap<SmolStr, Abilities, RandomState>,
    /// In which namespaces there are service accounts of a name that bindings name.
    namespaces: HashMap<SmolStr, BTreeSet<SmolStr>, RandomState>,
    state: RandomState,
}

impl Subjects {
    /// Adds up what is held. Takes a while for a large input.
    pub(super) fn new(grants: &Grants<'_>) -> Self {
        let mut this = Self::default();
        for (role, _) in grants.inventory().role_ids() {
            this.add_role(grants, role);
        }
        for (id, rules) in grants.bindings_to_default_roles() {
            let binding = grants.inventory().binding(*id);
            let namespaced = !binds_cluster_wide(binding.meta.kind);
            let mut all = Abilities::default();
            for rule in rules {
                all.add_rule(rule, &grants_of_rule(rule), &actions_of_rule(rule), namespaced);
            }
            let kinds = IdentityKind::ALL.into_iter().filter(|kind| all.has_identity(Mode::Legacy, *kind));
            let legacy = kinds.map(|kind| HeldGrant { at: None, kind, binding: *id });
            for who in binding.subjects.iter().filter_map(Principal::of_subject) {
                this.add(who, all, Abilities::default()).remember(legacy.clone());
            }
        }
        for subject in grants.inventory().bindings.iter().flat_map(|binding| &binding.subjects) {
            if let Some(Principal::ServiceAccount { namespace, name }) = Principal::of_subject(subject) {
                this.namespaces.entry(name).or_default().insert(namespace);
            }
        }
        this
    }

    fn add_role(&mut self, grants: &Grants<'_>, role: RoleId) {
        // Held cluster-wide, and in one namespace.
        let mut all = [Abilities::default(); 2];
        let mut meant = all;
        let mut legacy: SmallVec<[(usize, usize, IdentityKind); 4]> = SmallVec::new();
        let constrained = grants.feature() == Feature::Constrained;
        for (index, rule) in grants.rules_of(role) {
            let (mut found, mut actions) = (grants_of_rule(rule), actions_of_rule(rule));
            if !constrained {
                found.retain(|grant| grant.mode == Some(Mode::Legacy));
                actions.clear();
            }
            if found.is_empty() && actions.is_empty() {
                continue;
            }
            for (namespaced, abilities) in [false, true].into_iter().zip(&mut all) {
                abilities.add_rule(rule, &found, &actions, namespaced);
            }
            if !allows_everything(rule) {
                for (namespaced, abilities) in [false, true].into_iter().zip(&mut meant) {
                    abilities.add_rule(rule, &found, &actions, namespaced);
                }
            }
            let of_legacy = found.iter().filter(|grant| grant.mode == Some(Mode::Legacy) && grant.reason.is_none());
            let left = MAX_LEGACY.saturating_sub(legacy.len());
            legacy.extend(of_legacy.filter_map(|grant| Some((index, grant.verb, grant.identity.kind?))).take(left));
        }
        if all.iter().all(|abilities| abilities.is_nothing()) {
            return;
        }
        let has_constrained = all.iter().any(|abilities| abilities.actions != 0);
        let pairs = if has_constrained { self.pairs(grants, role) } else { Vec::new() };
        for holder in grants.holders(role) {
            let Some(subject) = grants.subject(&holder).filter(|_| grants.is_held(&holder)) else { continue };
            let namespaced = grants.namespace(&holder).is_some();
            let (all, meant) = (all[usize::from(namespaced)], meant[usize::from(namespaced)]);
            let Some(who) = Principal::of_subject(subject) else { continue };
            let holding = self.add(who, all, meant);
            let reaching = legacy.iter().filter(|(.., kind)| !namespaced || kind.is_namespaced());
            if let Through::Binding(binding) = holder.through {
                holding.remember(reaching.map(|&(rule, verb, kind)| HeldGrant {
                    at: Some((role, rule, verb)),
                    kind,
                    binding,
                }));
            }
            let left = MAX_PAIRS.saturating_sub(holding.pairs.len());
            let of_scope = pairs.iter().filter(|(scope, _)| *scope == namespaced).map(|(_, pair)| *pair);
            holding.pairs.extend(of_scope.take(left));
        }
    }

    /// Adds to what someone holds.
    fn add(&mut self, who: Principal, all: Abilities, meant: Abilities) -> &mut Holding {
        match &who {
            Principal::ServiceAccount { namespace, .. } => {
                self.any_account.add(meant);
                self.accounts_of.entry(namespace.clone()).or_default().add(meant);
            }
            Principal::Group(name) if is_of_accounts(name) => self.any_account.add(meant),
            // Its members pass every check, and need nothing else.
            who if who.is_superuser() => {}
            Principal::Group(_) => self.any_group.add(meant),
            _ => self.any_person.add(meant),
        }
        let holding = self.holdings.entry(who).or_default();
        holding.all.add(all);
        holding.meant.add(meant);
        holding
    }

    /// For each mode in which a role has both halves spelled out, and can be held with both: whether it is held in a
    /// namespace, and the pair.
    fn pairs(&self, grants: &Grants<'_>, role: RoleId) -> Vec<(bool, Pair)> {
        let mut pairs = Vec::new();
        for mode in Mode::CONSTRAINED {
            let mut hashers = [self.state.build_hasher(), self.state.build_hasher()];
            let mut has = [false; 2];
            for (_, rule) in grants.rules_of(role).filter(|(_, rule)| !rule.resources.is_empty()) {
                let what = (&rule.api_groups, &rule.resources, &rule.resource_names);
                for verb in &rule.verbs {
                    let half = match Verb::parse(verb.as_str()) {
                        Verb::Identity(of) if of == mode => 0,
                        Verb::Action(of, _) if of == mode => 1,
                        _ => continue,
                    };
                    has[half] = true;
                    (verb, what).hash(&mut hashers[half]);
                }
            }
            if has == [true; 2] {
                let [identities, actions] = hashers.map(|hasher| hasher.finish());
                let scopes =
                    [false, true].into_iter().filter(|namespaced| !namespaced || mode.named_kind().is_namespaced());
                pairs.extend(scopes.map(|scope| (scope, Pair { mode, role, identities, actions })));
            }
        }
        pairs
    }

    /// What whoever is the subject surely holds: by its name, and by the groups that everyone like it is in.
    pub fn surely(&self, subject: &Subject) -> Abilities {
        let mut abilities = Abilities::default();
        self.holdings_of(subject).for_each(|holding| abilities.add(holding.all));
        abilities
    }

    /// The legacy grants that whoever is the subject surely holds; some of them, where they are many.
    pub fn legacy(&self, subject: &Subject) -> impl Iterator<Item = HeldGrant> {
        self.holdings_of(subject).flat_map(|holding| holding.legacy.iter().copied())
    }

    /// The roles with both halves that whoever is the subject surely holds; some of them, where they are many.
    pub fn pairs_of(&self, subject: &Subject) -> impl Iterator<Item = Pair> {
        self.holdings_of(subject).flat_map(|holding| holding.pairs.iter().copied())
    }

    /// The namespaces of the service accounts of a name that bindings name.
    pub fn namespaces_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.namespaces.get(name).into_iter().flatten().map(SmolStr::as_str)
    }

    /// Whether a binding names this service account.
    pub fn has_account(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.get(name).is_some_and(|namespaces| namespaces.contains(namespace))
    }

    /// What one who is the subject may hold: the same, and all that comes with groups that a person may be in, or with the
    /// names of those who may be in a group. Only what is not here is surely not held.
    pub fn perhaps(&self, subject: &Subject) -> Abilities {
        let mut abilities = self.surely(subject);
        match Principal::of_subject(subject) {
            Some(Principal::User(_)) => abilities.add(self.any_group),
            Some(Principal::Group(group)) if is_of_accounts(&group) => {
                abilities.add(match namespace_of_accounts(&group) {
                    Some(namespace) => self.accounts_of.get(namespace).copied().unwrap_or_default(),
                    None => self.any_account,
                });
            }
            Some(Principal::Group(group)) => {
                abilities.add(self.any_group);
                abilities.add(self.any_person);
                if Circle::Accounts(None).may_be_in(&group) {
                    abilities.add(self.any_account);
                }
            }
            _ => {}
        }
        abilities
    }

    /// What the subject and the groups that follow from being it hold.
    fn holdings_of(&self, subject: &Subject) -> impl Iterator<Item = &Holding> {
        let names = Principal::of_subject(subject).map(|who| who.names()).unwrap_or_default();
        names.into_iter().filter_map(|name| self.holdings.get(&name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{SubjectKind, load_bytes};

    fn world(bindings: &str) -> String {
        let role = |name: &str, rule: &str| {
            format!(
                "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: [{rule}]\n"
            )
        };
        role("whom", "{apiGroups: [authentication.k8s.io], resources: [users], verbs: ['impersonate:user-info']}")
            + &role("what", "{apiGroups: [''], resources: [pods], verbs: ['impersonate-on:user-info:get']}")
            + &role("paths", "{nonResourceURLs: ['/api*', /version], verbs: ['impersonate-on:user-info:get']}")
            + &role("all", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}")
            + bindings
    }

    fn bind(role: &str, kind: &str, name: &str) -> String {
        let namespace = if kind == "ServiceAccount" { ", namespace: apps" } else { "" };
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {{name: '{role}-{name}'}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\n\
             subjects: [{{kind: {kind}, name: '{name}'{namespace}}}]\n"
        )
    }

    fn ask(text: &str, kind: SubjectKind, name: &str) -> [(bool, bool); 2] {
        let inventory = load_bytes("t.yaml", text.as_bytes());
        assert_eq!(inventory.problems, []);
        let grants = Grants::new(&inventory);
        let namespace = (kind == SubjectKind::ServiceAccount).then(|| SmolStr::new("apps"));
        let subject = Subject { kind, namespace, name: crate::inventory::Text::new(name), in_own_namespace: false };
        let subjects = grants.subjects();
        [subjects.surely(&subject), subjects.perhaps(&subject)].map(|abilities| {
            (abilities.has_identity(Mode::UserInfo, IdentityKind::Users), abilities.has_action(Mode::UserInfo))
        })
    }

    #[test]
    fn a_service_account_is_in_its_groups_and_no_others() {
        let text =
            world(&(bind("whom", "ServiceAccount", "a") + &bind("what", "Group", "system:serviceaccounts:apps")));
        assert_eq!(ask(&text, SubjectKind::ServiceAccount, "a"), [(true, true); 2]);
        assert_eq!(ask(&text, SubjectKind::User, "system:serviceaccount:apps:a"), [(true, true); 2]);
        let text = world(&(bind("whom", "ServiceAccount", "a") + &bind("what", "Group", "team")));
        assert_eq!(ask(&text, SubjectKind::ServiceAccount, "a"), [(true, false); 2]);
        // Some member of the group has the other half.
        let text = world(&(bind("what", "ServiceAccount", "a") + &bind("whom", "Group", "system:serviceaccounts")));
        assert_eq!(ask(&text, SubjectKind::Group, "system:serviceaccounts"), [(true, false), (true, true)]);
    }

    #[test]
    fn a_person_may_be_in_any_group() {
        let text = world(&(bind("whom", "User", "a") + &bind("what", "Group", "team")));
        assert_eq!(ask(&text, SubjectKind::User, "a"), [(true, false), (true, true)]);
        assert_eq!(ask(&text, SubjectKind::Group, "team"), [(false, true), (true, true)]);
        // Whoever may do everything needs no other grant: it was not meant to be of any use to them.
        let text = world(&(bind("whom", "User", "a") + &bind("all", "Group", "admins")));
        assert_eq!(ask(&text, SubjectKind::User, "a"), [(true, false); 2]);
        assert_eq!(ask(&text, SubjectKind::Group, "admins"), [(true, true); 2]);
    }

    #[test]
    fn paths_of_discovery() {
        let text = world(&bind("paths", "User", "a"));
        let inventory = load_bytes("t.yaml", text.as_bytes());
        let grants = Grants::new(&inventory);
        let abilities = grants.subjects().surely(&inventory.bindings[0].subjects[0]);
        let missing: Vec<&str> = abilities.missing_paths(Mode::UserInfo).collect();
        assert_eq!(missing, ["/openapi", "/openapi/*", "/version/"]);
        assert_eq!(abilities.missing_paths(Mode::ServiceAccount).count(), DISCOVERY_PATHS.len());
    }
}
