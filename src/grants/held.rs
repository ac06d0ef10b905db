//! Who holds what a rule grants.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::{Reach, Reason, RuleAction, RuleGrant, Subjects, actions_of_rule, grants_of_rule};
use crate::authority::{
    DEFAULT_IMPERSONATORS, Feature, IdentityKind, KubeVersion, Mode, default_rules, subject_matches_someone,
};
use crate::inventory::{
    Binding, BindingId, Conflict, Inventory, Links, PolicyRule, Role, RoleId, RoleKind, RoleRules, Subject,
};
use crate::problem::{Problem, ProblemKind};

/// The grants of an inventory: its roles, their rules, and who holds them.
#[derive(Debug)]
pub struct Grants<'i> {
    inventory: &'i Inventory,
    rules: RoleRules,
    links: Links,
    /// For each role, the roles through which its rules are held: itself, or the aggregated ones to which it
    /// contributes.
    carriers: Vec<Vec<RoleId>>,
    /// Rules that stand in an aggregated role because a controller wrote them there.
    copied: HashSet<(RoleId, usize)>,
    /// The servers that answer.
    version: KubeVersion,
    feature: Feature,
    /// The bindings to default roles that the input does not define, once somebody asks.
    defaults: OnceLock<Vec<(BindingId, Vec<PolicyRule>)>>,
    /// What each subject holds, likewise.
    subjects: OnceLock<Subjects>,
    /// Who can become cluster-admin, likewise.
    reach: OnceLock<Reach>,
}

/// How a role is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Through {
    /// Nothing in the input binds the role.
    Unbound,
    /// A binding that reaches the role.
    Binding(BindingId),
    /// A binding whose roleRef has the role's name, but reaches no role.
    NearMiss(BindingId),
}

/// One subject of one binding, or the absence of any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The bound role: the one that holds the rule, or an aggregated one.
    pub role: RoleId,
    /// How it is held.
    pub through: Through,
    /// Index of the subject in the binding.
    pub subject: Option<usize>,
}

impl Holder {
    /// The binding, whether it reaches the role or not.
    pub fn binding(&self) -> Option<BindingId> {
        match self.through {
            Through::Unbound => None,
            Through::Binding(binding) | Through::NearMiss(binding) => Some(binding),
        }
    }
}

/// One grant in one subject's hands.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'g> {
    /// The role that holds the rule.
    pub from: RoleId,
    /// Index of the rule there.
    pub rule: usize,
    /// What the rule grants.
    pub grant: &'g RuleGrant,
    /// Who holds it.
    pub holder: Holder,
    /// Why it is not effective; none if it is.
    pub reason: Option<Reason>,
}

impl<'i> Grants<'i> {
    /// Resolves aggregation and bindings.
    pub fn new(inventory: &'i Inventory) -> Self {
        let rules = RoleRules::new(inventory);
        let links = Links::new(inventory);
        let mut carriers: Vec<Vec<RoleId>> = vec![Vec::new(); inventory.roles.len()];
        for (role, _) in inventory.role_ids() {
            for from in rules.contributors(role) {
                carriers[from.0].push(role);
            }
        }
        let copied = copied_rules(inventory, &rules, &carriers);
        let version = KubeVersion::default();
        let feature = version.feature();
        Self {
            inventory,
            rules,
            links,
            carriers,
            copied,
            version,
            feature,
            defaults: OnceLock::new(),
            subjects: OnceLock::new(),
            reach: OnceLock::new(),
        }
    }

    /// The same grants in the eyes of servers of another version: what those do not know of is not effective there.
    pub fn on_version(self, version: KubeVersion) -> Self {
        self.on_servers(version, version.feature())
    }

    /// The same for servers whose feature gate may be set otherwise than their version has it.
    pub fn on_servers(self, version: KubeVersion, feature: Feature) -> Self {
        Self { version, feature, subjects: OnceLock::new(), ..self }
    }

    /// Whether the servers that answer know constrained impersonation.
    pub fn feature(&self) -> Feature {
        self.feature
    }

    /// The version of the servers that answer.
    pub fn version(&self) -> KubeVersion {
        self.version
    }

    /// Who can become cluster-admin.
    pub fn reach(&self) -> &Reach {
        self.reach.get_or_init(|| Reach::new(self))
    }

    /// What each subject holds as a whole.
    pub fn subjects(&self) -> &Subjects {
        self.subjects.get_or_init(|| Subjects::new(self))
    }

    /// The inventory.
    pub fn inventory(&self) -> &'i Inventory {
        self.inventory
    }

    /// What kept the input from being understood as a whole: more aggregation than can be resolved.
    pub fn problem(&self) -> Option<Problem> {
        let aggregated = self.inventory.roles.iter().find(|role| role.aggregation.is_some())?;
        (!self.rules.is_complete()).then(|| Problem {
            path: Arc::clone(&aggregated.meta.path),
            place: Some(aggregated.meta.name.place),
            kind: ProblemKind::Expansion,
            message: "the aggregation rules of the input select too many roles to follow; what is said of aggregated \
                      roles is incomplete"
                .to_owned(),
            help: Some("check fewer files at a time".to_owned()),
        })
    }

    /// The rules of each role, aggregation resolved.
    pub fn rules(&self) -> &RoleRules {
        &self.rules
    }

    /// Which binding reaches which role.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Every rule of the input that grants an identity or names an impersonation verb in vain, with what it grants,
    /// in the order of their places.
    pub fn granting_rules(&self) -> impl Iterator<Item = (RoleId, usize, &'i PolicyRule, Vec<RuleGrant>)> {
        self.rules_in_order().filter_map(|(role, index, rule)| {
            let grants = grants_of_rule(rule);
            (!grants.is_empty()).then_some((role, index, rule, grants))
        })
    }

    /// Every rule of the input that says what may be done while impersonating, likewise.
    pub fn acting_rules(&self) -> impl Iterator<Item = (RoleId, usize, &'i PolicyRule, Vec<RuleAction>)> {
        self.rules_in_order().filter_map(|(role, index, rule)| {
            let actions = actions_of_rule(rule);
            (!actions.is_empty()).then_some((role, index, rule, actions))
        })
    }

    fn rules_in_order(&self) -> impl Iterator<Item = (RoleId, usize, &'i PolicyRule)> {
        let mut roles: Vec<(RoleId, &Role)> = self.inventory.role_ids().collect();
        // What stands apart comes behind all others in the inventory.
        if roles.last().is_some_and(|(_, role)| role.meta.stands_apart()) {
            roles.sort_by_key(|(_, role)| (&role.meta.path, role.meta.name.place));
        }
        roles.into_iter().flat_map(move |(id, _)| self.rules_of(id).map(move |(index, rule)| (id, index, rule)))
    }

    /// The rules that are written in a role; not those that a controller has copied there.
    pub fn rules_of(&self, id: RoleId) -> impl Iterator<Item = (usize, &'i PolicyRule)> {
        let rules = self.inventory.role(id).rules.iter().enumerate();
        rules.filter(move |(index, _)| !self.copied.contains(&(id, *index)))
    }

    /// The roles through which the rules written in `from` are held. Empty for an aggregated role with contributors:
    /// a controller overwrites the rules that are written in it.
    pub fn carriers(&self, from: RoleId) -> &[RoleId] {
        &self.carriers[from.0]
    }

    /// Whether a controller overwrites the rules that are written in the role with those of the roles that it
    /// aggregates.
    pub fn is_overwritten(&self, role: RoleId) -> bool {
        self.carriers(role).is_empty()
    }

    /// The bindings to default roles that the input does not define, each with what its role gives on every cluster.
    pub fn bindings_to_default_roles(&self) -> &[(BindingId, Vec<PolicyRule>)] {
        self.defaults.get_or_init(|| {
            let refers = |binding: &Binding| {
                let name = binding.role_ref.name.as_str();
                binding.role_ref.kind == Some(RoleKind::ClusterRole) && DEFAULT_IMPERSONATORS.contains(&name)
            };
            let mut found: Vec<(BindingId, &Binding)> =
                self.inventory.binding_ids().filter(|(_, binding)| refers(binding)).collect();
            if !found.is_empty() {
                let ids = self.inventory.role_ids().map(|(id, _)| id);
                let defined: HashSet<BindingId> = ids.flat_map(|id| self.links.bindings_of(id)).copied().collect();
                found.retain(|(id, _)| !defined.contains(id));
            }
            found.into_iter().map(|(id, binding)| (id, default_rules(binding.role_ref.name.as_str()))).collect()
        })
    }

    /// The objects of which the input has more than one definition, if they differ in what they grant and any of them
    /// bears on impersonation. Whoever needs one world cannot work with them.
    pub fn conflicts(&self) -> Vec<Conflict<'i>> {
        let granting = self.granting_rules().map(|(role, ..)| role);
        let mut bearing: HashSet<RoleId> = granting.chain(self.acting_rules().map(|(role, ..)| role)).collect();
        let carriers: Vec<RoleId> = bearing.iter().flat_map(|role| self.carriers(*role).iter().copied()).collect();
        bearing.extend(carriers);
        let bindings: HashSet<BindingId> =
            bearing.iter().flat_map(|role| self.links.bindings_of(*role).iter().copied()).collect();
        self.inventory.conflicts(|role| bearing.contains(&role), |binding| bindings.contains(&binding))
    }

    /// Everyone who holds the rules written in `from`, and an unbound holder for each role that nobody holds. A role
    /// that is held through an aggregated one is not unbound, even if nothing binds it itself.
    pub fn holders(&self, from: RoleId) -> Vec<Holder> {
        let mut holders = Vec::new();
        let mut seen = HashSet::new();
        for &role in self.carriers(from) {
            let bindings = self.links.bindings_of(role).iter().map(|binding| (*binding, Through::Binding(*binding)));
            let near = self.links.near_misses_of(role).iter().map(|binding| (*binding, Through::NearMiss(*binding)));
            for (binding, through) in bindings.chain(near) {
                // A subject that is listed twice, or that holds the same role twice, holds it once.
                let meta = &self.inventory.role(role).meta;
                let held = (meta.kind, meta.effective_namespace(), meta.name.as_str(), through);
                for (subject, who) in self.inventory.binding(binding).subjects.iter().enumerate() {
                    if seen.insert((held, &who.kind, &who.namespace, &who.name.value)) {
                        holders.push(Holder { role, through, subject: Some(subject) });
                    }
                }
            }
        }
        if holders.is_empty() {
            let unbound = |role: RoleId| Holder { role, through: Through::Unbound, subject: None };
            holders.extend(self.carriers(from).iter().map(|role| unbound(*role)));
        }
        if holders.is_empty() {
            // What is written there is overwritten, so nobody holds it; it is listed all the same.
            holders.push(Holder { role: from, through: Through::Unbound, subject: None });
        }
        holders
    }

    /// The grants of one rule in the hands of its holders.
    pub fn entries<'g>(
        &self,
        from: RoleId,
        rule: usize,
        grants: &'g [RuleGrant],
        holders: &'g [Holder],
    ) -> impl Iterator<Item = Entry<'g>> {
        grants.iter().flat_map(move |grant| {
            holders.iter().map(move |holder| {
                let reason = self.reason(grant, holder);
                Entry { from, rule, grant, holder: *holder, reason }
            })
        })
    }

    /// Why a grant is not effective in someone's hands; none if it is.
    pub fn reason(&self, grant: &RuleGrant, holder: &Holder) -> Option<Reason> {
        let by_namespace = || {
            self.namespace(holder)?;
            // Where the namespace is no valid name, a template or a person has yet to fill it in.
            (grant.identity.kind != Some(IdentityKind::ServiceAccounts)).then_some(Reason::NamespacedBinding)
        };
        let by_holding = self.holding_reason(holder).filter(|reason| *reason != Reason::SubjectNeverMatches);
        // A verb or resource that means nothing is dead with any binding: to say "bind it otherwise" would mislead.
        let by_binding = || if grant.identity.kind.is_some() { by_namespace() } else { None };
        let by_rule = grant.reason.or_else(|| self.ignored(grant.mode));
        by_holding.or_else(by_binding).or(by_rule).or_else(|| self.holding_reason(holder))
    }

    /// Servers that do not know constrained impersonation never ask for what is granted of it.
    fn ignored(&self, mode: Option<Mode>) -> Option<Reason> {
        let constrained = mode.is_some_and(|mode| mode != Mode::Legacy);
        (constrained && self.feature == Feature::LegacyOnly).then_some(Reason::IgnoredByServer)
    }

    /// Why an action is not effective in someone's hands; none if it is.
    pub fn action_reason(&self, rule: &PolicyRule, action: &RuleAction, holder: &Holder) -> Option<Reason> {
        let holding = self.holding_reason(holder);
        let by_holding = holding.filter(|reason| *reason != Reason::SubjectNeverMatches);
        let by_binding = || {
            (rule.resources.is_empty() && !rule.non_resource_urls.is_empty() && self.namespace(holder).is_some())
                .then_some(Reason::NamespacedBinding)
        };
        by_holding.or_else(by_binding).or(action.reason).or_else(|| self.ignored(action.mode)).or(holding)
    }

    fn holding_reason(&self, holder: &Holder) -> Option<Reason> {
        match holder.through {
            Through::Unbound => Some(Reason::Unbound),
            Through::NearMiss(_) => Some(Reason::MissingRole),
            Through::Binding(_) => {
                let matches = self.subject(holder).is_some_and(subject_matches_someone);
                (!matches).then_some(Reason::SubjectNeverMatches)
            }
        }
    }

    /// Whether someone really holds what is held this way: a binding reaches the role, and its subject is somebody.
    pub fn is_held(&self, holder: &Holder) -> bool {
        self.holding_reason(holder).is_none()
    }

    /// The subject of a holder; none for a role that nobody holds.
    pub fn subject(&self, holder: &Holder) -> Option<&'i Subject> {
        self.inventory.binding(holder.binding()?).subjects.get(holder.subject?)
    }

    /// The only namespace in which something held this way counts; none for all.
    pub fn namespace(&self, holder: &Holder) -> Option<&'i str> {
        let Some(binding) = holder.binding() else {
            return self.inventory.role(holder.role).meta.effective_namespace();
        };
        self.inventory.binding(binding).meta.effective_namespace()
    }
}

/// The holders of the role that was asked for last: rules mostly come role by role.
#[derive(Default)]
pub(crate) struct HoldersOfRole {
    known: Option<(RoleId, Vec<Holder>)>,
}

impl HoldersOfRole {
    /// The holders of a role.
    pub(crate) fn of(&mut self, grants: &Grants<'_>, role: RoleId) -> &[Holder] {
        if self.known.as_ref().is_none_or(|(known, _)| *known != role) {
            self.known = Some((role, grants.holders(role)));
        }
        self.known.as_ref().map_or(&[], |(_, holders)| holders)
    }
}

/// The rules of aggregated roles that a controller has copied there, as in what a cluster returns: the role from which
/// such a rule comes stands beside it.
fn copied_rules(inventory: &Inventory, rules: &RoleRules, carriers: &[Vec<RoleId>]) -> HashSet<(RoleId, usize)> {
    let directory = |role: &Role| role.meta.path.rsplit_once('/').map(|(left, _)| left.to_owned());
    let overwritten: Vec<(RoleId, &Role)> =
        inventory.role_ids().filter(|(id, role)| carriers[id.0].is_empty() && !role.rules.is_empty()).collect();
    if overwritten.is_empty() {
        return HashSet::new();
    }
    // Every rule is looked up once: one role may aggregate very many.
    let mut written: HashMap<(Option<String>, &PolicyRule), Vec<RoleId>> = HashMap::new();
    for (id, role) in inventory.role_ids() {
        for rule in &role.rules {
            written.entry((directory(role), rule)).or_default().push(id);
        }
    }
    let is_copied = |id: RoleId, role: &Role, rule: &PolicyRule| {
        let writers = written.get(&(directory(role), rule)).map_or(&[][..], Vec::as_slice);
        writers.iter().any(|writer| rules.contributors(id).binary_search(writer).is_ok())
    };
    let of_role = |(id, role): (RoleId, &Role)| {
        let rules = role.rules.iter().enumerate().filter(|(_, rule)| is_copied(id, role, rule));
        rules.map(|(index, _)| (id, index)).collect::<Vec<_>>()
    };
    overwritten.into_iter().flat_map(of_role).collect()
}
