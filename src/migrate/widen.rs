//! Whether one state of a cluster's RBAC allows an impersonation that another one does not: decided over the rules, for
//! every requestor and request there could be, not by trying some.
//!
//! An impersonated request passes in a constrained mode if the requestor holds the action and each part of the identity
//! (user, groups, UID, extras), no matter through which of its subjects. So whatever the later state allows and the
//! earlier one does not has a smallest requestor: one who is just those subjects through which it passes, and what
//! follows from being them. It has a part `c` that legacy did not let this requestor be, and something new beside it:
//! the action, another part, or `c` itself. These are what is looked for. As every list of rules is finite and names,
//! resources and namespaces are not, "any" is only covered by "any", and everything else item by item.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use smol_str::SmolStr;

use crate::authority::{IdentityKind, Memberships, Mode, Principal, Requestable, is_covered, word_covers};
use crate::evidence::Impersonator;
use crate::grants::{Grants, Identity, RuleAction, RuleGrant, actions_of_rule, grants_of_rule};
use crate::inventory::{PolicyRule, Text};

/// How many pairs of changed and unchanged grants are looked at: input is hostile.
const MAX_PAIRS: usize = 5_000_000;

/// Something that is allowed after and was not before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Widening {
    /// Who may do it: the subject that holds the identity.
    pub subject: Impersonator,
    /// In which mode.
    pub mode: Mode,
    /// Whom it may be.
    pub identity: Identity,
    /// The namespace, for service accounts; none for all.
    pub namespace: Option<SmolStr>,
    /// The names; none for any.
    pub names: Option<Vec<SmolStr>>,
    /// What makes the difference, in words.
    pub why: String,
    /// The subjects whose grants are new and have a part in it.
    pub new_of: BTreeSet<Principal>,
}

/// Finds what `after` allows and `before` does not; each identity of a subject in a mode at most once for each subject
/// that adds to it. Empty exactly if nothing was widened, unless the rules are too many to tell: then that is reported.
///
/// Whether one requestor may be several of the subjects is what `memberships` says.
pub fn widened(before: &Grants<'_>, after: &Grants<'_>, memberships: &Memberships) -> Vec<Widening> {
    let mut before_rules: HashSet<HeldRule<'_>> = HashSet::new();
    let old = Holdings::new(before, &mut |held| {
        before_rules.insert(held);
        false
    });
    let new = Holdings::new(after, &mut |held| !before_rules.contains(&held));
    let mut search = Search { old: &old, new: &new, memberships, found: BTreeMap::new(), pairs: 0 };
    for mode in Mode::ALL {
        search.mode(mode);
    }
    search.found.into_values().collect()
}

/// Who holds a rule and in which namespace it counts.
type HeldRule<'i> = (Principal, Option<SmolStr>, &'i PolicyRule);

/// What is told of a rule: who holds it, in which namespace, and what it grants.
type Visit<'v, 'i> = dyn FnMut(&Principal, Option<&str>, &'i PolicyRule, &[RuleGrant], &[RuleAction]) + 'v;

/// Calls `visit` for each rule that bears on impersonation in each subject's hands.
fn visit_rules<'i>(grants: &Grants<'i>, visit: &mut Visit<'_, 'i>) {
    for (role, _) in grants.inventory().role_ids() {
        let mut holders: Option<BTreeSet<(Principal, Option<&str>)>> = None;
        for (_, rule) in grants.rules_of(role) {
            let found = grants_of_rule(rule);
            let actions = actions_of_rule(rule);
            if found.is_empty() && actions.is_empty() {
                continue;
            }
            let holders = holders.get_or_insert_with(|| {
                let all = grants.holders(role);
                let held = all.iter().filter(|holder| grants.is_held(holder));
                held.filter_map(|holder| {
                    Some((Principal::of_subject(grants.subject(holder)?)?, grants.namespace(holder)))
                })
                .collect()
            });
            for (subject, namespace) in holders.iter() {
                visit(subject, *namespace, rule, &found, &actions);
            }
        }
    }
}

/// A set of identities of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identities {
    kind: IdentityKind,
    /// The key of an extra; none for every key.
    key: Option<SmolStr>,
    /// The namespace of service accounts; none for all.
    namespace: Option<SmolStr>,
    /// The names; none for any.
    names: Option<BTreeSet<SmolStr>>,
    is_new: bool,
}

/// A set of requests.
#[derive(Debug, Clone)]
struct Actions<'i> {
    rule: &'i PolicyRule,
    /// The verb of the requests; `*` for all.
    verb: SmolStr,
    namespace: Option<SmolStr>,
    is_new: bool,
}

/// What one subject holds in one mode.
#[derive(Debug, Default)]
struct Held<'i> {
    identities: Vec<Identities>,
    actions: Vec<Actions<'i>>,
}

/// What each subject holds.
#[derive(Debug)]
struct Holdings<'i> {
    by_mode: BTreeMap<Mode, BTreeMap<Principal, Held<'i>>>,
}

impl<'i> Holdings<'i> {
    /// What a state gives to each subject; `is_new` is asked of each rule in someone's hands.
    fn new(grants: &Grants<'i>, is_new: &mut dyn FnMut(HeldRule<'i>) -> bool) -> Self {
        let mut by_mode: BTreeMap<Mode, BTreeMap<Principal, Held<'i>>> = BTreeMap::new();
        visit_rules(grants, &mut |subject, namespace, rule, found, actions| {
            let new = is_new((subject.clone(), namespace.map(SmolStr::new), rule));
            for grant in found.iter().filter(|grant| grant.reason.is_none()) {
                let (Some(mode), Some(kind)) = (grant.mode, grant.identity.kind) else { continue };
                // A RoleBinding reaches what the server asks for in a namespace, and nothing else.
                if namespace.is_some() && !kind.is_namespaced() {
                    continue;
                }
                let key = grant.identity.extra_key.clone();
                let Some(names) = asked_names(mode, kind, key.as_deref(), &rule.resource_names) else { continue };
                // As a key, `*` is the constrained question for many; in legacy it is a key like any other.
                let many = mode != Mode::Legacy && key.as_deref() == Some("*");
                let (key, names) = if many { (Some(SmolStr::new_static(MANY)), None) } else { (key, names) };
                let namespace = namespace.map(SmolStr::new);
                let held = by_mode.entry(mode).or_default().entry(subject.clone()).or_default();
                held.identities.push(Identities { kind, key, namespace, names, is_new: new });
            }
            for action in actions {
                let (Some(mode), Some(verb)) = (action.mode, action.action.clone()) else { continue };
                if namespace.is_some() && rule.resources.is_empty() {
                    continue;
                }
                let namespace = namespace.map(SmolStr::new);
                let held = by_mode.entry(mode).or_default().entry(subject.clone()).or_default();
                held.actions.push(Actions { rule, verb, namespace, is_new: new });
            }
        });
        Self { by_mode }
    }

    fn of(&self, mode: Mode, subject: &Principal) -> Option<&Held<'i>> {
        self.by_mode.get(&mode)?.get(subject)
    }
}

/// The names of a rule that the server asks for and does not refuse anyway: none if there are none of them, any if the
/// rule has no names.
#[expect(clippy::option_option, reason = "no names at all, any name, these names")]
fn asked_names(mode: Mode, kind: IdentityKind, key: Option<&str>, names: &[Text]) -> Option<Option<BTreeSet<SmolStr>>> {
    let asked = Requestable { mode, kind, extra_key: key };
    if names.is_empty() {
        return asked.is_heeded(None).then_some(None);
    }
    let many = |name: &str| mode != Mode::Legacy && is_for_many(kind, name);
    let names: BTreeSet<SmolStr> = names
        .iter()
        .map(|name| &name.value)
        .filter(|name| asked.is_heeded(Some(name)))
        // To be able to answer the question for many at once is to be able to be any.
        .map(|name| if many(name) { SmolStr::new_static(MANY) } else { name.clone() })
        .collect();
    (!names.is_empty()).then_some(Some(names))
}

/// Stands for the name `*` in the questions for many groups or extras at once; no name holds a NUL.
const MANY: &str = "\0many";

/// Reports whether a constrained mode asks for this name when it asks about many identities at once
/// (`staging/src/k8s.io/apiserver/pkg/endpoints/filters/impersonation`).
pub(super) fn is_for_many(kind: IdentityKind, name: &str) -> bool {
    name == "*" && matches!(kind, IdentityKind::Groups | IdentityKind::UserExtras)
}

struct Search<'s, 'i> {
    old: &'s Holdings<'i>,
    new: &'s Holdings<'i>,
    memberships: &'s Memberships,
    /// By what was found: whose identity, in which mode, and whose new grants make it more.
    found: BTreeMap<(Principal, Mode, usize, Principal), Widening>,
    pairs: usize,
}

/// An identity, or an action, in a subject's hands.
type Of<'s, T> = (&'s Principal, &'s T);

impl<'s, 'i> Search<'s, 'i> {
    fn mode(&mut self, mode: Mode) {
        let memberships = self.memberships;
        let may_be_one = |a: &Principal, b: &Principal| memberships.may_be_one(a, b);
        let Some(held) = self.new.by_mode.get(&mode) else { return };
        let nothing_new = held
            .values()
            .all(|held| held.identities.iter().all(|one| !one.is_new) && held.actions.iter().all(|one| !one.is_new));
        if nothing_new {
            return;
        }
        if mode == Mode::Legacy {
            return self.legacy(held);
        }
        let identities: Vec<(usize, Of<'s, Identities>)> = held
            .iter()
            .flat_map(|(who, held)| held.identities.iter().enumerate().map(move |(at, one)| (at, (who, one))))
            .collect();
        let actions: Vec<Of<'s, Actions<'i>>> =
            held.iter().flat_map(|(who, held)| held.actions.iter().map(move |one| (who, one))).collect();
        // Whatever legacy covers cannot be widened.
        let open: Vec<(usize, &Principal, Identities)> = identities
            .iter()
            .filter(|(_, (who, _))| !who.is_superuser())
            .filter_map(|(at, (who, one))| Some((*at, *who, self.beyond_legacy(&[who], one)?)))
            .collect();
        // Groups, UIDs and extras are asked for beside a user.
        let is_usable = |one: &Identities, together: &[&Principal]| {
            mode != Mode::UserInfo
                || one.kind == IdentityKind::Users
                || identities.iter().any(|(_, (who, one))| {
                    one.kind == IdentityKind::Users && together.iter().all(|other| may_be_one(who, other))
                })
        };
        for (at, who, one) in open {
            // A new identity, or a new action for an old one.
            for (actor, action) in actions.iter().filter(|(_, action)| one.is_new || action.is_new) {
                if self.budget_is_spent(at, (who, &one), mode) {
                    return;
                }
                let together = [who, *actor];
                let Some(one) = self.beyond_legacy(&together, &one).filter(|_| may_be_one(who, actor)) else {
                    continue;
                };
                let same_identity = !one.is_new || self.beyond(mode, &together, &one).is_none();
                let same_action = !action.is_new || self.action_covered(&together, mode, action);
                if same_identity && same_action || !is_usable(&one, &together) {
                    continue;
                }
                let why = if same_identity {
                    format!("{} may {} as it now", Impersonator::from(*actor).describe(), describe_action(action))
                } else {
                    "it could not be taken before".to_owned()
                };
                self.report(at, (who, &one), mode, &[(one.is_new, who), (action.is_new, actor)], why);
            }
            // Another part of the identity: a new user for an old group.
            for (_, (other, part)) in
                identities.iter().filter(|(_, (_, part))| part.is_new && combine(mode, &one, part))
            {
                if self.budget_is_spent(at, (who, &one), mode) {
                    return;
                }
                let together = [who, *other];
                let Some(one) = self.beyond_legacy(&together, &one).filter(|_| may_be_one(who, other)) else {
                    continue;
                };
                let acts = actions.iter().any(|(actor, _)| may_be_one(who, actor) && may_be_one(other, actor));
                let usable = part.kind == IdentityKind::Users || is_usable(&one, &together);
                if !acts || !usable || self.beyond(mode, &together, part).is_none() {
                    continue;
                }
                let why = format!(
                    "{} may be {} together with it now",
                    Impersonator::from(*other).describe(),
                    describe_identities(part)
                );
                self.report(at, (who, &one), mode, &[(true, other)], why);
            }
        }
    }

    fn legacy(&mut self, held: &'s BTreeMap<Principal, Held<'i>>) {
        for (who, held) in held.iter().filter(|(who, _)| !who.is_superuser()) {
            for (at, one) in held.identities.iter().enumerate().filter(|(_, one)| one.is_new) {
                if let Some(one) = self.beyond_legacy(&[who], one) {
                    let why = "it could not be taken without limit before".to_owned();
                    self.report(at, (who, &one), Mode::Legacy, &[(true, who)], why);
                }
            }
        }
    }

    fn report(
        &mut self,
        at: usize,
        (who, one): Of<'_, Identities>,
        mode: Mode,
        new_of: &[(bool, &Principal)],
        why: String,
    ) {
        let new_of: BTreeSet<Principal> =
            new_of.iter().filter(|(new, _)| *new).map(|(_, who)| (*who).clone()).collect();
        let Some(by) = new_of.first().cloned() else { return };
        let names = one.names.as_ref().map(|names| {
            names.iter().map(|name| if name == MANY { SmolStr::new_static("*") } else { name.clone() }).collect()
        });
        self.found.entry((who.clone(), mode, at, by)).or_insert_with(|| Widening {
            subject: who.into(),
            mode,
            identity: Identity {
                api_group: SmolStr::new_static(one.kind.asked_in(mode).unwrap_or_default()),
                kind: Some(one.kind),
                resource: SmolStr::new_static(one.kind.resource()),
                extra_key: one.key.as_ref().map(|key| SmolStr::from(key.replace(MANY, "*"))),
            },
            namespace: one.namespace.clone(),
            names,
            why,
            new_of,
        });
    }

    /// Counts a comparison. Where there were too many, what was not looked at counts as widened.
    fn budget_is_spent(&mut self, at: usize, (who, one): Of<'_, Identities>, mode: Mode) -> bool {
        self.pairs += 1;
        if self.pairs == MAX_PAIRS {
            let why = "there are too many grants to tell whether it could be taken before".to_owned();
            self.report(at, (who, one), mode, &[(true, who)], why);
        }
        self.pairs >= MAX_PAIRS
    }

    /// What of `one` a requestor who is all of these could not be by legacy before.
    fn beyond_legacy(&self, who: &[&Principal], one: &Identities) -> Option<Identities> {
        self.beyond(Mode::Legacy, who, one)
    }

    /// What of `one` a requestor who is all of these could not be in a mode before.
    fn beyond(&self, mode: Mode, who: &[&Principal], one: &Identities) -> Option<Identities> {
        let all = self.all_of(who);
        let known = all.iter().filter_map(|who| self.old.of(mode, who)).flat_map(|held| &held.identities);
        one.without(known)
    }

    /// The principals that someone surely is who is all of these.
    fn all_of(&self, who: &[&Principal]) -> BTreeSet<Principal> {
        who.iter().flat_map(|who| self.memberships.surely(who)).collect()
    }

    /// Whether a requestor who is all of these could do all of `action` before.
    fn action_covered(&self, who: &[&Principal], mode: Mode, action: &Actions<'_>) -> bool {
        let all = self.all_of(who);
        let held = all.iter().filter_map(|who| self.old.of(mode, who)).flat_map(|held| &held.actions);
        let rules: Vec<&PolicyRule> = held
            .filter(|known| word_covers(&known.verb, &action.verb))
            .filter(|known| known.namespace.is_none() || known.namespace == action.namespace)
            .map(|known| known.rule)
            .collect();
        is_covered(action.rule, action.namespace.is_some(), rules.iter().copied())
    }
}

impl Identities {
    /// What is left of these identities without the others; none if nothing is.
    fn without<'o>(&self, others: impl Iterator<Item = &'o Self>) -> Option<Self> {
        let mut left = self.names.clone();
        for other in others.filter(|other| other.is_beside(self)) {
            let names = other.names.as_ref()?;
            if self.key.as_deref() == Some(MANY) && names.contains(MANY) {
                return None;
            }
            // Legacy asks for a node as for a user; the one name of associated nodes stands for them all.
            let node = self.kind != other.kind;
            let covers = |name: &SmolStr| match node {
                true => name != "*" && names.contains(format!("system:node:{name}").as_str()),
                false => names.contains(name),
            };
            if let Some(left) = &mut left {
                left.retain(|name| !covers(name));
            }
        }
        let nothing = left.as_ref().is_some_and(BTreeSet::is_empty);
        (!nothing).then(|| Self { names: left, ..self.clone() })
    }

    /// Whether these identities are of the kind, key and namespace of `other`, so that only names set them apart.
    fn is_beside(&self, other: &Self) -> bool {
        let node = other.kind == IdentityKind::Nodes && self.kind == IdentityKind::Users;
        (node || self.kind == other.kind)
            && (self.key.is_none() || self.key == other.key)
            && (self.namespace.is_none() || self.namespace == other.namespace)
    }
}

/// Whether one request can hold both.
fn combine(mode: Mode, one: &Identities, other: &Identities) -> bool {
    mode == Mode::UserInfo && !(one.kind == other.kind && matches!(one.kind, IdentityKind::Users | IdentityKind::Uids))
}

fn describe_action(action: &Actions<'_>) -> String {
    let list = |texts: &[Text]| {
        let shown: Vec<&str> = texts.iter().take(3).map(Text::as_str).collect();
        if texts.len() > 3 { format!("{}, …", shown.join(", ")) } else { shown.join(", ") }
    };
    let what = if action.rule.resources.is_empty() {
        list(&action.rule.non_resource_urls)
    } else {
        list(&action.rule.resources)
    };
    let place = action.namespace.as_ref().map(|namespace| format!(" in {namespace}")).unwrap_or_default();
    format!("{} {what}{place}", action.verb)
}

fn describe_identities(one: &Identities) -> String {
    let key = one.key.as_ref().map(|key| format!("/{}", key.replace(MANY, "*"))).unwrap_or_default();
    let names = match &one.names {
        None => "any of ".to_owned(),
        Some(names) => {
            let shown: Vec<&str> = names.iter().take(3).map(SmolStr::as_str).collect();
            format!("{} of ", shown.join(", ").replace(MANY, "*"))
        }
    };
    format!("{names}{}{key}", one.kind.resource())
}
