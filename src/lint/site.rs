//! What a rule looks at: one verb of one rule, and everyone who holds it.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::consequence::consequence;
use super::holders::{Holders, Related};
use super::severity::Severity;
use super::words;
use crate::authority::{
    IdentityKind, Mode, SYSTEM_ANONYMOUS, SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, SYSTEM_SERVICE_ACCOUNTS,
    SYSTEM_UNAUTHENTICATED, Verb, allows_everything, binds_cluster_wide, subject_matches_someone,
};
use crate::grants::{
    Grants, Holder, Reason, RuleAction, RuleGrant, Source, Through, actions_of_rule, default_roles, grants_of_rule,
    is_server_owned,
};
use crate::inventory::{Binding, BindingId, PolicyRule, Role, RoleId, Subject, SubjectKind, Text};

/// One verb of one rule of one role.
#[derive(Debug)]
pub struct Site<'a> {
    /// All grants of the input.
    pub grants: &'a Grants<'a>,
    /// The role in which the verb stands.
    pub role_id: RoleId,
    /// That role.
    pub role: &'a Role,
    /// Index of the rule.
    pub index: usize,
    /// The rule.
    pub rule: &'a PolicyRule,
    /// Index of the verb.
    pub verb_index: usize,
    /// What the verb grants.
    pub found: &'a [RuleGrant],
    /// What the verb says of actions, and the other verbs of the rule that say something of the same mode. A site has
    /// either grants or actions.
    pub actions: &'a [RuleAction],
    classes: &'a Classes,
    /// Where its legacy grants lead.
    consequence: OnceCell<Vec<Related>>,
}

/// A binding to a default role that the input does not define.
#[derive(Debug)]
pub struct BindingSite<'a> {
    /// All grants of the input.
    pub grants: &'a Grants<'a>,
    /// The binding.
    pub id: BindingId,
    /// That binding.
    pub binding: &'a Binding,
    /// What the role gives on every cluster, as far as it bears on impersonation.
    pub rules: &'a [PolicyRule],
}

impl BindingSite<'_> {
    /// What the role gives of legacy impersonation through this binding: each rule with its effective grants.
    pub fn legacy(&self) -> impl Iterator<Item = (&PolicyRule, Vec<RuleGrant>)> {
        let namespaced = !binds_cluster_wide(self.binding.meta.kind);
        let of_rule = move |rule| {
            let mut found = grants_of_rule(rule);
            let reaches = |kind: IdentityKind| !namespaced || kind.is_namespaced();
            found.retain(|grant| {
                grant.mode == Some(Mode::Legacy) && grant.reason.is_none() && grant.identity.kind.is_some_and(reaches)
            });
            (rule, found)
        };
        self.rules.iter().map(of_rule).filter(|(_, found)| !found.is_empty())
    }

    /// Everyone to whom the binding gives the role, and what it comes to for them.
    pub fn holders(&self) -> Rc<Holders> {
        let holders = Holders::of_binding(self.binding);
        let legacy: Vec<_> = self.legacy().collect();
        let kinds = legacy.iter().flat_map(|(_, grants)| grants).filter_map(|grant| grant.identity.kind);
        let reached: Vec<_> = kinds.map(|kind| (kind, None)).collect();
        let source = Source { binding: self.id, rule: None };
        holders.beside(consequence(self.grants, &holders, &reached, source))
    }
}

/// The holders of a role, in classes. A role may be held by very many and have very many rules; judging every holder
/// under every rule would make a large input slow.
#[derive(Debug)]
struct Classes {
    classes: Vec<HolderClass>,
    /// What is known of the classes that were picked together so far, and of those in them who have something in common.
    known: RefCell<BTreeMap<Picked, Rc<Holders>>>,
    /// For rules of the role that say what an earlier one says, the index of that.
    earlier: OnceCell<HashMap<usize, usize>>,
}

/// Classes, and what those of their holders have in common who are meant.
type Picked = (Vec<usize>, Option<Beside>);

/// What stands beside a grant, or does not, in the hands of those who hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Beside {
    /// Surely nothing may be done in the mode.
    NoAction(Mode),
    /// Surely nobody can be named in the mode.
    NoIdentity(Mode),
    /// Something may be done, but surely not all paths of discovery be asked for.
    NoDiscovery(Mode),
    /// At least two roles give identities in the mode and say what may be done as these.
    Pairs(Mode),
    /// Legacy surely reaches identities of the kind.
    Legacy(IdentityKind),
    /// Legacy surely reaches none of the kind.
    NoLegacy(IdentityKind),
}

impl Beside {
    /// Whether it is so for a subject.
    fn holds(self, grants: &Grants<'_>, subject: &Subject) -> bool {
        let subjects = grants.subjects();
        match self {
            Self::NoAction(mode) => !subjects.perhaps(subject).has_action(mode),
            Self::NoIdentity(mode) => !subjects.perhaps(subject).has_identity(mode, mode.named_kind()),
            Self::NoDiscovery(mode) => {
                let abilities = subjects.perhaps(subject);
                abilities.has_action(mode) && abilities.missing_paths(mode).next().is_some()
            }
            Self::Pairs(mode) => subjects.pairs_of(subject).filter(|pair| pair.mode == mode).nth(1).is_some(),
            Self::Legacy(kind) => subjects.surely(subject).has_identity(Mode::Legacy, kind),
            Self::NoLegacy(kind) => !subjects.perhaps(subject).has_identity(Mode::Legacy, kind),
        }
    }
}

/// Holders for whom every grant of a rule is effective, or dead, for the same reason.
#[derive(Debug)]
struct HolderClass {
    holders: Vec<Holder>,
    /// Whether the subjects stand for all users, all service accounts, or those without credentials.
    everyone: bool,
}

/// Shows every site of a role, in the order of its rules.
pub(super) fn visit(grants: &Grants<'_>, role_id: RoleId, judge: &mut dyn FnMut(&Site<'_>)) {
    let mut known: Option<Classes> = None;
    for (index, rule) in grants.rules_of(role_id) {
        let (found, actions) = (grants_of_rule(rule), actions_of_rule(rule));
        // What is written for verbs of every kind says nothing about impersonation in particular.
        let mut actions: Vec<RuleAction> =
            actions.into_iter().filter(|action| action.action.as_deref() != Some("*")).collect();
        actions.sort_by_key(|action| action.mode);
        if found.is_empty() && actions.is_empty() {
            continue;
        }
        let classes = &*known.get_or_insert_with(|| classes(grants, role_id));
        let role = grants.inventory().role(role_id);
        let site = |verb_index, found, actions| Site {
            grants,
            role_id,
            role,
            index,
            rule,
            verb_index,
            found,
            actions,
            classes,
            consequence: OnceCell::new(),
        };
        for found in found.chunk_by(|a, b| a.verb == b.verb) {
            judge(&site(found[0].verb, found, &[]));
        }
        // The actions of one mode are one thing to say, at the first of their verbs; each unknown verb is another.
        for actions in actions.chunk_by(|a, b| a.mode == b.mode && a.mode.is_some()) {
            judge(&site(actions[0].verb, &[], actions));
        }
    }
}

fn classes(grants: &Grants<'_>, role: RoleId) -> Classes {
    let mut classes: BTreeMap<_, Vec<Holder>> = BTreeMap::new();
    for holder in grants.holders(role) {
        let kind = match holder.through {
            Through::Unbound => 0,
            Through::Binding(_) => 1,
            Through::NearMiss(_) => 2,
        };
        let subject = grants.subject(&holder);
        let matches = subject.map(subject_matches_someone);
        let namespace = grants.namespace(&holder).is_some();
        let everyone = subject.is_some_and(is_everyone);
        classes.entry((kind, matches, namespace, everyone)).or_default().push(holder);
    }
    let classes = classes.into_iter().map(|((.., everyone), holders)| HolderClass { holders, everyone });
    Classes { classes: classes.collect(), known: RefCell::default(), earlier: OnceCell::new() }
}

/// Whether a subject stands for all users, all service accounts, or those without credentials.
fn is_everyone(subject: &Subject) -> bool {
    let name = subject.name.as_str();
    match subject.kind {
        SubjectKind::Group => [SYSTEM_AUTHENTICATED, SYSTEM_UNAUTHENTICATED, SYSTEM_SERVICE_ACCOUNTS].contains(&name),
        SubjectKind::User => name == SYSTEM_ANONYMOUS,
        _ => false,
    }
}

impl<'a> Site<'a> {
    /// The verb.
    pub fn verb(&self) -> &'a Text {
        &self.rule.verbs[self.verb_index]
    }

    /// Whether the verb is `*`.
    pub fn is_any_verb(&self) -> bool {
        Verb::parse(self.verb().as_str()) == Verb::Any
    }

    /// The constrained mode that the spelled verb gives identities in.
    pub fn constrained_mode(&self) -> Option<Mode> {
        match Verb::parse(self.verb().as_str()) {
            Verb::Identity(mode) if mode != Mode::Legacy => Some(mode),
            _ => None,
        }
    }

    /// The same with those of its grants that reach whom a request names: once for each request, whatever else it carries.
    pub fn named_in_mode(&self) -> Option<(Mode, Vec<&'a RuleGrant>)> {
        let mode = self.constrained_mode()?;
        Some((mode, self.found.iter().filter(|grant| grant.identity.kind == Some(mode.named_kind())).collect()))
    }

    /// The mode in which the site's verbs say what may be done.
    pub fn acting_mode(&self) -> Option<Mode> {
        self.actions.first()?.mode
    }

    /// Whether the verb is spelled `impersonate`.
    pub fn is_legacy_verb(&self) -> bool {
        Verb::parse(self.verb().as_str()) == Verb::Identity(Mode::Legacy)
    }

    /// Whether the grant's identity is reached by a spelled resource rather than a wildcard.
    pub fn is_spelled(&self, grant: &RuleGrant) -> bool {
        let resource = self.rule.resources.get(grant.resource).map_or("", Text::as_str);
        resource != "*" && !resource.starts_with("*/")
    }

    /// The names to which the rule is limited; none for any.
    pub fn names(&self) -> Option<&'a [Text]> {
        (!self.rule.resource_names.is_empty()).then_some(&self.rule.resource_names)
    }

    /// Those among `grants` that are effective in someone's hands, and everyone for whom one of them is.
    pub fn effective<'g>(&self, grants: impl IntoIterator<Item = &'g RuleGrant>) -> (Vec<&'g RuleGrant>, Rc<Holders>) {
        self.pick(grants, |_, reason| reason.is_none(), None)
    }

    /// The same, of those beside whose grant something else stands or is missing; none if there are none.
    pub fn effective_beside<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        beside: Beside,
    ) -> Option<(Vec<&'g RuleGrant>, Rc<Holders>)> {
        let (grants, holders) = self.pick(grants, |_, reason| reason.is_none(), Some(beside));
        (!grants.is_empty() && !holders.subjects.is_empty()).then_some((grants, holders))
    }

    /// Everyone in whose hands the actions are effective, and beside whose grant something else stands or is missing;
    /// none if there are none.
    pub fn acting_beside(&self, beside: Beside) -> Option<Rc<Holders>> {
        let action = self.actions.first()?;
        let effective = |class: &HolderClass| {
            class.holders.first().is_some_and(|holder| self.grants.action_reason(self.rule, action, holder).is_none())
        };
        let chosen = self.classes.classes.iter().enumerate().filter(|(_, class)| effective(class));
        let holders = self.holders(chosen.map(|(index, _)| index).collect(), Some(beside));
        (!holders.subjects.is_empty()).then_some(holders)
    }

    /// The same, of those whose subjects stand for everyone.
    pub fn effective_for_everyone<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
    ) -> (Vec<&'g RuleGrant>, Rc<Holders>) {
        self.pick(grants, |class, reason| class.everyone && reason.is_none(), None)
    }

    /// Those among `grants` that are dead for the reason in someone's hands, and these hands.
    pub fn dead<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        reason: Reason,
    ) -> (Vec<&'g RuleGrant>, Rc<Holders>) {
        self.pick(grants, |_, found| found == Some(reason), None)
    }

    /// The same, of those beside whose grant something else stands or is missing; none if there are none.
    pub fn dead_beside<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        reason: Reason,
        beside: Beside,
    ) -> Option<(Vec<&'g RuleGrant>, Rc<Holders>)> {
        let (grants, holders) = self.pick(grants, |_, found| found == Some(reason), Some(beside));
        (!grants.is_empty() && !holders.subjects.is_empty()).then_some((grants, holders))
    }

    fn pick<'g>(
        &self,
        grants: impl IntoIterator<Item = &'g RuleGrant>,
        wanted: impl Fn(&HolderClass, Option<Reason>) -> bool,
        beside: Option<Beside>,
    ) -> (Vec<&'g RuleGrant>, Rc<Holders>) {
        let mut picked = Vec::new();
        let mut chosen = BTreeSet::new();
        for grant in grants {
            let mut any = false;
            for (index, class) in self.classes.classes.iter().enumerate() {
                let Some(holder) = class.holders.first() else { continue };
                if wanted(class, self.grants.reason(grant, holder)) {
                    any = true;
                    chosen.insert(index);
                }
            }
            if any {
                picked.push(grant);
            }
        }
        (picked, self.holders(chosen.into_iter().collect(), beside))
    }

    /// Everyone who holds the role.
    pub fn everyone(&self) -> Rc<Holders> {
        self.holders((0..self.classes.classes.len()).collect(), None)
    }

    /// Where nothing was found, if something was not: as much as was read of the world.
    pub fn extent(&self) -> &'static str {
        match self.grants.inventory().cluster() {
            None => "here",
            Some(cluster) if cluster.is_incomplete() => "that could be read",
            Some(_) => "in this cluster",
        }
    }

    /// Whether all bindings that give the role give it in a namespace, as far as the input shows, and there are some.
    pub fn is_namespaced(&self) -> bool {
        let mut holders = self.classes.classes.iter().filter_map(|class| class.holders.first());
        !self.classes.classes.is_empty()
            && holders.all(|holder| self.grants.namespace(holder).is_some())
            && self.default_roles().is_empty()
    }

    /// The index of an earlier rule of the role that says the same.
    pub fn earlier(&self) -> Option<usize> {
        let find = || {
            let mut first: HashMap<[BTreeSet<&str>; 5], usize> = HashMap::new();
            let rules = self.role.rules.iter().enumerate();
            let again = rules.filter_map(|(index, rule)| {
                let known = *first.entry(rule.sets()).or_insert(index);
                (known < index).then_some((index, known))
            });
            again.collect()
        };
        self.classes.earlier.get_or_init(find).get(&self.index).copied()
    }

    /// Nobody.
    pub fn nobody(&self) -> Rc<Holders> {
        self.holders(Vec::new(), None)
    }

    fn holders(&self, chosen: Vec<usize>, beside: Option<Beside>) -> Rc<Holders> {
        let picked = (chosen, beside);
        if let Some(known) = self.classes.known.borrow().get(&picked) {
            return Rc::clone(known);
        }
        let classes = picked.0.iter().filter_map(|index| self.classes.classes.get(*index));
        let mut list: Vec<Holder> = classes.flat_map(|class| class.holders.iter().copied()).collect();
        if let Some(beside) = beside {
            list.retain(|holder| self.grants.subject(holder).is_some_and(|subject| beside.holds(self.grants, subject)));
        }
        list.sort();
        let holders = Rc::new(Holders::describe(self.grants, self.role_id, &list));
        self.classes.known.borrow_mut().insert(picked, Rc::clone(&holders));
        holders
    }

    /// Holders of effective legacy grants of this site, with what the grants come to.
    pub fn with_consequence(&self, holders: &Rc<Holders>) -> Rc<Holders> {
        let related = self.consequence.get_or_init(|| {
            let (grants, holders) = self.effective(self.legacy());
            let source = holders.binding.map(|binding| Source { binding, rule: Some((self.role_id, self.index)) });
            let kinds = grants.iter().filter_map(|grant| grant.identity.kind);
            let reached: Vec<_> = kinds.map(|kind| (kind, self.names())).collect();
            source.map(|source| consequence(self.grants, &holders, &reached, source)).unwrap_or_default()
        });
        if related.is_empty() { Rc::clone(holders) } else { holders.beside(related.clone()) }
    }

    /// The legacy grants of the verb.
    pub fn legacy(&self) -> impl Iterator<Item = &'a RuleGrant> {
        self.found.iter().filter(|grant| grant.mode == Some(Mode::Legacy))
    }

    /// How grave an effective legacy grant is, by what it reaches.
    pub fn reach_severity(&self, grants: &[&RuleGrant], holders: &Holders) -> Severity {
        let unlimited = self.names().is_none();
        let everywhere = holders.namespaces.is_none();
        if (self.is_everything() && everywhere) || self.is_server_owned() {
            return Severity::Note;
        }
        let grave = grants.iter().any(|grant| match grant.identity.kind {
            Some(IdentityKind::Users) => unlimited,
            Some(IdentityKind::Groups) => unlimited || self.names_masters(),
            Some(IdentityKind::ServiceAccounts) => unlimited && everywhere,
            _ => false,
        });
        if grave { Severity::Error } else { Severity::Warning }
    }

    /// Whether `system:masters` is among the names.
    pub fn names_masters(&self) -> bool {
        self.rule.resource_names.iter().any(|name| name.as_str() == SYSTEM_MASTERS)
    }

    /// Whether the rule is `*/*/*`: whoever holds this can do anything without impersonating.
    pub fn is_everything(&self) -> bool {
        self.is_any_verb() && allows_everything(self.rule)
    }

    /// Whether the API server owns what the verb grants.
    pub fn is_server_owned(&self) -> bool {
        !self.found.is_empty() && self.found.iter().all(|grant| is_server_owned(self.role, self.rule, grant))
    }

    /// The default roles into which the role's labels aggregate it.
    pub fn default_roles(&self) -> Vec<&'static str> {
        default_roles(&self.role.meta)
    }

    /// The paths of discovery that some of the holders may surely not ask for in a mode.
    pub fn missing_paths(&self, holders: &Holders, mode: Mode) -> BTreeSet<&'static str> {
        let subjects = self.grants.subjects();
        holders.some().flat_map(|subject| subjects.perhaps(subject).missing_paths(mode)).collect()
    }

    /// The identities in words.
    pub fn whom(&self, grants: &[&RuleGrant], holders: &Holders) -> String {
        words::identities(self.rule, grants, holders.namespaces.as_ref())
    }
}
