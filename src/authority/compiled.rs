//! Rules in a form in which asking them is a matter of comparing numbers.
//!
//! A large cluster has tens of thousands of rules, and one request asks several questions of all that its requestor
//! holds. Every string of the rules has a number, so that a question is looked up once and then compared; a word of 64
//! bits tells most roles apart without looking at their rules. The answers are those of [`super::rbac`].

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{AUTHENTICATION_GROUP, Attributes, IdentityKind, Mode, Verb};
use crate::inventory::{Inventory, PolicyRule, RoleId, RoleRules, Text};

/// A table that hostile input cannot make slow: its hash function has a secret.
pub(super) type Table<K, V> = HashMap<K, V, RandomState>;

/// The number of `*`, in every kind of list.
const ANY: u32 = 0;
/// The number of what no rule mentions.
const UNKNOWN: u32 = u32::MAX;

/// All rules of an inventory, and the numbers of their strings.
#[derive(Debug)]
pub(super) struct Rules<'i> {
    verbs: Table<&'i str, u32>,
    /// For the verb of a request, the numbers of its `impersonate-on:` verbs.
    actions: Table<&'i str, [u32; Mode::CONSTRAINED.len()]>,
    groups: Table<&'i str, u32>,
    resources: Table<&'i str, u32>,
    /// Resources with a subresource, and `*` with one.
    subresources: Table<(&'i str, &'i str), u32>,
    roles: Vec<Role>,
    rules: Vec<Rule<'i>>,
    /// The numbers of each kind of identity, in legacy and in the constrained modes: they are asked for most.
    identities: [[Numbers; IdentityKind::ALL.len()]; 2],
}

/// The numbers of a group and a resource.
#[derive(Debug, Clone, Copy)]
struct Numbers {
    group: u32,
    /// The resource as a whole, and `*/subresource`.
    resources: [u32; 2],
}

impl Numbers {
    const UNKNOWN: Self = Self { group: UNKNOWN, resources: [UNKNOWN; 2] };
}

#[derive(Debug, Clone, Copy)]
struct Role {
    verbs: Mask,
    first: u32,
    last: u32,
}

#[derive(Debug)]
struct Rule<'i> {
    from: RoleId,
    index: usize,
    verbs: Box<[u32]>,
    groups: Box<[u32]>,
    resources: Box<[u32]>,
    /// For what has no number: names, URLs, and resources that are asked for in an odd way.
    source: &'i PolicyRule,
}

/// Which verbs a role may have: a bit for each number, shared by every 63rd, and one for `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Mask(u64);

impl Mask {
    fn of(number: u32) -> Self {
        Self(if number == ANY { 1 << 63 } else { 1 << (number % 63) })
    }

    /// What a role must have for the verb of this number.
    fn wanted(number: u32) -> Self {
        if number == UNKNOWN { Self::of(ANY) } else { Self(Self::of(number).0 | Self::of(ANY).0) }
    }
}

/// The number of a verb.
#[derive(Debug, Clone, Copy)]
pub(super) struct VerbNumber(u32);

/// What a question is about, without its verb.
#[derive(Debug, Clone, Copy)]
pub(super) struct Object<'a> {
    numbers: Numbers,
    /// The resource itself holds a slash, and has to be compared letter by letter.
    odd: bool,
    attributes: Attributes<'a>,
}

impl<'i> Rules<'i> {
    pub(super) fn new(inventory: &'i Inventory, contributions: &'i RoleRules) -> Self {
        let mut this = Self {
            verbs: Table::default(),
            actions: Table::default(),
            groups: Table::default(),
            resources: Table::default(),
            subresources: Table::default(),
            roles: Vec::with_capacity(inventory.roles.len()),
            rules: Vec::new(),
            identities: [[Numbers::UNKNOWN; IdentityKind::ALL.len()]; 2],
        };
        for (id, _) in inventory.role_ids() {
            let first = this.rules.len() as u32;
            let mut verbs = Mask::default();
            for contribution in contributions.of(inventory, id) {
                let rule = this.compile(contribution.from, contribution.index, contribution.rule);
                verbs.0 |= rule.verbs.iter().fold(0, |mask, verb| mask | Mask::of(*verb).0);
                this.rules.push(rule);
            }
            this.roles.push(Role { verbs, first, last: this.rules.len() as u32 });
        }
        this.identities = ["", AUTHENTICATION_GROUP]
            .map(|group| IdentityKind::ALL.map(|kind| this.numbers(group, kind.resource(), "")));
        this
    }

    fn numbers(&self, api_group: &str, resource: &str, subresource: &str) -> Numbers {
        let subresources = |pair: (&str, &str)| self.subresources.get(&pair).copied().unwrap_or(UNKNOWN);
        let resources = if subresource.is_empty() {
            [self.resources.get(resource).copied().unwrap_or(UNKNOWN), UNKNOWN]
        } else {
            [subresources((resource, subresource)), subresources(("*", subresource))]
        };
        Numbers { group: find(&self.groups, api_group), resources }
    }

    fn compile(&mut self, from: RoleId, index: usize, source: &'i PolicyRule) -> Rule<'i> {
        for verb in &source.verbs {
            if let Verb::Action(mode, action) = Verb::parse(verb.as_str()) {
                let number = number(&mut self.verbs, verb.as_str());
                let known = self.actions.entry(action).or_insert([UNKNOWN; Mode::CONSTRAINED.len()]);
                if let Some(slot) = Mode::CONSTRAINED.iter().position(|known| *known == mode) {
                    known[slot] = number;
                }
            }
        }
        let resources = source.resources.iter().map(|text| match text.as_str().split_once('/') {
            Some(pair) => {
                // Counted with the resources, so that one number is one resource.
                let next = (self.resources.len() + self.subresources.len()) as u32 + 1;
                *self.subresources.entry(pair).or_insert(next)
            }
            None if text.as_str() == "*" => ANY,
            None => {
                let next = (self.resources.len() + self.subresources.len()) as u32 + 1;
                *self.resources.entry(text.as_str()).or_insert(next)
            }
        });
        let resources = resources.collect();
        let mut numbers = |table: fn(&mut Self) -> &mut Table<&'i str, u32>, texts: &'i [Text]| {
            texts.iter().map(|text| number(table(self), text.as_str())).collect::<Box<[u32]>>()
        };
        Rule {
            from,
            index,
            verbs: numbers(|this| &mut this.verbs, &source.verbs),
            groups: numbers(|this| &mut this.groups, &source.api_groups),
            resources,
            source,
        }
    }

    /// The number of a verb.
    pub(super) fn verb(&self, verb: &str) -> VerbNumber {
        VerbNumber(find(&self.verbs, verb))
    }

    /// The numbers of the action verbs of a request's verb, in the order of [`Mode::CONSTRAINED`].
    pub(super) fn action_verbs(&self, verb: &str) -> [VerbNumber; Mode::CONSTRAINED.len()] {
        let known = self.actions.get(verb).copied().unwrap_or([UNKNOWN; Mode::CONSTRAINED.len()]);
        known.map(VerbNumber)
    }

    /// What a question is about. Its verb does not matter.
    pub(super) fn object<'a>(&self, attributes: Attributes<'a>) -> Object<'a> {
        let Attributes { api_group, resource, subresource, path, .. } = attributes;
        if !path.is_empty() {
            return Object { numbers: Numbers::UNKNOWN, odd: false, attributes };
        }
        let numbers = self.numbers(api_group, resource, subresource);
        Object { numbers, odd: resource.contains('/'), attributes }
    }

    /// An identity without a subresource, in the group in which a mode asks for it. The attributes say the same.
    pub(super) fn identity<'a>(&self, kind: IdentityKind, attributes: Attributes<'a>) -> Object<'a> {
        let of_group = &self.identities[usize::from(!attributes.api_group.is_empty())];
        Object { numbers: of_group[kind as usize], odd: false, attributes }
    }

    /// The first rule of a role that allows the verb on the object: where it is written, and its index there.
    pub(super) fn first(&self, role: RoleId, verb: VerbNumber, object: &Object<'_>) -> Option<(RoleId, usize)> {
        let role = self.roles.get(role.0)?;
        if role.verbs.0 & Mask::wanted(verb.0).0 == 0 {
            return None;
        }
        let rules = self.rules.get(role.first as usize..role.last as usize)?;
        let found = rules.iter().find(|rule| has(&rule.verbs, verb.0) && rule.covers(object))?;
        Some((found.from, found.index))
    }
}

impl Rule<'_> {
    fn covers(&self, object: &Object<'_>) -> bool {
        let Attributes { resource, subresource, name, path, .. } = object.attributes;
        if !path.is_empty() {
            return super::url_matches(self.source, path);
        }
        let [whole, any_with_subresource] = object.numbers.resources;
        has(&self.groups, object.numbers.group)
            && if object.odd {
                super::resource_matches(self.source, resource, subresource)
            } else {
                has(&self.resources, whole)
                    || (any_with_subresource != UNKNOWN && has(&self.resources, any_with_subresource))
            }
            && super::name_matches(self.source, name)
    }
}

/// Whether a list holds a number, or `*`.
fn has(list: &[u32], number: u32) -> bool {
    list.iter().any(|known| *known == number || *known == ANY)
}

fn number<'i>(table: &mut Table<&'i str, u32>, text: &'i str) -> u32 {
    if text == "*" {
        return ANY;
    }
    let next = table.len() as u32 + 1;
    *table.entry(text).or_insert(next)
}

fn find(table: &Table<&str, u32>, text: &str) -> u32 {
    if text == "*" {
        // Asked for, `*` is a string like any other, and only `*` has it.
        return ANY;
    }
    table.get(text).copied().unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use smol_str::SmolStr;

    use super::super::rbac;
    use super::*;
    use crate::inventory::{ObjectKind, ObjectMeta};

    const WORDS: [&str; 12] = [
        "*",
        "get",
        "list",
        "",
        "apps",
        "pods",
        "pods/log",
        "*/log",
        "a/b/c",
        "userextras/x.y/z",
        "impersonate-on:user-info:get",
        "/api*",
    ];

    fn rule() -> impl Strategy<Value = PolicyRule> {
        let texts = || {
            subsequence(&WORDS[..], 0..4).prop_map(|words| {
                let text = |word: &str| Text { value: SmolStr::new(word), place: Default::default() };
                words.into_iter().map(text).collect::<Vec<_>>()
            })
        };
        (texts(), texts(), texts(), texts(), texts()).prop_map(
            |(verbs, api_groups, resources, resource_names, non_resource_urls)| PolicyRule {
                verbs,
                api_groups,
                resources,
                resource_names,
                non_resource_urls,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn numbers_answer_as_strings_do(
            rules in prop::collection::vec(rule(), 1..4),
            asked in prop::collection::vec((
                select(&WORDS[..]), select(&WORDS[..]), select(&WORDS[..]),
                select(&["", "log", "x.y/z", "b/c", "c", "*"][..]), select(&["", "pods", "*"][..]), select(&["", "", "/api", "/apis", "*"][..]),
            ), 1..8),
        ) {
            let meta = ObjectMeta::new(ObjectKind::ClusterRole, None, "a");
            let role = crate::inventory::Role { meta, rules, aggregation: None };
            let inventory = Inventory { roles: vec![role], ..Inventory::default() };
            let contributions = RoleRules::new(&inventory);
            let compiled = Rules::new(&inventory, &contributions);
            for (verb, api_group, resource, subresource, name, path) in asked {
                let attributes = Attributes { verb, api_group, resource, subresource, name, path, namespace: "" };
                let expected = inventory.roles[0].rules.iter().position(|rule| rbac::allows(rule, &attributes));
                let found = compiled.first(RoleId(0), compiled.verb(verb), &compiled.object(attributes));
                prop_assert_eq!(found.map(|(_, index)| index), expected, "{:?}", attributes);
                let action = format!("impersonate-on:user-info:{verb}");
                let attributes = Attributes { verb: &action, ..attributes };
                let expected = inventory.roles[0].rules.iter().position(|rule| rbac::allows(rule, &attributes));
                let number = compiled.action_verbs(verb)[3];
                let found = compiled.first(RoleId(0), number, &compiled.object(attributes));
                prop_assert_eq!(found.map(|(_, index)| index), expected, "{:?}", attributes);
            }
        }
    }
}
