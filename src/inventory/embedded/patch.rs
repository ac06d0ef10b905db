//! Patches of Kustomize: what they are applied to, and the kustomizations that use them.
//!
//! A strategic merge patch of a role replaces its rules, and a JSON patch adds some: either is one more definition of the
//! role that it is applied to, held by whoever holds that role. A strategic merge patch in a file of its own is a manifest
//! like any other, and is read as one.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use smol_str::SmolStr;

use crate::inventory::embedding::{Carrier, Embedding, Form};
use crate::inventory::fields::fields;
use crate::inventory::object::{Binding, ObjectKind, ObjectMeta, Role, RoleRef, Text};
use crate::inventory::read::PartialBinding;
use crate::inventory::{Aside, Inventory};
use crate::syntax::{Node, NodeKind};

/// What a JSON patch is called that no kustomization uses.
pub(super) const LOOSE: &str = "JSON patch";

/// How many uses of one file are followed.
const MAX_USES: usize = 100;

/// What a patch is applied to.
#[derive(Debug, Clone)]
pub(in crate::inventory) struct Target {
    kind: ObjectKind,
    namespace: Option<SmolStr>,
    name: SmolStr,
}

/// A file that a kustomization applies as a patch.
#[derive(Debug)]
pub(in crate::inventory) struct Use {
    pub(super) path: String,
    pub(super) target: Option<Target>,
    pub(super) carrier: Carrier,
    pub(super) route: String,
}

impl Target {
    /// The role that `target` of a patch names; none for a selector that may stand for several, or for something else.
    pub(super) fn of(node: Option<Node<'_>>) -> Option<Self> {
        let [kind, namespace, name] = fields(node?, ["kind", "namespace", "name"]);
        let kind = ObjectKind::parse(&kind?.as_str()?)
            .filter(|kind| matches!(kind, ObjectKind::Role | ObjectKind::ClusterRole))?;
        let name = name?.as_str()?;
        // Kustomize reads the name as a regular expression.
        let is_literal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-.:_".contains(c));
        let namespace = namespace.and_then(Node::as_str).map(SmolStr::new);
        is_literal.then(|| Self { kind, namespace, name: SmolStr::new(name) })
    }

    fn is(&self, meta: &ObjectMeta) -> bool {
        (self.kind, self.name.as_str()) == (meta.kind, meta.name.as_str())
    }

    /// Gives what the patch says the name of what it is applied to.
    pub(super) fn name(&self, meta: &mut ObjectMeta) {
        meta.kind = self.kind;
        meta.name.value = self.name.clone();
        meta.namespace = self.namespace.clone().or(meta.namespace.take());
    }
}

/// Whether a list is a JSON patch (RFC 6902).
pub(super) fn is_patch(list: Node<'_>) -> bool {
    let mut items = list.items();
    let is_operation = |item: Node<'_>| {
        item.kind() == NodeKind::Mapping
            && fields(item, ["op", "path"]).iter().all(|field| field.is_some_and(|field| field.as_str().is_some()))
    };
    items.next().is_some_and(is_operation) && items.all(is_operation)
}

/// The path of a file that another one names, as reports have it.
pub(in crate::inventory) fn beside(path: &str, relative: &str) -> String {
    let mut parts: Vec<&str> =
        path.rsplit_once('/').map_or(Vec::new(), |(directory, _)| directory.split('/').collect());
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Tells the roles in files that kustomizations use as patches what they are applied to, and gives bindings without a role
/// that of the binding which they patch.
pub(in crate::inventory) fn resolve(inventory: &mut Inventory, uses: &[Use], partial: Vec<PartialBinding>) {
    let mut by_path: BTreeMap<&str, Vec<&Use>> = BTreeMap::new();
    for used in uses {
        by_path.entry(&used.path).or_default().push(used);
    }
    complete(inventory, &by_path, partial);
    if by_path.is_empty() {
        return;
    }
    for (path, uses) in by_path.iter().filter(|(_, uses)| uses.len() > MAX_USES) {
        let reason = format!("kustomizations apply it as a patch {} more times than are read", uses.len() - MAX_USES);
        inventory.coverage.aside.push(Aside { path: Arc::from(*path), line: None, reason });
    }
    let mut more = Vec::new();
    for role in &mut inventory.roles {
        let Some(uses) = by_path.get(&*role.meta.path) else { continue };
        match role.meta.embedded.as_deref() {
            // A strategic merge patch looks like the role that it is merged with, and is read as one; unless the
            // kustomization applies it to another.
            None => {
                let others =
                    uses.iter().filter(|used| used.target.as_ref().is_some_and(|target| !target.is(&role.meta)));
                more.extend(others.take(MAX_USES).map(|used| used.apply(role)));
            }
            Some(embedding) if embedding.form == Form::Patch && embedding.carrier.kind == LOOSE => {
                let mut patched =
                    uses.iter().take(MAX_USES).map(|used| used.apply(role)).collect::<Vec<_>>().into_iter();
                if let Some(first) = patched.next() {
                    *role = first;
                }
                more.extend(patched);
            }
            Some(_) => {}
        }
    }
    inventory.roles.extend(more);
}

/// Makes bindings of those without a role: each has that of the binding of its name. One that is no patch is a mistake.
fn complete(inventory: &mut Inventory, uses: &BTreeMap<&str, Vec<&Use>>, partial: Vec<PartialBinding>) {
    if partial.is_empty() {
        return;
    }
    let Inventory { bindings, problems, coverage, .. } = inventory;
    let mut known: HashMap<(ObjectKind, &str), Vec<&Binding>> = HashMap::new();
    for binding in bindings.iter() {
        known.entry((binding.meta.kind, binding.meta.name.as_str())).or_default().push(binding);
    }
    let mut more = Vec::new();
    for PartialBinding { mut meta, subjects, problem } in partial {
        let by = uses.get(&*meta.path).and_then(|uses| uses.first());
        let is_manifest = meta.embedded.as_deref().is_some_and(|embedding| embedding.form != Form::Patch);
        match by {
            Some(by) if meta.embedded.is_none() => meta.embedded = Some(by.embedding(by.route.clone())),
            None if meta.embedded.is_none() => {
                problems.push(problem);
                continue;
            }
            // Whoever applies it may fill the role in.
            _ if is_manifest => {
                let line = problem.place.map(|place| place.line);
                coverage.aside.push(Aside { path: problem.path, line, reason: problem.message });
                continue;
            }
            _ => {}
        }
        if subjects.is_empty() {
            continue;
        }
        let place = meta.name.place;
        let patched = known.get(&(meta.kind, meta.name.as_str())).map(Vec::as_slice).unwrap_or_default();
        // Kustomize may put the binding into a namespace, or the patch may name it.
        let fits = |other: &&&Binding| {
            meta.namespace.as_ref().zip(other.meta.namespace.as_ref()).is_none_or(|(own, other)| own == other)
        };
        let mut patched = patched.iter().filter(fits).take(MAX_USES).peekable();
        if patched.peek().is_none() {
            let reason = format!("{} adds subjects to a binding that is not here", meta.describe());
            coverage.aside.push(Aside::at(&meta.path, place.line, reason));
        }
        more.extend(patched.map(|binding| {
            let RoleRef { kind, name } = &binding.role_ref;
            let role_ref = RoleRef { kind: *kind, name: Text { value: name.value.clone(), place } };
            Binding { meta: meta.clone(), role_ref, subjects: subjects.clone() }
        }));
    }
    inventory.bindings.extend(more);
}

impl Use {
    fn embedding(&self, route: String) -> Arc<Embedding> {
        Arc::new(Embedding { form: Form::Patch, carrier: self.carrier.clone(), route })
    }

    fn apply(&self, role: &Role) -> Role {
        let mut role = role.clone();
        let route = match role.meta.embedded.as_deref() {
            Some(embedding) => format!("{}{}", self.route, embedding.route),
            None => self.route.clone(),
        };
        role.meta.embedded = Some(self.embedding(route));
        if let Some(target) = &self.target {
            target.name(&mut role.meta);
        }
        role
    }
}
