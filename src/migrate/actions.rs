//! What an impersonator does in a mode, as rules.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::manifest::{Scope, texts};
use crate::authority::{DISCOVERY_PATHS, Mode, is_dns_label, url_pattern_matches};
use crate::evidence::{ActionRule, DeclaredAction, OwnedRequest};
use crate::inventory::PolicyRule;

/// What is done: observed requests without what tells one object from another, and declared rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Doing {
    /// By scope, API group and resource with its subresource: the verbs.
    resources: BTreeMap<(Scope, SmolStr, SmolStr), BTreeSet<SmolStr>>,
    /// By path: the verbs.
    paths: BTreeMap<SmolStr, BTreeSet<SmolStr>>,
    declared: BTreeSet<(Scope, ActionRule)>,
}

impl Doing {
    /// Adds an observed request: in its namespace, or everywhere if it has none.
    pub fn add(&mut self, request: &OwnedRequest) {
        let verb = SmolStr::new(&request.verb);
        if !request.path.is_empty() {
            self.paths.entry(SmolStr::new(&request.path)).or_default().insert(verb);
            return;
        }
        // The server authorizes a request before it looks whether there can be such a namespace; a Role cannot be there.
        let scope = match request.namespace.as_str() {
            namespace if !is_dns_label(namespace) => Scope::Cluster,
            namespace => Scope::Namespace(Some(namespace.into())),
        };
        let resource = match request.subresource.as_str() {
            "" => SmolStr::new(&request.resource),
            subresource => format!("{}/{subresource}", request.resource).into(),
        };
        self.resources.entry((scope, SmolStr::new(&request.api_group), resource)).or_default().insert(verb);
    }

    /// Makes everything that was observed hold in all namespaces.
    pub fn spread(&mut self) {
        for ((_, group, resource), verbs) in std::mem::take(&mut self.resources) {
            self.resources.entry((Scope::Cluster, group, resource)).or_default().extend(verbs);
        }
    }

    /// Adds what is declared.
    pub fn declare(&mut self, action: &DeclaredAction) {
        let scope = match &action.namespace {
            Some(namespace) => Scope::Namespace(Some(namespace.clone())),
            None => Scope::Cluster,
        };
        self.declared.extend(action.rules.iter().map(|rule| (scope.clone(), rule.clone())));
    }
}

/// Adds the rules for what is done in a mode, each in the scope of the requests; discovery always.
pub(super) fn rules(mode: Mode, doing: &Doing, scopes: &mut BTreeMap<Scope, Vec<PolicyRule>>) {
    let mut all: BTreeSet<(Scope, ActionRule)> = doing.declared.clone();
    all.extend(observed_rules(doing));
    let action_verbs =
        |verbs: &[SmolStr]| texts(verbs.iter().filter_map(|verb| mode.action_verb(verb)).map(SmolStr::from));
    for (scope, action) in all {
        scopes.entry(scope).or_default().push(PolicyRule {
            api_groups: texts(action.api_groups),
            resources: texts(action.resources),
            non_resource_urls: texts(action.non_resource_urls),
            verbs: action_verbs(&action.verbs),
            ..PolicyRule::default()
        });
    }
    scopes.entry(Scope::Cluster).or_default().push(PolicyRule {
        non_resource_urls: texts(DISCOVERY_PATHS),
        verbs: action_verbs(&[SmolStr::new_static("get")]),
        ..PolicyRule::default()
    });
}

/// Observed requests as rules: resources of one group with the same verbs are one.
fn observed_rules(doing: &Doing) -> Vec<(Scope, ActionRule)> {
    let mut rules: BTreeMap<(Scope, SmolStr, Vec<SmolStr>), Vec<SmolStr>> = BTreeMap::new();
    for ((scope, group, resource), verbs) in &doing.resources {
        // What is done everywhere need not be granted in one namespace again.
        let everywhere = doing.resources.get(&(Scope::Cluster, group.clone(), resource.clone()));
        let covered = |verb: &&SmolStr| *scope != Scope::Cluster && everywhere.is_some_and(|all| all.contains(*verb));
        let verbs: Vec<SmolStr> = verbs.iter().filter(|verb| !covered(verb)).cloned().collect();
        if !verbs.is_empty() {
            rules.entry((scope.clone(), group.clone(), verbs)).or_default().push(resource.clone());
        }
    }
    let resources = rules.into_iter().map(|((scope, group, verbs), resources)| {
        (scope, ActionRule { api_groups: vec![group], resources, verbs, ..ActionRule::default() })
    });
    let mut paths: BTreeMap<Vec<SmolStr>, Vec<SmolStr>> = BTreeMap::new();
    for (path, verbs) in &doing.paths {
        let verbs: Vec<SmolStr> =
            verbs.iter().filter(|verb| !(*verb == "get" && is_discovery(path))).cloned().collect();
        if !verbs.is_empty() {
            paths.entry(verbs).or_default().push(path.clone());
        }
    }
    let paths = paths.into_iter().map(|(verbs, non_resource_urls)| {
        (Scope::Cluster, ActionRule { non_resource_urls, verbs, ..ActionRule::default() })
    });
    resources.chain(paths).collect()
}

fn is_discovery(path: &str) -> bool {
    DISCOVERY_PATHS.into_iter().any(|known| url_pattern_matches(known, path))
}
