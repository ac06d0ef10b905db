//! Which binding reaches which role, and which definitions of an object are the same.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use rayon::prelude::*;
use smallvec::SmallVec;

use super::embedding::Form;
use super::object::{ObjectKind, ObjectMeta, Role, RoleKind};
use super::read::is_verb;
use super::suppression::SuppressedLines;
use super::{BindingId, Inventory, RoleId};
use crate::template::is_templated;

/// How many bindings that miss a role are remembered. They explain, and grant nothing; many roles and many bindings may
/// have one name.
const MAX_NEAR_MISSES: usize = 100;

/// How many roles with names that are filled in are compared with each binding that names none, and how many blocks of one
/// name with each call.
const MAX_FILLED_IN: usize = 1_000;

/// How many lists of rules in blocks of one name a call may mean. Helm takes one.
const MAX_BLOCKS: usize = 16;

/// How many pairs of a role and a binding that may be its own are remembered, all in all. The roles beyond that are told of
/// as held by nobody that is known.
const MAX_POSSIBLE: usize = 100_000;

/// How deep blocks with rules that call others are followed.
const MAX_CALLS: usize = 4;

/// Roles that every cluster has, so that a binding to one means no other.
const DEFAULT_ROLES: [&str; 4] = ["cluster-admin", "admin", "edit", "view"];

/// The bindings of every role.
#[derive(Debug)]
pub struct Links {
    bindings: Vec<Vec<BindingId>>,
    near_misses: Vec<Vec<BindingId>>,
    /// Which of the bindings may be one of the role, because templates fill in their names.
    possible: BTreeSet<(RoleId, BindingId)>,
}

/// A list that mostly has one element.
type Few<T> = SmallVec<[T; 1]>;

impl Links {
    /// Looks up the role of every binding.
    ///
    /// A role that is defined more than once, with different content, is looked up from the binding's directory
    /// upward: the first directory that has a definition anywhere below it decides, and all definitions there count.
    pub fn new(inventory: &Inventory) -> Self {
        let mut by_key: HashMap<RoleKey<'_>, Few<RoleId>, RandomState> = HashMap::default();
        let mut by_name: HashMap<&str, Few<RoleId>, RandomState> = HashMap::default();
        let referred: HashSet<&str, RandomState> =
            inventory.bindings.iter().map(|binding| binding.role_ref.name.as_str()).collect();
        // What has no name cannot be referred to: two names that are missing, or that a template fills in, are not the
        // same.
        for (id, role) in inventory.role_ids() {
            let name = role.meta.name.as_str();
            if name.is_empty() || !referred.contains(name) {
                continue;
            }
            by_key.entry(key_of_role(role)).or_default().push(id);
            by_name.entry(name).or_default().push(id);
        }
        // Bindings of one directory to one name share their answer.
        let mut groups: HashMap<(RoleKey<'_>, &str), Few<BindingId>, RandomState> = HashMap::default();
        let mut order = Vec::new();
        for (id, binding) in inventory.binding_ids().filter(|(_, binding)| !binding.role_ref.name.value.is_empty()) {
            let key = RoleKey {
                kind: binding.role_ref.kind,
                namespace: match binding.role_ref.kind {
                    Some(RoleKind::Role) => binding.meta.effective_namespace(),
                    _ => None,
                },
                // A ClusterRoleBinding cannot refer to a Role: the server looks for it in no namespace.
                reachable: binding.role_ref.kind != Some(RoleKind::Role)
                    || binding.meta.kind == ObjectKind::RoleBinding,
                name: binding.role_ref.name.as_str(),
            };
            // Beside a copy another role of that name may stand.
            let copies = binding.meta.copies.iter().map(|(path, _)| path);
            for path in std::iter::once(&binding.meta.path).chain(copies) {
                let group = (key, directory(path));
                let bindings = groups.entry(group).or_default();
                if bindings.is_empty() {
                    order.push(group);
                }
                if bindings.last() != Some(&id) {
                    bindings.push(id);
                }
            }
        }
        let mut bindings: Vec<Vec<BindingId>> = vec![Vec::new(); inventory.roles.len()];
        let mut near_misses: Vec<Vec<BindingId>> = vec![Vec::new(); inventory.roles.len()];
        let found: Vec<Option<Few<RoleId>>> =
            order.iter().map(|(key, from)| Some(nearest(inventory, by_key.get(key)?, from))).collect();
        let bound: HashSet<RoleId, RandomState> = found.iter().flatten().flatten().copied().collect();
        let filled_in = FilledIn::new(inventory, &bound);
        let mut possible = BTreeSet::new();
        for (group, targets) in order.into_iter().zip(found) {
            let (key, from) = group;
            let Some(members) = groups.get(&group) else { continue };
            if let Some(targets) = targets {
                targets.iter().for_each(|role| bindings[role.0].extend(members));
                continue;
            }
            let mut targets = filled_in.possible(inventory, &key, from);
            targets.truncate(MAX_POSSIBLE.saturating_sub(possible.len()));
            for role in &targets {
                bindings[role.0].extend(members);
                possible.extend(members.iter().map(|binding| (*role, *binding)));
            }
            if targets.is_empty() {
                for role in by_name.get(key.name).into_iter().flatten() {
                    let free = MAX_NEAR_MISSES.saturating_sub(near_misses[role.0].len());
                    near_misses[role.0].extend(members.iter().take(free));
                }
            }
        }
        // Whoever holds a role holds the rules of the blocks that it calls.
        let blocks = blocks(inventory);
        // Blocks call others: roles first, then as deep as any real chart.
        let callers =
            inventory.role_ids().filter(|(_, role)| role.meta.template.as_ref().is_some_and(|it| !it.calls.is_empty()));
        let callers: Vec<(RoleId, &Role)> = callers.collect();
        for (caller, role) in (0..MAX_CALLS).flat_map(|_| callers.iter().copied()) {
            for call in role.meta.template.iter().flat_map(|template| &template.calls) {
                let named = blocks.get(call.as_str()).map(Vec::as_slice).unwrap_or_default();
                let called =
                    named.iter().filter(|block| inventory.role(**block).meta.may_be_called_in(&role.meta.path));
                for block in called.take(MAX_BLOCKS) {
                    let held = bindings[caller.0].clone();
                    let known = &mut bindings[block.0];
                    known.extend(held);
                    known.sort_unstable();
                    known.dedup();
                }
            }
        }
        for list in bindings.iter_mut().chain(&mut near_misses) {
            list.sort_unstable();
            list.dedup();
        }
        Self { bindings, near_misses, possible }
    }

    /// Whether a binding is one of the role's only as far as can be told: a template fills in a name or a namespace.
    pub fn is_possible(&self, role: RoleId, binding: BindingId) -> bool {
        self.possible.contains(&(role, binding))
    }

    /// The bindings that grant a role.
    pub fn bindings_of(&self, role: RoleId) -> &[BindingId] {
        &self.bindings[role.0]
    }

    /// The bindings that grant nothing in this input, because their roleRef has the role's name, but another kind or
    /// namespace.
    pub fn near_misses_of(&self, role: RoleId) -> &[BindingId] {
        &self.near_misses[role.0]
    }
}

/// The rules in blocks of templates, by the names of these.
pub(super) fn blocks(inventory: &Inventory) -> HashMap<&str, Vec<RoleId>, RandomState> {
    let mut blocks: HashMap<&str, Vec<RoleId>, RandomState> = HashMap::default();
    for (id, role) in inventory.role_ids() {
        if let Some(name) = role.meta.embedded.as_deref().and_then(|embedding| embedding.carrier.block_name()) {
            let named = blocks.entry(name).or_default();
            if named.len() < MAX_FILLED_IN {
                named.push(id);
            }
        }
    }
    blocks
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RoleKey<'i> {
    kind: Option<RoleKind>,
    namespace: Option<&'i str>,
    reachable: bool,
    name: &'i str,
}

fn key_of_role(role: &Role) -> RoleKey<'_> {
    let kind = if role.meta.kind == ObjectKind::Role { RoleKind::Role } else { RoleKind::ClusterRole };
    RoleKey {
        kind: Some(kind),
        namespace: role.meta.effective_namespace(),
        reachable: true,
        name: role.meta.name.as_str(),
    }
}

/// The roles of which templates fill in a name or a namespace. A binding that names no role may mean one of them.
struct FilledIn {
    roles: Vec<RoleId>,
}

impl FilledIn {
    fn new(inventory: &Inventory, bound: &HashSet<RoleId, RandomState>) -> Self {
        // What some binding names outright is not what another one means that does not.
        // Nor does it matter who holds a role that impersonates nobody.
        let may_impersonate = |role: &Role| {
            let mut verbs = role.rules.iter().flat_map(|rule| &rule.verbs);
            role.aggregation.is_some()
                || verbs.any(|verb| is_verb(verb.as_str()) || verb.as_str() == "*" || verb.is_templated())
        };
        let roles = inventory
            .role_ids()
            .filter(|(id, role)| role.meta.template.is_some() && !bound.contains(id) && may_impersonate(role));
        Self { roles: roles.map(|(id, _)| id).take(MAX_FILLED_IN).collect() }
    }

    /// The roles that a binding in directory `from` may mean.
    fn possible(&self, inventory: &Inventory, key: &RoleKey<'_>, from: &str) -> Few<RoleId> {
        let is_default = DEFAULT_ROLES.contains(&key.name) || key.name.starts_with("system:");
        if self.roles.is_empty() || !key.reachable || is_default {
            return Few::new();
        }
        let around = parent(from).unwrap_or(from);
        let may_be = |id: &&RoleId| {
            let role = inventory.role(**id);
            let own = key_of_role(role);
            let same_namespace = own.namespace == key.namespace
                || [own.namespace, key.namespace].into_iter().flatten().any(is_templated);
            own.kind == key.kind
                && same_namespace
                && (own.name == key.name || may_be_equal(own.name, key.name))
                && stands_below(&role.meta, around)
        };
        self.roles.iter().filter(may_be).copied().collect()
    }
}

/// Whether two names of which a template fills in one or both may be the same: what is written of them fits.
fn may_be_equal(a: &str, b: &str) -> bool {
    // What stands before the first and behind the last mark; all of a name without marks.
    fn parts(name: &str) -> (&str, &str, bool) {
        match (name.find("{{"), name.rfind("}}")) {
            (Some(start), Some(end)) => (&name[..start], &name[end + 2..], true),
            _ => (name, name, is_templated(name)),
        }
    }
    let ((a_start, a_end, a_open), (b_start, b_end, b_open)) = (parts(a), parts(b));
    (a_open || b_open)
        && (a_start.starts_with(b_start) || b_start.starts_with(a_start))
        && (a_end.ends_with(b_end) || b_end.ends_with(a_end))
}

/// The candidates below the nearest directory, from `from` upward, that has one. What stands in other objects is looked up
/// beside the others, so that it cannot hide any; patches count wherever they stand.
fn nearest(inventory: &Inventory, candidates: &[RoleId], from: &str) -> Few<RoleId> {
    if candidates.len() < 2 {
        return candidates.into();
    }
    let form = |id: &RoleId| inventory.role(*id).meta.embedded.as_deref().map(|embedding| embedding.form);
    if candidates.iter().all(|id| form(id).is_none()) {
        return nearest_of(inventory, candidates, from);
    }
    let group = |wanted: &dyn Fn(Option<Form>) -> bool| -> Vec<RoleId> {
        candidates.iter().copied().filter(|id| wanted(form(id))).collect()
    };
    let mut found = nearest_of(inventory, &group(&|form| form.is_none()), from);
    found.extend(nearest_of(inventory, &group(&|form| matches!(form, Some(Form::Manifest | Form::Rules))), from));
    found.extend(group(&|form| form == Some(Form::Patch)));
    found
}

fn nearest_of(inventory: &Inventory, candidates: &[RoleId], from: &str) -> Few<RoleId> {
    if candidates.len() < 2 {
        return candidates.into();
    }
    let mut level = Some(from);
    while let Some(directory) = level {
        let hits: Few<RoleId> =
            candidates.iter().copied().filter(|id| stands_below(&inventory.role(*id).meta, directory)).collect();
        if !hits.is_empty() {
            return hits;
        }
        level = parent(directory);
    }
    candidates.into()
}

fn stands_below(meta: &ObjectMeta, directory: &str) -> bool {
    let below =
        |path: &str| directory.is_empty() || path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'));
    below(&meta.path) || meta.copies.iter().any(|(path, _)| below(path))
}

fn directory(path: &str) -> &str {
    path.rfind('/').map_or("", |at| &path[..at])
}

fn parent(directory: &str) -> Option<&str> {
    (!directory.is_empty()).then(|| self::directory(directory))
}

/// Makes one of identical definitions of the same object: the first stays and knows where the others are.
pub(super) fn merge_copies(inventory: &mut Inventory) {
    // What a comment may be about has findings of its own.
    let suppressed = SuppressedLines::new(&inventory.suppressions);
    merge(
        &mut inventory.roles,
        |role| &role.meta,
        |role| &mut role.meta,
        |role| suppressed.has_role(role),
        Role::same_as,
        |role, state| {
            role.meta.labels.hash(state);
            role.rules.len().hash(state);
            for rule in &role.rules {
                (&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls)
                    .hash(state);
            }
        },
    );
    merge(
        &mut inventory.bindings,
        |binding| &binding.meta,
        |binding| &mut binding.meta,
        |binding| suppressed.has_binding(binding),
        super::Binding::same_as,
        |binding, state| {
            binding.role_ref.kind.hash(state);
            binding.role_ref.name.hash(state);
            for subject in &binding.subjects {
                (&subject.namespace, &subject.name).hash(state);
            }
        },
    );
}

fn merge<T: Send + Sync>(
    objects: &mut Vec<T>,
    meta: impl Fn(&T) -> &ObjectMeta + Sync,
    meta_mut: impl Fn(&mut T) -> &mut ObjectMeta,
    is_suppressed: impl Fn(&T) -> bool,
    same: impl Fn(&T, &T) -> bool,
    content: impl Fn(&T, &mut foldhash::fast::FoldHasher<'_>) + Sync,
) {
    let state = RandomState::default();
    let hash = |object: &T| {
        let mut hasher = state.build_hasher();
        let own = meta(object);
        (own.kind, own.effective_namespace(), &own.name).hash(&mut hasher);
        content(object, &mut hasher);
        hasher.finish()
    };
    let hashes: Vec<u64> = objects.par_iter().with_min_len(1024).map(hash).collect();
    let mut first: HashMap<u64, Few<usize>, RandomState> =
        HashMap::with_capacity_and_hasher(objects.len(), RandomState::default());
    // Each copy, and of what.
    let mut copies: Vec<(usize, usize)> = Vec::new();
    for (index, hash) in hashes.into_iter().enumerate() {
        // Nothing can refer to an object without a name, so two of them need not be the same one.
        let own = meta(&objects[index]);
        let nameless = own.embedded.as_deref().is_some_and(|embedding| embedding.carrier.name.is_empty());
        if own.name.value.is_empty() || nameless || is_suppressed(&objects[index]) {
            continue;
        }
        let known = first.entry(hash).or_default();
        match known.iter().find(|known| same(&objects[**known], &objects[index])) {
            Some(original) => copies.push((index, *original)),
            None => known.push(index),
        }
    }
    for (copy, original) in &copies {
        let own = meta(&objects[*copy]);
        let place = (Arc::clone(&own.path), own.name.place);
        meta_mut(&mut objects[*original]).copies.push(place);
    }
    let mut copies = copies.into_iter().map(|(copy, _)| copy).peekable();
    let mut index = 0;
    objects.retain(|_| {
        let is_copy = copies.next_if_eq(&index).is_some();
        index += 1;
        !is_copy
    });
}

#[cfg(test)]
mod tests {
    use super::super::load_bytes;
    use super::*;

    fn combine(files: &[(&str, &str)]) -> Inventory {
        let mut all = Inventory::default();
        for (name, text) in files {
            let part = load_bytes(name, text.as_bytes());
            assert_eq!(part.problems, []);
            all.roles.extend(part.roles);
            all.bindings.extend(part.bindings);
        }
        merge_copies(&mut all);
        all
    }

    const ROLE: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\nrules: [{verbs: [VERB], apiGroups: [\"\"], resources: [users]}]\n";
    const BINDING: &str = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: NAME}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: a}\nsubjects: [{kind: User, name: u}]\n";

    #[test]
    fn identical_definitions_are_one_and_remember_their_places() {
        let role = ROLE.replace("VERB", "impersonate");
        let all = combine(&[("x/a.yaml", &role), ("y/a.yaml", &role), ("z/a.yaml", &ROLE.replace("VERB", "get"))]);
        assert_eq!(all.roles.len(), 2);
        assert_eq!(all.roles[0].meta.copies.len(), 1);
        assert_eq!(&*all.roles[0].meta.copies[0].0, "y/a.yaml");
    }

    #[test]
    fn a_role_is_looked_up_from_the_bindings_directory_upward() {
        let all = combine(&[
            ("one/bindings/b.yaml", &BINDING.replace("NAME", "one")),
            ("one/roles/a.yaml", &ROLE.replace("VERB", "impersonate")),
            ("two/roles/a.yaml", &ROLE.replace("VERB", "get")),
            ("b.yaml", &BINDING.replace("NAME", "both")),
        ]);
        let links = Links::new(&all);
        assert_eq!(links.bindings_of(RoleId(0)), [BindingId(0), BindingId(1)]);
        assert_eq!(links.bindings_of(RoleId(1)), [BindingId(1)]);
    }

    #[test]
    fn a_copy_of_a_binding_reaches_the_role_beside_it() {
        let binding = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\n\
                       roleRef: {kind: ClusterRole, name: x}\nsubjects: [{kind: User, name: bob}]\n";
        let role = |verb: &str| {
            format!(
                "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: x}}\n\
                 rules: [{{apiGroups: [''], resources: [users], verbs: [{verb}]}}]\n{binding}"
            )
        };
        let inventory = combine(&[("a/x.yaml", &role("get")), ("b/x.yaml", &role("impersonate"))]);
        assert_eq!((inventory.roles.len(), inventory.bindings.len()), (2, 1));
        let links = Links::new(&inventory);
        for (id, _) in inventory.role_ids() {
            assert_eq!(links.bindings_of(id).len(), 1);
        }
    }

    #[test]
    fn missing_names_are_not_the_same_name() {
        let role = ROLE.replace("VERB", "impersonate").replace("{name: a}", "{name: }");
        let binding = BINDING.replace("NAME", "b").replace("name: a}", "name: \"\"}");
        let mut all = load_bytes("r.yaml", format!("{role}---\n{binding}").as_bytes());
        merge_copies(&mut all);
        assert_eq!((all.roles.len(), all.bindings.len()), (1, 1));
        let links = Links::new(&all);
        assert!(links.bindings_of(RoleId(0)).is_empty() && links.near_misses_of(RoleId(0)).is_empty());
    }

    #[test]
    fn a_binding_of_another_kind_or_namespace_is_a_near_miss() {
        let role =
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: a, namespace: one}\nrules: []\n";
        let other = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: two}\nroleRef: {kind: Role, name: a}\nsubjects: []\n";
        let cluster = other.replace("RoleBinding", "ClusterRoleBinding");
        let all = combine(&[
            ("r.yaml", role),
            ("o.yaml", other),
            ("c.yaml", &cluster),
            ("x.yaml", &BINDING.replace("NAME", "x")),
        ]);
        let links = Links::new(&all);
        assert!(links.bindings_of(RoleId(0)).is_empty());
        assert_eq!(links.near_misses_of(RoleId(0)).len(), 3);
    }
}
