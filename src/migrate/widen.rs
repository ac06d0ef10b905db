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
    widened_within(before, after, memberships, MAX_PAIRS)
}

fn widened_within(
    before: &Grants<'_>,
    after: &Grants<'_>,
    memberships: &Memberships,
    max_pairs: usize,
) -> Vec<Widening> {
    let mut before_rules: HashSet<HeldRule<'_>> = HashSet::new();
    let old = Holdings::new(before, &mut |held| {
        before_rules.insert(held);
        false
    });
    let new = Holdings::new(after, &mut |held| !before_rules.contains(&held));
    let mut search = Search { old: &old, new: &new, memberships, found: BTreeMap::new(), pairs: 0, max_pairs };
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
    max_pairs: usize,
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
        if self.pairs == self.max_pairs {
            let why = "there are too many grants to tell whether it could be taken before".to_owned();
            self.report(at, (who, one), mode, &[(true, who)], why);
        }
        self.pairs >= self.max_pairs
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::User;
    use crate::migrate::fixture::world;

    /// What the second state of a world allows beyond the first, a line for each: `SUBJECT MODE RESOURCE [NAMES]`, and why.
    fn told(before: &str, after: &str, memberships: &Memberships, max_pairs: usize) -> Vec<String> {
        let (before, after) = (world(before), world(after));
        let found = widened_within(&Grants::new(&before), &Grants::new(&after), memberships, max_pairs);
        let line = |widening: Widening| {
            let Widening { subject, mode, identity, namespace, names, why, new_of } = widening;
            assert!(!new_of.is_empty());
            let namespace = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
            let key = identity.extra_key.map(|key| format!("/{key}")).unwrap_or_default();
            let names = names.map(|names| format!(" {}", names.join(","))).unwrap_or_default();
            format!("{} {mode} {}{key}{names}{namespace}: {why}", subject.describe(), identity.resource)
        };
        found.into_iter().map(line).collect()
    }

    /// What grants that are added to a world allow beyond it.
    fn adds(before: &str, added: &str) -> Vec<String> {
        told(before, &format!("{before}\n{added}"), &Memberships::default(), MAX_PAIRS)
    }

    const NONE: [&str; 0] = [];
    const BEFORE: &str = "it could not be taken before";
    const NO_LIMIT: &str = "it could not be taken without limit before";

    #[test]
    fn legacy_is_compared_name_by_name() {
        let panda = "alice impersonate users panda";
        assert_eq!(adds("", panda), [format!("User alice legacy users panda: {NO_LIMIT}")]);
        assert_eq!(adds("", "alice impersonate users"), [format!("User alice legacy users: {NO_LIMIT}")]);
        assert_eq!(
            adds(panda, "alice impersonate users koala,panda"),
            [format!("User alice legacy users koala: {NO_LIMIT}")]
        );
        assert_eq!(adds(panda, "alice impersonate users"), [format!("User alice legacy users: {NO_LIMIT}")]);
        for (before, added) in [
            (panda, panda),
            ("alice impersonate users", panda),
            ("alice impersonate users panda,koala", panda),
            ("system:authenticated impersonate users panda", panda),
            ("system:serviceaccounts:apps impersonate users panda", "apps/deputy impersonate users panda"),
            // The one group that is allowed everything.
            ("", "system:masters impersonate users"),
            // No user is a service account, and no other name has what legacy looks for.
            ("", "alice impersonate users system:serviceaccount:apps:deputy"),
            ("", "alice apps/impersonate users"),
        ] {
            assert_eq!(adds(before, added), NONE, "{added}");
        }
        for before in ["bob impersonate users", "group/devs impersonate users", "alice impersonate groups panda"] {
            assert_eq!(adds(before, panda).len(), 1, "{before}");
        }
    }

    #[test]
    fn what_is_taken_away_is_not_compared() {
        let before = "alice impersonate users\nbob impersonate users panda";
        assert_eq!(told(before, "bob impersonate users panda", &Memberships::default(), MAX_PAIRS), NONE);
    }

    #[test]
    fn an_identity_is_worth_something_with_an_action() {
        let (panda, pods) = ("alice impersonate:user-info users panda", "alice impersonate-on:user-info:get pods");
        let users = format!("User alice user-info users panda: {BEFORE}");
        let acts = "User alice user-info users panda: User alice may get pods as it now";
        assert_eq!(adds("", panda), NONE);
        assert_eq!(adds("", pods), NONE);
        assert_eq!(adds(pods, panda), [users.as_str()]);
        assert_eq!(adds(panda, pods), [acts]);
        assert_eq!(adds("", &format!("{panda}\n{pods}")), [users.as_str()]);
        // Without a limit it may do all that already.
        for legacy in
            ["alice impersonate users", "alice impersonate users panda,koala", "system:authenticated impersonate users"]
        {
            assert_eq!(adds(legacy, &format!("{panda}\n{pods}")), NONE, "{legacy}");
        }
        assert_eq!(adds("alice impersonate users koala", &format!("{panda}\n{pods}")).len(), 1);
        // Another mode, or someone else.
        assert_eq!(adds(panda, "alice impersonate-on:serviceaccount:get pods"), NONE);
        assert_eq!(adds(panda, "bob impersonate-on:user-info:get pods"), NONE);
        assert_eq!(adds(panda, "apps/deputy impersonate-on:user-info:get pods"), NONE);
        assert_eq!(
            adds(panda, "group/devs impersonate-on:user-info:get pods"),
            ["User alice user-info users panda: Group devs may get pods as it now"]
        );
        assert_eq!(
            adds(&format!("{panda}\n{pods}"), "alice impersonate:user-info users panda,koala"),
            [format!("User alice user-info users koala,panda: {BEFORE}")]
        );
        assert_eq!(adds(&format!("alice impersonate:user-info users\n{pods}"), panda), NONE);
    }

    #[test]
    fn actions_are_compared_by_verb_place_and_what_they_list() {
        let panda = "alice impersonate:user-info users panda";
        for (before, added, is_covered) in [
            ("impersonate-on:user-info:get pods", "impersonate-on:user-info:get pods web", true),
            ("impersonate-on:user-info:get pods,secrets", "impersonate-on:user-info:get pods", true),
            ("impersonate-on:user-info:get pods", "impersonate-on:user-info:get pods,secrets", false),
            ("impersonate-on:user-info:get pods", "impersonate-on:user-info:list pods", false),
            ("impersonate-on:user-info:get pods", "apps/impersonate-on:user-info:get pods", true),
            ("apps/impersonate-on:user-info:get *", "apps/impersonate-on:user-info:get pods", true),
            ("shop/impersonate-on:user-info:get pods", "apps/impersonate-on:user-info:get pods", false),
            ("apps/impersonate-on:user-info:get pods", "impersonate-on:user-info:get pods", false),
            ("impersonate-on:user-info:get /api*", "impersonate-on:user-info:get /apis", true),
            ("impersonate-on:user-info:get /api", "impersonate-on:user-info:get /apis", false),
            // No URL is asked for in a namespace.
            ("impersonate-on:user-info:get pods", "apps/impersonate-on:user-info:get /apis", true),
        ] {
            let told = adds(&format!("{panda}\nalice {before}"), &format!("alice {added}"));
            assert_eq!(told.is_empty(), is_covered, "{before} {added}: {told:?}");
        }
        // All that the actor surely is may hold it already, and the one who has the identity.
        let before = format!("{panda}\nsystem:authenticated impersonate-on:user-info:get pods");
        assert_eq!(adds(&before, "alice impersonate-on:user-info:get pods"), NONE);
        let before = format!("{panda}\nalice impersonate-on:user-info:get pods");
        assert_eq!(adds(&before, "group/devs impersonate-on:user-info:get pods"), NONE);
        assert_eq!(adds(&before, "group/devs impersonate-on:user-info:get pods,secrets").len(), 1);
        // What is new is told in few words.
        let why = |action: &str| adds(panda, &format!("alice {action}")).concat();
        assert!(why("apps/impersonate-on:user-info:get a,b,c").ends_with(" may get a, b, c in apps as it now"));
        assert!(why("impersonate-on:user-info:get a,b,c,d").ends_with(" may get a, b, c, … as it now"));
        assert!(why("impersonate-on:user-info:get /healthz").ends_with(" may get /healthz as it now"));
    }

    #[test]
    fn a_new_action_is_enough() {
        // Nothing else is new, and legacy does not cover what it is for.
        let before = "apps/deputy impersonate:serviceaccount serviceaccounts bot
                      apps/deputy impersonate-on:serviceaccount:get pods";
        let why = "ServiceAccount apps/deputy may list pods as it now";
        assert_eq!(
            adds(before, "apps/deputy impersonate-on:serviceaccount:list pods"),
            [format!("ServiceAccount apps/deputy serviceaccount serviceaccounts bot: {why}")]
        );
        assert_eq!(adds(before, "group/devs impersonate-on:serviceaccount:list pods"), NONE);
        assert_eq!(adds(before, "system:serviceaccounts:shop impersonate-on:serviceaccount:list pods"), NONE);
        assert_eq!(adds(before, "system:serviceaccounts:apps impersonate-on:serviceaccount:list pods").len(), 1);
        assert_eq!(adds(before, "system:serviceaccounts:apps impersonate-on:serviceaccount:get pods"), NONE);
    }

    #[test]
    fn the_superusers_gain_nothing() {
        let pods = "system:masters impersonate-on:user-info:get pods";
        assert_eq!(adds(pods, "system:masters impersonate:user-info users"), NONE);
        assert_eq!(
            adds(&pods.replace("system:masters", "group/devs"), "group/devs impersonate:user-info users").len(),
            1
        );
    }

    #[test]
    fn service_accounts_are_compared_by_namespace() {
        let of = |place: &str, what: &str| {
            format!(
                "alice {place}impersonate:serviceaccount serviceaccounts {what}\nalice impersonate-on:serviceaccount:get pods"
            )
        };
        let legacy = |place: &str, what: &str| format!("alice {place}impersonate serviceaccounts {what}");
        let told = |place: &str, names: &str| {
            vec![format!("User alice serviceaccount serviceaccounts {names}{place}: {BEFORE}")]
        };
        for (before, added, expected) in [
            (String::new(), of("", "bot"), told("", "bot")),
            (String::new(), of("apps/", "bot"), told(" in apps", "bot")),
            (legacy("", "bot"), of("apps/", "bot"), vec![]),
            (legacy("apps/", ""), of("apps/", "bot"), vec![]),
            (legacy("apps/", "bot"), of("apps/", "bot,api"), told(" in apps", "api")),
            (legacy("shop/", ""), of("apps/", "bot"), told(" in apps", "bot")),
            (legacy("apps/", ""), of("", "bot"), told("", "bot")),
            ("alice impersonate users".to_owned(), of("apps/", "bot"), told(" in apps", "bot")),
        ] {
            assert_eq!(adds(&before, &added), expected, "{before} / {added}");
        }
    }

    #[test]
    fn nodes_are_users_in_legacy() {
        let node = |mode: &str, names: &str| {
            format!("alice impersonate:{mode} nodes {names}\nalice impersonate-on:{mode}:get pods")
        };
        let arbitrary = |names: &str| vec![format!("User alice arbitrary-node nodes {names}: {BEFORE}")];
        for (before, added, expected) in [
            ("", node("arbitrary-node", "n1"), arbitrary("n1")),
            ("alice impersonate users", node("arbitrary-node", "n1"), vec![]),
            ("alice impersonate users system:node:n1", node("arbitrary-node", "n1,n2"), arbitrary("n2")),
            ("alice impersonate users n1", node("arbitrary-node", "n1"), arbitrary("n1")),
            ("alice impersonate groups", node("arbitrary-node", "n1"), arbitrary("n1")),
            // The one name of associated nodes stands for all of them.
            ("alice impersonate users", node("associated-node", "*"), vec![]),
            (
                "alice impersonate users *,system:node:*",
                node("associated-node", "*"),
                vec![format!("User alice associated-node nodes *: {BEFORE}")],
            ),
        ] {
            assert_eq!(adds(before, &added), expected, "{before} / {added}");
        }
        // Within a mode nodes are nodes.
        let all = node("arbitrary-node", "n1");
        assert_eq!(adds(&all, "alice impersonate:arbitrary-node nodes n1"), NONE);
        assert_eq!(adds(&all, "alice impersonate:arbitrary-node nodes n2"), arbitrary("n2"));
        assert_eq!(adds("alice impersonate users", "alice impersonate users system:node:n1"), NONE);
        // A node by that name is no user.
        let users = "alice impersonate:user-info users\nalice impersonate-on:user-info:get pods";
        assert_eq!(adds("alice impersonate nodes", users).len(), 1);
    }

    #[test]
    fn groups_uids_and_extras_need_a_user() {
        let acts = "group/devs impersonate-on:user-info:get pods";
        for part in ["groups admins", "uids u-1", "userextras/acme.com/team red"] {
            let (alice, devs) =
                (format!("alice impersonate:user-info {part}"), format!("group/devs impersonate:user-info {part}"));
            assert_eq!(adds(acts, &devs), NONE, "{part}");
            assert_eq!(adds(&format!("{acts}\nbob impersonate:user-info users"), &alice), NONE, "{part}");
            let apart = format!("{acts}\napps/deputy impersonate:user-info users");
            assert_eq!(adds(&apart, &devs), NONE, "{part}");
            // Who has the user may be in the group.
            let before = format!("{acts}\nbob impersonate:user-info users panda");
            let told = adds(&before, &devs);
            let name = part.replace(' ', ": ");
            assert_eq!(told.len(), 2, "{name} {told:?}");
            assert!(told.iter().any(|line| line.starts_with("Group devs user-info") && line.ends_with(BEFORE)));
            assert!(told.iter().any(|line| line.starts_with("User bob user-info users panda: Group devs may be ")));
        }
    }

    #[test]
    fn parts_of_one_kind_go_together_if_a_request_holds_several() {
        let old = "alice impersonate:user-info users panda
                   alice impersonate:user-info groups admins
                   alice impersonate:user-info uids u-1
                   alice impersonate:user-info userextras/acme.com/team red
                   alice impersonate-on:user-info:get pods";
        // What is left of the others is new with it, but not what it stands in for.
        for (added, with) in [
            ("users koala", ["groups admins", "uids u-1", "userextras/acme.com/team red"].as_slice()),
            ("uids u-2", &["groups admins", "userextras/acme.com/team red", "users panda"]),
            ("groups ops", &["groups admins", "uids u-1", "userextras/acme.com/team red", "users panda"]),
            (
                "userextras/acme.com/team blue",
                &["groups admins", "uids u-1", "userextras/acme.com/team red", "users panda"],
            ),
        ] {
            let told = adds(old, &format!("alice impersonate:user-info {added}"));
            let mut told: Vec<&str> = told
                .iter()
                .filter(|line| line.contains(" together with it now"))
                .filter_map(|line| line.strip_prefix("User alice user-info ")?.split_once(": "))
                .map(|(what, _)| what)
                .collect();
            told.sort_unstable();
            assert_eq!(told, with, "{added}");
        }
        assert_eq!(adds(old, "alice impersonate:user-info groups admins"), NONE);
        // In other modes a request has one identity alone.
        let nodes = "alice impersonate:arbitrary-node nodes n1\nalice impersonate-on:arbitrary-node:get pods";
        assert_eq!(adds(nodes, "alice impersonate:arbitrary-node nodes n2").len(), 1);
    }

    #[test]
    fn who_takes_parts_together_must_be_able_to_act() {
        let parts = "alice impersonate:user-info users panda";
        let added = "group/devs impersonate:user-info groups admins";
        let panda = "User alice user-info users panda: Group devs may be admins of groups together with it now";
        for (acts, expected) in [
            ("alice", true),
            ("group/devs", true),
            ("group/ops", true),
            ("system:authenticated", true),
            // Who is in the group, but is not alice.
            ("bob", false),
            ("apps/deputy", false),
            ("system:serviceaccounts", false),
        ] {
            let told = adds(&format!("{parts}\n{acts} impersonate-on:user-info:get pods"), added);
            assert_eq!(told.iter().any(|line| line == panda), expected, "{acts}: {told:?}");
        }
    }

    #[test]
    fn the_question_for_many_is_a_name_of_its_own() {
        let pods = "alice impersonate-on:user-info:get pods\nalice impersonate:user-info users panda";
        let told = |before: &str, added: &str| {
            let told = adds(&format!("{pods}\n{before}"), &format!("alice impersonate:user-info {added}"));
            let taken = told.iter().filter(|line| line.ends_with(BEFORE));
            taken.map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for (before, added, expected) in [
            ("", "groups *", &["groups *"][..]),
            // Legacy asks for each group: `*` is a group like any other.
            ("alice impersonate groups *", "groups *", &["groups *"]),
            ("alice impersonate groups *", "groups *,ops", &["groups *,ops"]),
            ("alice impersonate groups ops", "groups *,ops", &["groups *"]),
            ("alice impersonate groups", "groups *", &[]),
            ("alice impersonate:user-info groups", "groups *", &[]),
            ("alice impersonate:user-info groups *", "groups *", &[]),
            // One group alone is asked for by its name.
            ("alice impersonate:user-info groups *", "groups ops", &["groups ops"]),
            ("alice impersonate userextras/acme.com/team", "userextras/acme.com/team *", &[]),
            (
                "alice impersonate userextras/acme.com/team *",
                "userextras/acme.com/team *",
                &["userextras/acme.com/team *"],
            ),
            ("alice impersonate userextras/acme.com/team", "userextras/* *", &["userextras/*"]),
            ("alice impersonate userextras/*", "userextras/* *", &["userextras/*"]),
            ("alice impersonate *", "userextras/* *", &[]),
            ("alice impersonate:user-info userextras/* *", "userextras/* *", &[]),
            ("alice impersonate:user-info userextras/acme.com/team *", "userextras/* *", &["userextras/*"]),
            ("alice impersonate:user-info * *", "userextras/* *", &[]),
            ("alice impersonate:user-info * red", "userextras/* *", &["userextras/*"]),
            // The one question about a user is for that name.
            ("alice impersonate users *", "users *", &[]),
        ] {
            let expected: Vec<String> = expected.iter().map(|what| format!("User alice user-info {what}")).collect();
            assert_eq!(told(before, added), expected, "{before} / {added}");
        }
        assert_eq!(adds("", "alice impersonate userextras/*"), [format!("User alice legacy userextras/*: {NO_LIMIT}")]);
        let why =
            adds(&format!("alice impersonate:user-info groups ops\n{pods}"), "alice impersonate:user-info groups *");
        assert!(why.concat().contains("may be * of groups together with it now"), "{why:?}");
    }

    #[test]
    fn extras_are_compared_by_key() {
        let legacy = |what: &str| format!("alice impersonate userextras/{what}");
        let told = |what: &str| vec![format!("User alice legacy userextras/{what}: {NO_LIMIT}")];
        assert_eq!(adds(&legacy("team"), &legacy("team red")), NONE);
        assert_eq!(adds("alice impersonate *", &legacy("team red")), NONE);
        assert_eq!(adds(&legacy("team red"), &legacy("team red,blue")), told("team blue"));
        assert_eq!(adds(&legacy("team"), &legacy("unit red")), told("unit red"));
        assert_eq!(adds(&legacy("team"), "alice impersonate *").len(), 5);
    }

    #[test]
    fn what_is_refused_is_not_allowed() {
        let pods = "alice impersonate-on:user-info:get pods\nalice impersonate:user-info users";
        for refused in ["groups system:masters", "userextras/acme.com/team ''", "userextras/team red", "users ''"] {
            assert_eq!(adds(pods, &format!("alice impersonate:user-info {refused}")), NONE, "{refused}");
        }
        assert_eq!(adds("", "alice impersonate groups system:masters").len(), 1);
    }

    #[test]
    fn memberships_tell_who_may_be_one() {
        let seen = |name: &str, groups: &[&str]| User {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        };
        let before = "apps/deputy impersonate:user-info users panda";
        let after = format!("{before}\ngroup/devs impersonate-on:user-info:get pods");
        assert_eq!(told(before, &after, &Memberships::default(), MAX_PAIRS), NONE);
        let odd = [seen("system:serviceaccount:apps:deputy", &["devs"])];
        assert_eq!(told(before, &after, &Memberships::of(odd.iter()), MAX_PAIRS).len(), 1);
        // A group of service accounts in which a person was seen is not all of service accounts.
        let before = "system:serviceaccounts impersonate users panda";
        let after = format!("{before}\nsystem:serviceaccounts:apps impersonate users panda");
        assert_eq!(told(before, &after, &Memberships::default(), MAX_PAIRS), NONE);
        let odd = [seen("alice", &["system:serviceaccounts:apps"])];
        assert_eq!(told(before, &after, &Memberships::of(odd.iter()), MAX_PAIRS).len(), 1);
    }

    #[test]
    fn too_many_grants_to_tell_count_as_widened() {
        let before = "alice impersonate:user-info users panda\nalice impersonate-on:user-info:get pods";
        let after = format!("{before}\nalice impersonate-on:user-info:get pods web");
        let told = |max_pairs| told(before, &after, &Memberships::default(), max_pairs);
        assert_eq!(told(2), NONE);
        let too_many = "there are too many grants to tell whether it could be taken before";
        assert_eq!(told(1), [format!("User alice user-info users panda: {too_many}")]);
        // What was found until then is told, too.
        let before = "alice impersonate-on:user-info:get pods";
        let after = format!("{before}\nalice impersonate:user-info users panda\nbob impersonate:user-info users panda");
        let found = format!("User alice user-info users panda: {BEFORE}");
        let told = super::tests::told(before, &after, &Memberships::default(), 2);
        assert_eq!(told, [found, format!("User bob user-info users panda: {too_many}")]);
    }
}
