//! What an edit takes out of a rule, so that a finding goes.

use std::collections::BTreeSet;

use super::rule::Fix;
use super::site::Site;
use crate::authority::{Certainty, Extent, is_ever_asked};
use crate::inventory::{PolicyRule, Text};

/// How many items the lists of a rule may have that is mended: input is hostile, and every verb is a site of its own.
const MAX_ITEMS: usize = 256;

/// The parts of a policy rule that go. Nothing is ever added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mend {
    /// Whether the answers of the API server stay the same.
    pub safety: Fix,
    /// Whether what goes is in vain, but says something nobody else says: programs beside the API server may look at it.
    pub is_dead: bool,
    /// What goes.
    pub cut: Cut,
}

/// Items of a rule's lists, by their indices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cut {
    /// The whole rule.
    pub rule: bool,
    /// Verbs.
    pub verbs: BTreeSet<usize>,
    /// API groups.
    pub api_groups: BTreeSet<usize>,
    /// Resources.
    pub resources: BTreeSet<usize>,
    /// Names.
    pub names: BTreeSet<usize>,
    /// Paths.
    pub urls: BTreeSet<usize>,
}

impl Cut {
    /// Takes away what another one does, too.
    pub fn extend(&mut self, other: &Self) {
        self.rule |= other.rule;
        self.verbs.extend(&other.verbs);
        self.api_groups.extend(&other.api_groups);
        self.resources.extend(&other.resources);
        self.names.extend(&other.names);
        self.urls.extend(&other.urls);
    }

    /// What is left of a rule. A rule of which a list would become empty goes: without names it would grant any, and
    /// without anything else it grants nothing.
    pub fn of(&self, rule: &PolicyRule) -> Option<PolicyRule> {
        let left = |list: &[Text], cut: &BTreeSet<usize>| {
            let stays = list.iter().enumerate().filter(|(index, _)| !cut.contains(index));
            let stays: Vec<Text> = stays.map(|(_, text)| text.clone()).collect();
            (!stays.is_empty() || list.is_empty()).then_some(stays)
        };
        if self.rule {
            return None;
        }
        Some(PolicyRule {
            verbs: left(&rule.verbs, &self.verbs)?,
            api_groups: left(&rule.api_groups, &self.api_groups)?,
            resources: left(&rule.resources, &self.resources)?,
            resource_names: left(&rule.resource_names, &self.names)?,
            non_resource_urls: left(&rule.non_resource_urls, &self.urls)?,
        })
    }
}

/// What a finding says is dead: the site's verb on some resources, and of the names of the rule perhaps only some.
#[derive(Debug, Clone, Default)]
pub(super) struct Dead {
    pub(super) resources: BTreeSet<usize>,
    pub(super) names: BTreeSet<usize>,
}

/// Takes out what is dead, if nothing that is not goes with it: the verb, or else the resources, or else the names.
pub(super) fn without_dead(site: &Site<'_>, dead: &Dead) -> Option<Mend> {
    let own = Extent::of(site.role.meta.kind);
    // Other bindings than those of the input may give the role in the whole cluster.
    let bound = if site.is_namespaced() { Extent::Namespaces } else { own };
    let proved =
        || cut_dead(site, dead, own, Certainty::Proved).map(|cut| Mend { safety: Fix::Safe, is_dead: true, cut });
    let presumed =
        || cut_dead(site, dead, bound, Certainty::Presumed).map(|cut| Mend { safety: Fix::Unsafe, is_dead: true, cut });
    proved().or_else(presumed)
}

fn cut_dead(site: &Site<'_>, dead: &Dead, extent: Extent, certainty: Certainty) -> Option<Cut> {
    let rule = site.rule;
    if rule.lists().iter().map(|(_, list)| list.len()).sum::<usize>() > MAX_ITEMS {
        return None;
    }
    let is_dead = |verbs: &BTreeSet<usize>, resources: &BTreeSet<usize>, names: &BTreeSet<usize>| {
        let (verbs, resources) = (at(&rule.verbs, verbs), at(&rule.resources, resources));
        is_ever_asked(rule, verbs, resources, at(&rule.resource_names, names), extent, certainty) == Some(false)
    };
    let [verbs, resources, names] =
        [&rule.verbs, &rule.resources, &rule.resource_names].map(|list| (0..list.len()).collect::<BTreeSet<usize>>());
    let own = with_equals(&rule.verbs, &BTreeSet::from([site.verb_index]));
    let dead_resources = with_equals(&rule.resources, &dead.resources);
    let dead_names = with_equals(&rule.resource_names, &dead.names);
    if is_dead(&own, &resources, &names) {
        Some(Cut { verbs: own, ..Cut::default() })
    } else if !dead_resources.is_empty() && is_dead(&verbs, &dead_resources, &names) {
        Some(Cut { resources: dead_resources, ..Cut::default() })
    } else if !dead_names.is_empty() && is_dead(&verbs, &resources, &dead_names) {
        Some(Cut { names: dead_names, ..Cut::default() })
    } else {
        None
    }
}

/// Some items of a list.
fn at<'t>(list: &'t [Text], which: &BTreeSet<usize>) -> impl Iterator<Item = &'t Text> + Clone {
    which.iter().filter_map(|index| list.get(*index))
}

/// The same items, and those that say the same.
fn with_equals(list: &[Text], which: &BTreeSet<usize>) -> BTreeSet<usize> {
    let texts: BTreeSet<&str> = at(list, which).map(Text::as_str).collect();
    list.iter().enumerate().filter(|(_, text)| texts.contains(text.as_str())).map(|(index, _)| index).collect()
}

/// Items that stand in a list a second time.
pub(super) fn repeated(list: &[Text]) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    list.iter().enumerate().filter(|(_, text)| !seen.insert(text.as_str())).map(|(index, _)| index).collect()
}

/// What takes a verb away, whatever the rule says of others.
pub(super) fn without_verb(site: &Site<'_>) -> Mend {
    let verbs = with_equals(&site.rule.verbs, &BTreeSet::from([site.verb_index]));
    Mend { safety: Fix::Unsafe, is_dead: false, cut: Cut { verbs, ..Cut::default() } }
}

/// What takes names away from a rule that has no other verb than the site's; its verb, if no other name is left.
pub(super) fn without_names(site: &Site<'_>, is_meant: impl Fn(&str) -> bool) -> Option<Mend> {
    let names = site.rule.resource_names.iter().enumerate().filter(|(_, name)| is_meant(name.as_str()));
    let names: BTreeSet<usize> = names.map(|(index, _)| index).collect();
    if names.len() == site.rule.resource_names.len() {
        return Some(without_verb(site));
    }
    let alone = site.rule.verbs.iter().all(|verb| verb == site.verb());
    (alone && !names.is_empty()).then(|| Mend {
        safety: Fix::Unsafe,
        is_dead: false,
        cut: Cut { names, ..Cut::default() },
    })
}
