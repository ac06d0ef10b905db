//! The rules of aggregated ClusterRoles.
//!
//! On a cluster, kube-controller-manager overwrites the rules of a ClusterRole that has an `aggregationRule` with the
//! union of the roles its selectors match (`pkg/controller/clusterroleaggregation`). In files nobody has done that yet.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::object::{ObjectKind, PolicyRule, Requirement, Role, SelectorOperator};
use super::{Inventory, RoleId};

/// How many comparisons of a role with a selector are made before aggregation is given up: input is hostile, and each
/// pair of roles may match.
const MAX_COMPARISONS: usize = 5_000_000;

/// The roles whose rules make up each role.
#[derive(Debug)]
pub struct RoleRules {
    contributors: Vec<Vec<RoleId>>,
    complete: bool,
}

/// One rule of a role, and the role in which it is written.
#[derive(Debug, Clone, Copy)]
pub struct Contribution<'i> {
    /// The role that holds the rule: the role itself, or a contributor to an aggregated one.
    pub from: RoleId,
    /// Index of the rule there.
    pub index: usize,
    /// The rule.
    pub rule: &'i PolicyRule,
}

impl RoleRules {
    /// Resolves all aggregation rules of an input, through several levels where an aggregated role contributes to
    /// another.
    pub fn new(inventory: &Inventory) -> Self {
        let mut resolver = Resolver::new(inventory);
        let contributors = inventory.role_ids().map(|(id, _)| resolver.leaves(id)).collect();
        Self { contributors, complete: resolver.comparisons < MAX_COMPARISONS }
    }

    /// Whether all aggregation rules were resolved. Hostile input may have more than can be.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The roles whose rules a role has, in the order of their places: itself alone, or its contributors.
    pub fn contributors(&self, role: RoleId) -> &[RoleId] {
        &self.contributors[role.0]
    }

    /// The rules of a role.
    pub fn of<'i>(&'i self, inventory: &'i Inventory, role: RoleId) -> impl Iterator<Item = Contribution<'i>> {
        self.contributors(role).iter().flat_map(move |from| {
            let rules = inventory.role(*from).rules.iter().enumerate();
            rules.map(|(index, rule)| Contribution { from: *from, index, rule })
        })
    }
}

struct Resolver<'i> {
    inventory: &'i Inventory,
    /// ClusterRoles by one of their labels.
    by_label: HashMap<(&'i str, &'i str), Vec<RoleId>>,
    cluster_roles: Vec<RoleId>,
    /// What each aggregated role selects, as far as it was asked.
    matched: HashMap<RoleId, Rc<BTreeSet<RoleId>>>,
    /// Which aggregated roles keep the rules that are written in them.
    keeps: HashMap<RoleId, bool>,
    comparisons: usize,
}

impl<'i> Resolver<'i> {
    fn new(inventory: &'i Inventory) -> Self {
        let mut by_label: HashMap<_, Vec<RoleId>> = HashMap::new();
        let mut cluster_roles = Vec::new();
        for (id, role) in inventory.role_ids().filter(|(_, role)| role.meta.kind == ObjectKind::ClusterRole) {
            cluster_roles.push(id);
            for (key, value) in &role.meta.labels {
                by_label.entry((key.as_str(), value.as_str())).or_default().push(id);
            }
        }
        Self { inventory, by_label, cluster_roles, matched: HashMap::new(), keeps: HashMap::new(), comparisons: 0 }
    }

    /// The roles whose rules make up those of `role`: itself if it aggregates nothing, else what stands at the ends of
    /// the chains of aggregation that start there.
    fn leaves(&mut self, role: RoleId) -> Vec<RoleId> {
        if self.inventory.role(role).aggregation.is_none() {
            return vec![role];
        }
        let mut leaves = BTreeSet::new();
        for reached in self.reachable(role) {
            if self.inventory.role(reached).aggregation.is_none() || self.keeps_own_rules(reached) {
                leaves.insert(reached);
            }
        }
        leaves.into_iter().collect()
    }

    /// Whether the controller leaves an aggregated role alone: it does where there is no rule to aggregate
    /// (`syncClusterRole`). Where roles with rules of their own select each other in a circle, it never comes to rest.
    fn keeps_own_rules(&mut self, role: RoleId) -> bool {
        if let Some(known) = self.keeps.get(&role) {
            return *known;
        }
        let reachable = self.reachable(role);
        let keeps = reachable.into_iter().all(|other| other == role || self.inventory.role(other).rules.is_empty());
        self.keeps.insert(role, keeps);
        keeps
    }

    /// `role` and all roles that it selects, directly or through others.
    fn reachable(&mut self, role: RoleId) -> BTreeSet<RoleId> {
        let mut seen = BTreeSet::from([role]);
        let mut open = vec![role];
        while let Some(next) = open.pop() {
            if self.inventory.role(next).aggregation.is_none() {
                continue;
            }
            let matched = self.matches(next);
            self.comparisons += matched.len();
            if self.comparisons >= MAX_COMPARISONS {
                break;
            }
            open.extend(matched.iter().filter(|contributor| seen.insert(**contributor)));
        }
        seen
    }

    /// The ClusterRoles that an aggregated one selects; never itself.
    fn matches(&mut self, role: RoleId) -> Rc<BTreeSet<RoleId>> {
        if let Some(known) = self.matched.get(&role) {
            return Rc::clone(known);
        }
        let matched = Rc::new(self.compare(role));
        self.matched.insert(role, Rc::clone(&matched));
        matched
    }

    fn compare(&mut self, role: RoleId) -> BTreeSet<RoleId> {
        let inventory = self.inventory;
        let own: &Role = inventory.role(role);
        let mut matched = BTreeSet::new();
        for selector in own.aggregation.iter().flat_map(|rule| &rule.selectors) {
            let candidates = match selector.requirements.iter().find_map(exact) {
                Some(label) => self.by_label.get(&label).map_or(&[][..], Vec::as_slice),
                None => &self.cluster_roles,
            };
            for candidate in candidates {
                self.comparisons += 1;
                if self.comparisons >= MAX_COMPARISONS {
                    return matched;
                }
                let meta = &inventory.role(*candidate).meta;
                // What stands in another object must not change what those say that are applied themselves.
                let is_beside = meta.embedded.is_some() == own.meta.embedded.is_some();
                if is_beside && meta.name != own.meta.name && selector.matches(meta) {
                    matched.insert(*candidate);
                }
            }
        }
        matched
    }
}

/// The one label that a requirement asks for.
fn exact(requirement: &Requirement) -> Option<(&str, &str)> {
    match (requirement.operator, requirement.values.as_slice()) {
        (SelectorOperator::In, [value]) => Some((&requirement.key, value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::load_bytes;
    use super::*;

    fn resolve(text: &str) -> Vec<Vec<String>> {
        let inventory = load_bytes("t.yaml", text.as_bytes());
        assert_eq!(inventory.problems, []);
        let rules = RoleRules::new(&inventory);
        assert!(rules.is_complete());
        let name = |id: &RoleId| inventory.role(*id).meta.name.value.to_string();
        inventory.role_ids().map(|(id, _)| rules.contributors(id).iter().map(name).collect()).collect()
    }

    fn role(name: &str, labels: &str, selector: &str) -> String {
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n{}",
            if selector.is_empty() {
                "rules: [{verbs: [get], nonResourceURLs: [/x]}]\n".to_owned()
            } else {
                format!("aggregationRule: {{clusterRoleSelectors: [{selector}]}}\n")
            }
        )
    }

    #[test]
    fn contributors_are_followed_through_chains_and_cycles() {
        let text = role("leaf", "to: mid", "")
            + &role("mid", "to: top", "{matchLabels: {to: mid}}")
            + &role("top", "to: mid", "{matchExpressions: [{key: to, operator: In, values: [top, x]}]}")
            + &role("other", "", "{matchLabels: {to: nobody}}");
        assert_eq!(resolve(&text), [vec!["leaf"], vec!["leaf"], vec!["leaf"], vec!["other"]]);
    }

    #[test]
    fn where_there_is_nothing_to_aggregate_own_rules_stay() {
        let text = role("bare", "to: mid", "").replace("rules: [{verbs: [get], nonResourceURLs: [/x]}]", "rules: []")
            + &role("mid", "to: top", "{matchLabels: {to: mid}}")
            + "rules: [{verbs: [list], nonResourceURLs: [/y]}]\n"
            + &role("top", "", "{matchLabels: {to: top}}");
        assert_eq!(resolve(&text), [vec!["bare"], vec!["bare", "mid"], vec!["bare", "mid"]]);
    }

    #[test]
    fn an_empty_selector_matches_all_and_no_selector_none() {
        let text = role("a", "", "") + &role("all", "", "{}") + &role("b", "x: z", "");
        assert_eq!(resolve(&text), [vec!["a"], vec!["a", "b"], vec!["b"]]);
    }

    #[test]
    fn every_operator() {
        let text = role("a", "k: v", "")
            + &role("b", "k: w", "")
            + &role("c", "", "")
            + &role("exists", "z: z", "{matchExpressions: [{key: k, operator: Exists}]}")
            + &role(
                "absent",
                "z: z",
                "{matchExpressions: [{key: k, operator: DoesNotExist}, {key: z, operator: DoesNotExist}]}",
            )
            + &role(
                "not",
                "z: z",
                "{matchExpressions: [{key: k, operator: NotIn, values: [v]}, {key: z, operator: NotIn, values: [z]}]}",
            );
        assert_eq!(resolve(&text)[3..], [vec!["a", "b"], vec!["c"], vec!["b", "c"]]);
    }
}
