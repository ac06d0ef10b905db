//! Which legacy grants a request needs, and in whose hands (`docs/migrating.md`).

use std::collections::HashMap;

use smol_str::SmolStr;

use crate::authority::{
    Attributes, Authorizer, Check, CheckVerb, Decision, Feature, IdentityKind, Mode, Principal, User, allows,
    constrained_modes, decide,
};
use crate::evidence::{Evidence, OwnedRequest, Review, Tally};
use crate::inventory::PolicyRule;

use super::candidate::Candidate;
use super::widen::is_for_many;

/// An identity that a request takes: what one legacy check asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Taken {
    /// The namespace of a service account; empty for others.
    pub namespace: SmolStr,
    /// The key of an extra; none for others.
    pub key: Option<SmolStr>,
    pub name: SmolStr,
}

/// How a request is served before anything is changed, and what for.
#[derive(Debug, Clone, Default)]
pub(super) struct Served {
    /// The mode that allows it in the input; none if nothing does.
    pub before: Option<Mode>,
    /// Whether the impersonated user may make it.
    pub allowed: bool,
    /// The constrained modes that could serve it.
    pub forms: Vec<Mode>,
    /// The legacy grants that it needs, with what it takes by each: one a check. Empty if a constrained mode serves it
    /// already, or nothing does.
    pub uses: Vec<(usize, Taken)>,
    /// The legacy grants that would serve it, where a constrained mode does already: their holders are seen.
    pub spares: Vec<usize>,
}

impl Served {
    /// Whether it takes part in the migration at all.
    pub fn by_legacy(&self) -> bool {
        !self.uses.is_empty()
    }
}

/// The effective legacy grants, by who holds them and what for.
#[derive(Debug, Default)]
pub(super) struct LegacyIndex {
    by_holder: HashMap<(Principal, IdentityKind), Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    any: Vec<usize>,
    named: HashMap<SmolStr, Vec<usize>>,
}

impl LegacyIndex {
    /// Indexes the candidates that are effective.
    pub fn new(candidates: &[Candidate<'_>]) -> Self {
        let mut this = Self::default();
        for (index, candidate) in candidates.iter().enumerate() {
            let (Some(holder), Some(kind)) = (candidate.principal(), candidate.reachable_kind()) else { continue };
            let slots = this.by_holder.entry((holder, kind)).or_default();
            if candidate.rule.resource_names.is_empty() {
                slots.any.push(index);
            }
            for name in &candidate.rule.resource_names {
                slots.named.entry(name.value.clone()).or_default().push(index);
            }
        }
        this
    }

    /// How a request is served, and by which grants. `base` is the state that the migration starts from: the input
    /// without what an earlier run has added.
    pub fn serve(
        &self,
        input: &Authorizer<'_>,
        base: &Authorizer<'_>,
        candidates: &[Candidate<'_>],
        request: &OwnedRequest,
    ) -> Served {
        let asked = request.as_request();
        let decision = decide(input, &asked, Feature::Constrained);
        let mut served = Served {
            before: decision.mode(),
            allowed: decision.request.is_some(),
            forms: constrained_modes(&request.requestor, &request.headers).collect(),
            uses: Vec::new(),
            spares: Vec::new(),
        };
        let decision = if std::ptr::eq(input, base) { decision } else { decide(base, &asked, Feature::Constrained) };
        let User { name, groups, .. } = &request.requestor;
        let credited = |decision: &Decision<'_>| {
            let holders = Principal::all_of(name, groups);
            let legacy = decision.checks.iter().filter(|check| check.verb == CheckVerb::Identity(Mode::Legacy));
            legacy.filter_map(|check| self.credit(&holders, candidates, check, &served.forms)).collect::<Vec<_>>()
        };
        match decision.mode() {
            Some(Mode::Legacy) => served.uses = credited(&decision),
            Some(_) => {
                let alone = decide(base, &asked, Feature::LegacyOnly);
                if alone.mode().is_some() {
                    served.spares = credited(&alone).into_iter().map(|(candidate, _)| candidate).collect();
                }
            }
            None => {}
        }
        served
    }

    /// The grant to which a check is credited: of the most specific subject that has one. A request that has no
    /// constrained form is best served by a grant that stays anyway.
    fn credit(
        &self,
        holders: &[Principal],
        candidates: &[Candidate<'_>],
        check: &Check<'_>,
        forms: &[Mode],
    ) -> Option<(usize, Taken)> {
        let Attributes { resource, subresource, namespace, name, .. } = check.object;
        let kind = IdentityKind::of_resource(resource)?;
        let taken = Taken {
            namespace: SmolStr::new(namespace),
            key: (kind == IdentityKind::UserExtras).then(|| SmolStr::new(subresource)),
            name: SmolStr::new(name),
        };
        let mut fitting = holders.iter().flat_map(|holder| {
            let slots = self.by_holder.get(&(holder.clone(), kind));
            let named = || slots.and_then(|slots| slots.named.get(name)).into_iter().flatten();
            let any = slots.into_iter().flat_map(|slots| &slots.any);
            // A grant of the name `*` comes last: its constrained form allows many at once.
            let is_last = is_for_many(kind, name);
            let ordered = named().filter(move |_| !is_last).chain(any).chain(named().filter(move |_| is_last));
            ordered.copied().filter(|index| {
                let candidate = &candidates[*index];
                let key = candidate.extra_key();
                candidate.namespace.is_none_or(|own| own == namespace) && (key.is_none() || key == taken.key.as_deref())
            })
        });
        let first = fitting.next()?;
        let stays = |index: &usize| candidates[*index].stays_anyway();
        let best = if forms.is_empty() && !stays(&first) { fitting.find(stays).unwrap_or(first) } else { first };
        Some((best, taken))
    }
}

/// The legacy grants by which reviews for the verb `impersonate` are answered with yes: someone other than the API server
/// asks for the literal verb, and may ask in a way in which the server never does.
pub(super) fn credit_reviews(candidates: &[Candidate<'_>], evidence: &Evidence) -> Vec<(usize, Taken)> {
    credited_reviews(candidates, evidence).into_iter().map(|(candidate, taken, ..)| (candidate, taken)).collect()
}

/// The same, each with the review that it answers.
pub(super) fn credited_reviews<'e>(
    candidates: &[Candidate<'_>],
    evidence: &'e Evidence,
) -> Vec<(usize, Taken, &'e Review, &'e Tally)> {
    let mut by_holder: HashMap<Principal, Vec<usize>> = HashMap::new();
    if evidence.reviews().next().is_some() {
        for (index, candidate) in candidates.iter().enumerate() {
            if let Some(holder) = candidate.principal().filter(|_| candidate.is_held()) {
                by_holder.entry(holder).or_default().push(index);
            }
        }
    }
    let credit = |(review, tally): (&'e Review, &'e Tally)| {
        let asked = review.attributes();
        let answers = |index: &usize| {
            let candidate = &candidates[*index];
            let own = &candidate.rule.resources[candidate.grant.resource];
            let rule = PolicyRule { resources: vec![own.clone()], ..candidate.rule.clone() };
            candidate.namespace.is_none_or(|own| own == review.namespace) && allows(&rule, &asked)
        };
        let holders = Principal::all_of(&review.user, &review.groups);
        let index = holders.iter().filter_map(|holder| by_holder.get(holder)).flatten().copied().find(answers)?;
        let key = (!review.subresource.is_empty()).then(|| SmolStr::new(&review.subresource));
        let taken = Taken { namespace: SmolStr::new(&review.namespace), key, name: SmolStr::new(&review.name) };
        Some((index, taken, review, tally))
    };
    evidence.reviews().filter_map(credit).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::grants::Grants;
    use crate::migrate::candidate::candidates;
    use crate::migrate::fixture::{request, reviews, world};

    /// A use: the line of the world that has the grant, the resource of the grant, and what is taken by it.
    fn describe(candidates: &[Candidate<'_>], grants: &Grants<'_>, (index, taken): &(usize, Taken)) -> String {
        let candidate = &candidates[*index];
        let role = &grants.inventory().role(candidate.from).meta.name.value;
        let Taken { namespace, key, name } = taken;
        let key = key.as_ref().map(|key| format!("/{key}")).unwrap_or_default();
        let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
        format!("{role} {}{key} {name}{place}", candidate.grant.identity.resource)
    }

    /// How a request is served, by which mode, which grants it needs, and which would do, too.
    struct Told {
        served: Served,
        uses: Vec<String>,
        spares: Vec<String>,
    }

    /// Serves a request in a world that grew out of another one.
    fn serve_from(base: &str, input: &str, asked: &Value) -> Told {
        let (base, input) = (world(base), world(input));
        let [base, input] = [&base, &input].map(Grants::new);
        let candidates = candidates(&base);
        let authorizers = [&input, &base].map(|of| Authorizer::new(of.inventory(), of.rules(), of.links()));
        let index = LegacyIndex::new(&candidates);
        let served = index.serve(&authorizers[0], &authorizers[1], &candidates, &request(asked));
        let uses = served.uses.iter().map(|used| describe(&candidates, &base, used)).collect();
        let role = |index: &usize| base.inventory().role(candidates[*index].from).meta.name.value.to_string();
        Told { uses, spares: served.spares.iter().map(role).collect(), served }
    }

    fn serve(lines: &str, asked: &Value) -> Told {
        serve_from(lines, lines, asked)
    }

    /// The grants that a request of alice, who is in a group, needs to be someone.
    fn uses(lines: &str, who: &Value) -> Vec<String> {
        serve(lines, &list_pods(who)).uses
    }

    fn list_pods(who: &Value) -> Value {
        json!({"user": "alice", "groups": ["devs"], "impersonate": who, "verb": "list", "resource": "pods", "namespace": "shop"})
    }

    #[test]
    fn each_check_is_credited_to_a_grant() {
        let lines = "alice impersonate users panda
                     alice impersonate groups
                     alice impersonate userextras/team red
                     alice impersonate userextras/unit
                     alice impersonate uids";
        let who = json!({"user": "panda", "groups": ["ops"], "extra": {"team": ["red"], "unit": ["9"]}, "uid": "u-1"});
        let told = serve(lines, &list_pods(&who));
        assert_eq!(told.served.before, Some(Mode::Legacy));
        assert_eq!(told.served.forms, []);
        assert!(told.served.by_legacy());
        let mut uses = told.uses;
        uses.sort();
        assert_eq!(
            uses,
            ["r0 users panda", "r1 groups ops", "r2 userextras/team red", "r3 userextras/unit 9", "r4 uids u-1"]
        );
    }

    #[test]
    fn what_is_refused_or_not_done_by_legacy_needs_no_grant() {
        let panda = list_pods(&json!({"user": "panda"}));
        let told = serve("alice impersonate users koala\nbob impersonate users", &panda);
        assert_eq!((told.served.before, told.served.by_legacy()), (None, false));
        let constrained = "alice impersonate:user-info users panda\nalice impersonate-on:user-info:list pods";
        let told = serve(constrained, &panda);
        assert_eq!((told.served.before, told.served.by_legacy()), (Some(Mode::UserInfo), false));
        assert_eq!((told.served.allowed, told.spares.len()), (false, 0));
        // A legacy grant that would do is not needed, but its holder was seen.
        let told = serve(&format!("{constrained}\nalice impersonate users panda\nbob impersonate users"), &panda);
        assert_eq!((told.served.by_legacy(), told.spares.as_slice()), (false, &["r2".to_owned()][..]));
        let told = serve(&format!("{constrained}\nalice impersonate users koala"), &panda);
        assert!(told.spares.is_empty());
        // Whether the impersonated user may make the request is another question.
        let told = serve("alice impersonate users\npanda list pods", &panda);
        assert!(told.served.allowed && told.served.by_legacy());
        assert_eq!(told.served.forms, [Mode::UserInfo]);
    }

    #[test]
    fn what_an_earlier_run_added_does_not_count() {
        let base = "alice impersonate users panda";
        let input =
            format!("{base}\nalice impersonate:user-info users panda\nalice impersonate-on:user-info:list pods");
        let told = serve_from(base, &input, &list_pods(&json!({"user": "panda"})));
        assert_eq!((told.served.before, told.uses), (Some(Mode::UserInfo), vec!["r0 users panda".to_owned()]));
    }

    #[test]
    fn the_most_specific_subject_and_name_comes_first() {
        let panda = json!({"user": "panda"});
        for (lines, expected) in [
            ("group/devs impersonate users panda\nalice impersonate users", "r1 users panda"),
            ("system:authenticated impersonate users\ngroup/devs impersonate users", "r1 users panda"),
            ("bob impersonate users\ngroup/devs impersonate users panda", "r1 users panda"),
            ("alice impersonate users\nalice impersonate users panda", "r1 users panda"),
            ("alice impersonate users koala\nalice impersonate users", "r1 users panda"),
        ] {
            assert_eq!(uses(lines, &panda), [expected], "{lines}");
        }
        // The constrained form of a grant for the group `*` allows many groups at once.
        let star = json!({"user": "panda", "groups": ["*"]});
        for (lines, expected) in [
            ("alice impersonate groups *\nalice impersonate groups", "r2 groups *"),
            ("alice impersonate groups *", "r1 groups *"),
        ] {
            let lines = format!("alice impersonate users\n{lines}");
            assert_eq!(uses(&lines, &star), ["r0 users panda", expected], "{lines}");
        }
    }

    #[test]
    fn a_grant_for_service_accounts_counts_in_its_namespace() {
        let bot = |namespace: &str| json!({"user": format!("system:serviceaccount:{namespace}:bot")});
        let lines = "alice shop/impersonate serviceaccounts bot
                     alice apps/impersonate serviceaccounts
                     alice impersonate serviceaccounts";
        assert_eq!(uses(lines, &bot("shop")), ["r0 serviceaccounts bot in shop"]);
        assert_eq!(uses(lines, &bot("apps")), ["r1 serviceaccounts bot in apps"]);
        assert_eq!(uses(lines, &bot("prod")), ["r2 serviceaccounts bot in prod"]);
    }

    #[test]
    fn a_grant_for_every_key_counts_for_each() {
        let who = json!({"user": "panda", "extra": {"team": ["red"]}});
        let users = "alice impersonate users";
        assert_eq!(
            uses(&format!("{users}\nalice impersonate userextras/unit\nalice impersonate userextras/team"), &who),
            ["r0 users panda", "r2 userextras/team red"]
        );
        assert_eq!(uses("alice impersonate *", &who), ["r0 users panda", "r0 userextras/team red"]);
    }

    #[test]
    fn what_has_no_constrained_form_is_credited_to_what_stays() {
        // The verb `*` cannot be cut down, so that its grants stay.
        let lines = "alice impersonate users
                     alice impersonate groups
                     alice * users
                     alice * groups";
        assert_eq!(uses(lines, &json!({"user": "panda"})), ["r0 users panda"]);
        let masters = json!({"user": "panda", "groups": ["system:masters"]});
        assert_eq!(uses(lines, &masters), ["r2 users panda", "r3 groups system:masters"]);
        let lines = "alice impersonate users\nalice impersonate groups";
        assert_eq!(uses(lines, &masters), ["r0 users panda", "r1 groups system:masters"]);
        // The first of those that stay.
        let lines = "alice * users\nalice * *\nalice impersonate groups";
        assert_eq!(uses(lines, &masters), ["r0 users panda", "r1 groups system:masters"]);
    }

    #[test]
    fn reviews_are_credited_to_the_grant_that_answers_them() {
        let lines = "alice impersonate users,groups,uids panda
                     group/devs shop/impersonate serviceaccounts
                     bob impersonate users
                     carol impersonate userextras/team";
        let inventory = world(lines);
        let grants = Grants::new(&inventory);
        let candidates = candidates(&grants);
        let credited = |review: (&str, &[&str], &str, &str, &str)| {
            let evidence = reviews(&[review]);
            let found = credit_reviews(&candidates, &evidence);
            found.iter().map(|used| describe(&candidates, &grants, used)).collect::<Vec<_>>()
        };
        for (review, expected) in [
            (("alice", &[][..], "", "users", "panda"), &["r0 users panda"][..]),
            (("alice", &[], "", "groups", "panda"), &["r0 groups panda"]),
            // The API server never asks for UIDs in the group of users; who asks so is answered all the same.
            (("alice", &[], "", "uids", "panda"), &["r0 uids panda"]),
            (("alice", &[], "", "users", "koala"), &[]),
            (("alice", &[], "", "serviceaccounts", "panda"), &[]),
            (("carol", &["devs"], "shop", "serviceaccounts", "bot"), &["r1 serviceaccounts bot in shop"]),
            (("carol", &["devs"], "apps", "serviceaccounts", "bot"), &[]),
            (("carol", &["devs"], "", "serviceaccounts", "bot"), &[]),
            (("carol", &[], "shop", "serviceaccounts", "bot"), &[]),
            (("bob", &[], "shop", "users", "koala"), &["r2 users koala in shop"]),
        ] {
            assert_eq!(credited(review), expected, "{review:?}");
        }
        // The values of extras are hidden in evidence.
        let extra = credited(("carol", &[], "", "userextras/team", "red"));
        assert!(extra.len() == 1 && extra[0].starts_with("r3 userextras/team "), "{extra:?}");
    }
}
