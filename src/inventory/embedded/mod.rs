//! RBAC that is written in other objects: manifests in ConfigMaps, Secrets and Ansible tasks, lists of rules in custom
//! resources, patches (`docs/embedded.md`).
//!
//! One walk over the trees of a document, after the objects that stand there themselves were read. What a carrier makes of
//! a list of rules, and who holds it then, is told in [`holder`]; where no carrier says so, nothing binds the list.

mod command;
mod controller;
mod holder;
mod kustomization;
mod mention;
mod patch;
mod script;
#[cfg(test)]
mod tests;

pub(super) use mention::account;
pub use mention::{Mention, MentionReason};
pub(super) use patch::{Use, beside, resolve};

use std::cell::Cell;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use smol_str::SmolStr;

use super::Aside;
use super::embedding::{Carrier, Embedding, Form, push_index, push_key};
use super::fields::{fields, filled_in};
use super::object::{Binding, ObjectKind, ObjectMeta, Role, RoleKind, RoleRef, Text, abbreviate};
use super::read::{Contents, read_embedded, read_rules};
use super::template::{TemplateView, Templated, Unknown};
use crate::problem::{Problem, ProblemKind};
use crate::source::{Piece, is_kustomization, may_hold_rbac, split_documents, unpack};
use crate::syntax::{BASE64, LineIndex, Node, NodeKind, PlaceMap, Tree, parse_nested};
use crate::template::{is_templated, may_grant};
use command::{Command, Word};
use holder::Holding;
use patch::Target;

/// How deep mappings and lists are followed. No API has objects that are deeper.
const MAX_DEPTH: usize = 64;
/// How deep manifests in strings of manifests are followed.
const MAX_TEXT_DEPTH: usize = 4;
/// How many bytes of strings are looked at in a document, beyond what is written in it: with aliases, one string may stand
/// in many places.
const MIN_BUDGET: usize = 1 << 20;

/// Reports whether an object grants nothing, though something in it looks like a rule of a role: it says which requests are
/// counted, logged, asked about or refused, or what a value may look like. KubeSphere's roles are for its own API.
fn grants_nothing(carrier: &Carrier) -> bool {
    matches!(
        carrier.group(),
        "flowcontrol.apiserver.k8s.io"
            | "audit.k8s.io"
            | "authorization.k8s.io"
            | "admissionregistration.k8s.io"
            | "constraints.gatekeeper.sh"
            | "templates.gatekeeper.sh"
            | "policies.kubewarden.io"
            | "iam.kubesphere.io"
    ) || (carrier.kind == "CustomResourceDefinition" && carrier.group() == "apiextensions.k8s.io")
}

/// What was found out on a walk over a document.
#[derive(Debug, Default)]
pub(super) struct Opened {
    /// The strings that were read as documents.
    pub(super) opened: HashSet<u32>,
    /// What is not known of it as a template.
    pub(super) unknown: Vec<Unknown>,
    /// Where objects stand that grant nothing, whatever is written in them.
    pub(super) harmless: Vec<Range<usize>>,
}

/// Reads what stands embedded in a document into `contents`. Of a template it needs a view, and where the objects begin
/// that were read already.
pub(super) fn read(
    tree: &Tree<'_>,
    path: &Arc<str>,
    view: Option<(TemplateView<'_>, HashSet<usize>)>,
    contents: &mut Contents,
) -> Opened {
    let budget = Cell::new(Some(tree.text().len().saturating_mul(MAX_TEXT_DEPTH).saturating_add(MIN_BUDGET)));
    let mut walker = Walker::new(path, contents, &budget);
    if let Some((view, own)) = view {
        (walker.view, walker.own) = (Some(view), own);
    }
    if let Some(root) = tree.root()
        && !is_own(root)
    {
        let block = walker.view.as_ref().and_then(|view| view.block);
        match block.filter(|_| walker.own.is_empty() && object_of(root, None).is_none()) {
            Some(block) => walker.value(root, &Context::new(Carrier::block(block, root)), root, 0),
            None => walker.document(root, None),
        }
    }
    let unknown = walker.view.map(TemplateView::into_unknown).unwrap_or_default();
    Opened { opened: walker.opened, unknown, harmless: walker.harmless }
}

/// Whether a document is an RBAC object itself, as most that are read are.
fn is_own(root: Node<'_>) -> bool {
    let [kind, api_version] = fields(root, ["kind", "apiVersion"]).map(|node| node.and_then(Node::as_str));
    kind.zip(api_version).is_some_and(|(kind, api_version)| super::read::is_rbac(&kind, &api_version))
}

/// The object that a mapping is, if it has a kind and an API version.
fn object_of(node: Node<'_>, inherited: Option<(&str, &str)>) -> Option<Carrier> {
    let [kind, api_version, metadata] = fields(node, ["kind", "apiVersion", "metadata"]);
    let text = |node: Option<Node<'_>>| node.and_then(Node::as_str).map(SmolStr::new);
    let kind = text(kind)
        .or_else(|| kind.and_then(filled_in).map(SmolStr::new))
        .or(inherited.map(|(kind, _)| SmolStr::new(kind)))?;
    let api_version = text(api_version).or(inherited.map(|(_, version)| SmolStr::new(version)))?;
    let [name, namespace] = metadata.map_or([None; 2], |metadata| fields(metadata, ["name", "namespace"]));
    let namespace = text(namespace).filter(|namespace| !namespace.is_empty());
    Some(Carrier { api_version, kind: kind.clone(), namespace, ..Carrier::other(&kind, name, node) })
}

/// What is known of the carrier while it is walked.
#[derive(Clone)]
struct Context {
    carrier: Arc<Carrier>,
    holding: Holding,
    /// Set within a patch: what it is applied to, as far as that is said.
    patch: Option<Option<Target>>,
}

impl Context {
    fn new(carrier: Carrier) -> Self {
        Self { carrier: Arc::new(carrier), holding: Holding::Unknown, patch: None }
    }

    fn in_patch(&self, target: Option<Target>) -> Self {
        Self { patch: Some(target), ..self.clone() }
    }
}

struct Walker<'w> {
    path: &'w Arc<str>,
    contents: &'w mut Contents,
    /// How many bytes of strings may still be looked at; none once that was too much.
    budget: &'w Cell<Option<usize>>,
    /// How many strings the document stands in.
    text_depth: usize,
    /// The strings of the carrier that were read: what several aliases stand for is read once.
    seen: HashSet<u32>,
    /// All strings that were read as documents.
    opened: HashSet<u32>,
    /// Where in the carrier the walk is.
    route: String,
    /// The template in which the document stands.
    view: Option<TemplateView<'w>>,
    /// Where objects begin in it that stand there themselves.
    own: HashSet<usize>,
    /// Where objects stand that grant nothing.
    harmless: Vec<Range<usize>>,
}

impl<'w> Walker<'w> {
    fn new(path: &'w Arc<str>, contents: &'w mut Contents, budget: &'w Cell<Option<usize>>) -> Self {
        Self {
            path,
            contents,
            budget,
            text_depth: 0,
            seen: HashSet::new(),
            opened: HashSet::new(),
            route: String::new(),
            view: None,
            own: HashSet::new(),
            harmless: Vec::new(),
        }
    }
}

impl Walker<'_> {
    fn document(&mut self, root: Node<'_>, outer: Option<&Context>) {
        match (root.kind(), outer) {
            (NodeKind::Mapping, _) => self.object(root, None, outer, 0),
            (NodeKind::Sequence, _) if patch::is_patch(root) => {
                let context = outer.cloned().unwrap_or_else(|| Context::new(Carrier::other(patch::LOOSE, None, root)));
                let target = context.patch.clone().flatten();
                self.patch(root, &context.in_patch(target), 0);
            }
            (NodeKind::Sequence, Some(context)) => self.items(root, 0, &mut |walker, item, depth| {
                walker.object(item, None, Some(context), depth);
            }),
            (NodeKind::Sequence, None) => self.loose(root, 0),
            _ => {}
        }
    }

    /// A document that is no object: values of a chart or of another tool, tasks of Ansible, machine configuration. Objects in
    /// it, and manifests in its strings, are what someone applies.
    fn loose(&mut self, root: Node<'_>, depth: usize) {
        // A template is read for its tasks alone: what else is in it stands where it is rendered.
        let context = self.view.is_none().then(|| Context::new(Carrier::other(LOOSE, None, root)));
        self.tasks(root, context.as_ref(), depth);
    }

    fn items<'t>(&mut self, list: Node<'t>, depth: usize, visit: &mut dyn FnMut(&mut Self, Node<'t>, usize)) {
        for (index, item) in list.items().enumerate() {
            let length = self.route.len();
            push_index(&mut self.route, index);
            visit(self, item, depth + 1);
            self.route.truncate(length);
        }
    }

    fn entries<'t>(
        &mut self,
        mapping: Node<'t>,
        depth: usize,
        visit: &mut dyn FnMut(&mut Self, &str, Node<'t>, usize),
    ) {
        for entry in mapping.entries() {
            let key = entry.key.as_str().unwrap_or_else(|| entry.key.source().into());
            let length = self.route.len();
            push_key(&mut self.route, &key);
            visit(self, &key, entry.value, depth + 1);
            self.route.truncate(length);
        }
    }

    /// An object, or a list of them. `outer` is what it stands in; without, it is a document of a file.
    fn object(&mut self, node: Node<'_>, inherited: Option<(&str, &str)>, outer: Option<&Context>, depth: usize) {
        if node.kind() != NodeKind::Mapping || depth > MAX_DEPTH {
            return;
        }
        let Some(carrier) = object_of(node, inherited) else {
            if outer.is_none() && is_kustomization(self.path) {
                let carrier = Carrier { name: SmolStr::new(self.path), ..Carrier::other("Kustomization", None, node) };
                return self.walk_carrier(node, carrier, depth);
            }
            return match outer {
                None => self.loose(node, depth),
                // Not an object, so it is a part of the carrier, if it is not the text of a string there.
                Some(context) => self.parts(node, context, depth),
            };
        };
        if let Some(item_kind) = carrier.kind.strip_suffix("List")
            && let [Some(items)] = fields(node, ["items"])
        {
            let inherited = Some((item_kind, carrier.api_version.as_str()));
            return self.items(items, depth, &mut |walker, item, depth| walker.object(item, inherited, outer, depth));
        }
        if super::read::is_rbac(&carrier.kind, &carrier.api_version) || self.own.contains(&node.range().start) {
            // What stands in a document of its own was read already. A policy that makes objects names their type beside
            // the name, and has no metadata: it is a part of its carrier.
            return match outer {
                None => {}
                Some(context) if has_metadata(node) => self.manifest(node, inherited, context),
                Some(context) => self.parts(node, context, depth),
            };
        }
        let (route, seen) = (std::mem::take(&mut self.route), std::mem::take(&mut self.seen));
        self.walk_carrier(node, carrier, depth);
        (self.route, self.seen) = (route, seen);
    }

    /// An RBAC object that stands in another one.
    fn manifest(&mut self, node: Node<'_>, inherited: Option<(&str, &str)>, context: &Context) {
        let form = if context.patch.is_some() { Form::Patch } else { Form::Manifest };
        let first = self.contents.roles.len();
        let embedding = self.embedding(form, context);
        read_embedded(node, inherited, self.path, embedding, &mut self.view, self.contents);
        if let Some(Some(target)) = &context.patch {
            for role in self.contents.roles.iter_mut().skip(first) {
                target.name(&mut role.meta);
            }
        }
    }

    fn embedding(&self, form: Form, context: &Context) -> Arc<Embedding> {
        Arc::new(Embedding { form, carrier: (*context.carrier).clone(), route: self.route.clone() })
    }

    fn walk_carrier(&mut self, node: Node<'_>, carrier: Carrier, depth: usize) {
        if grants_nothing(&carrier) {
            self.harmless.push(node.range());
            // But of whatever has items, `kubectl` takes these.
            let [items] = fields(node, ["items"]);
            let context = Context::new(carrier);
            return items.into_iter().for_each(|items| {
                self.items(items, depth, &mut |walker, item, depth| walker.object(item, None, Some(&context), depth));
            });
        }
        let (is_secret, is_config_map) = (
            carrier.kind == "Secret" && carrier.api_version == "v1",
            carrier.kind == "ConfigMap" && carrier.api_version == "v1",
        );
        let of_kustomize = carrier.group() == "kustomize.config.k8s.io" || is_kustomization(self.path);
        let is_builtin = carrier.api_version == "builtin";
        // Its own transformers may be written in it.
        let is_own = self.text_depth == 0 && is_kustomization(self.path) || is_builtin && self.text_depth <= 1;
        if depth == 0 && is_own {
            for (key, name) in kustomization::misspelled(node) {
                let message = format!("Kustomize takes this key for `{name}`, and other readers do not");
                self.say(ProblemKind::Ambiguous, key, message, "write the key in the usual way");
            }
            let mut references = kustomization::references(node, self.path);
            if let Some(more) = references.len().checked_sub(kustomization::MAX_REFERENCES).filter(|more| *more > 0) {
                let reason = format!("it names {more} more files than are followed");
                self.contents.aside.push(Aside::at(self.path, node.place().line, reason));
                references.truncate(kustomization::MAX_REFERENCES);
            }
            self.contents.references.append(&mut references);
            self.contents.aside.extend(kustomization::rendered_charts(node, self.path));
        }
        let mut context = Context::new(carrier);
        context.holding = Holding::of(&context.carrier, node);
        self.contents.bindings.extend(holder::binding_of(&context.carrier, node, self.path));
        // Of Kubernetes' own kinds none is made into a binding.
        let group = context.carrier.group();
        if group.contains('.') && !group.ends_with(".k8s.io") && self.view.is_none() {
            self.contents.bindings.extend(controller::bindings(&context.carrier, node, self.path));
        }
        self.entries(node, depth, &mut |walker, key, value, depth| match key {
            "apiVersion" | "kind" | "metadata" | "status" => {}
            "data" if is_secret => walker.encoded(value, &context),
            "binaryData" if is_config_map => walker.encoded(value, &context),
            // What one of its transformers is told: in one string, all of it.
            "patch" | "jsonOp" | "patches" if is_builtin && value.kind() != NodeKind::Sequence => {
                let [target] = fields(node, ["target"]);
                walker.value(value, &context.in_patch(Target::of(target)), node, depth);
            }
            "patches" | "patchesStrategicMerge" | "patchesJson6902" if of_kustomize => {
                walker.kustomize(value, &context, depth);
            }
            "transformers" if of_kustomize => walker.items(value, depth, &mut |walker, item, _| {
                // Kustomize's own, written there: what they change need not look like RBAC.
                if let NodeKind::String(text) = item.kind()
                    && text.contains(':')
                    && walker.is_new(item, &text)
                {
                    walker.opened.insert(item.identity());
                    walker.nested(item, &text, &context);
                }
            }),
            "replacements" if of_kustomize || is_builtin => walker.replacements(value.items()),
            _ => walker.value(value, &context, node, depth),
        });
    }

    /// Says which replacements change a part of a rule, or whom a binding binds to what.
    fn replacements<'t>(&mut self, replacements: impl Iterator<Item = Node<'t>>) {
        for field in replacements.flat_map(kustomization::replaced_fields) {
            let what = if field.source().contains("roleRef") { "the role of a binding" } else { "a part of a rule" };
            let reason = format!("a replacement changes {what}: {}", abbreviate(field.source()));
            self.contents.aside.push(Aside::at(self.path, field.place().line, reason));
        }
    }

    /// Any part of a carrier. `parent` is the mapping in which it stands.
    fn value(&mut self, node: Node<'_>, context: &Context, parent: Node<'_>, depth: usize) {
        if depth > MAX_DEPTH || self.budget.get().is_none() {
            return;
        }
        match node.kind() {
            NodeKind::Mapping if self.is_rule(node) => self.rules(node, &[node], context, parent),
            NodeKind::Mapping => self.object(node, None, Some(context), depth),
            NodeKind::Sequence => {
                let items: Vec<Node<'_>> = node.items().collect();
                if items.iter().any(|item| self.is_rule(*item)) {
                    self.rules(node, &items, context, parent);
                } else if patch::is_patch(node) {
                    let target = context.patch.clone().flatten();
                    self.patch(node, &context.in_patch(target), depth);
                } else {
                    self.items(node, depth, &mut |walker, item, depth| walker.value(item, context, parent, depth));
                }
            }
            NodeKind::String(text) if text.as_bytes().starts_with(PACKED_BASE64) => self.decode(node, context),
            NodeKind::String(text) => self.text(node, &text, context),
            NodeKind::Other(_) => {}
        }
    }

    fn parts(&mut self, node: Node<'_>, context: &Context, depth: usize) {
        let [patch, target] = fields(node, ["patch", "target"]);
        let patching = patch.map(|_| context.in_patch(Target::of(target)));
        self.entries(node, depth, &mut |walker, key, value, depth| {
            let context = patching.as_ref().filter(|_| key == "patch").unwrap_or(context);
            walker.value(value, context, node, depth);
        });
    }

    /// A list of rules, or a single one.
    fn rules(&mut self, node: Node<'_>, items: &[Node<'_>], context: &Context, parent: Node<'_>) {
        let form = if context.patch.is_some() { Form::Patch } else { Form::Rules };
        let embedding = self.embedding(form, context);
        let name = format!("{}/{}", context.carrier.name, self.route);
        let mut meta = ObjectMeta::new(ObjectKind::ClusterRole, None, name);
        meta.path = Arc::clone(self.path);
        meta.name.place = context.carrier.place;
        meta.embedded = Some(embedding);
        let binding = match &context.patch {
            Some(Some(target)) => {
                target.name(&mut meta);
                None
            }
            Some(None) => None,
            None => holder::of_rules(&context.holding, &self.route, parent, &mut meta),
        };
        // Rules that nothing can be bound to but by what stands in them have no better place than their own.
        if context.carrier.name.is_empty() {
            meta.name.place = node.place();
        }
        let shaped: Vec<Option<Node<'_>>> = items.iter().map(|item| self.is_rule(*item).then_some(*item)).collect();
        let rules = read_rules(shaped.into_iter(), self.path, &meta, &mut self.view, self.contents);
        self.say_holes(node, &meta);
        meta.template = self.templated(node);
        self.contents.roles.push(Role { meta, rules, aggregation: None });
        self.contents.bindings.extend(binding);
    }

    /// Says that lines are missing in a list of rules.
    fn say_holes(&mut self, list: Node<'_>, meta: &ObjectMeta) {
        let Some(view) = &mut self.view else { return };
        for hole in view.holes_in_list(list).to_vec() {
            // What it writes by default.
            if view.template.evaluate(hole).is_some_and(|literal| !literal.is_true()) {
                continue;
            }
            let what = format!("{} may have more, written by {}", meta.describe(), view.shown(hole));
            view.unknown_rules(list.place().offset, what, hole);
        }
    }

    /// What the template knows of what was read in a node.
    fn templated(&mut self, node: Node<'_>) -> Option<Arc<Templated>> {
        let range = node.range();
        self.view.as_mut().map(|view| view.templated(range.start, range.end))
    }

    /// Whether a mapping has the shape of a rule that the API server would take. In a template, any of its lists may be
    /// filled in.
    fn is_rule(&self, node: Node<'_>) -> bool {
        if node.kind() != NodeKind::Mapping {
            return false;
        }
        let names = ["verbs", "apiGroups", "resources", "nonResourceURLs"];
        let is_list = |node: Node<'_>| match &self.view {
            None => is_list_of_strings(node),
            Some(_) => node.kind() != NodeKind::Mapping,
        };
        let [verbs, groups, resources, urls] = fields(node, names).map(|node| node.is_some_and(is_list));
        verbs && ((groups && resources) || urls)
    }

    /// A string, which may hold manifests.
    fn text(&mut self, node: Node<'_>, text: &str, context: &Context) {
        if !self.is_new(node, text) {
            return;
        }
        if self.view.is_none() && command::may_create(text) {
            self.commands(node, text, context);
        }
        // A patch need not say what it changes.
        if text.contains(':') && (context.patch.is_some() || may_hold_rbac(text.as_bytes())) {
            self.opened.insert(node.identity());
            let bodies = script::here_documents(text);
            if !bodies.is_empty() {
                return self.script(node, text, bodies, context);
            }
            if self.view.is_some() && is_templated(node.source()) {
                self.nested_template(node, text, context);
            } else {
                self.nested(node, text, context);
            }
        }
    }

    /// Whether a string has not been looked at yet, and may be.
    fn is_new(&mut self, node: Node<'_>, text: &str) -> bool {
        self.seen.insert(node.identity()) && self.pay(node, text.len())
    }

    /// A string in a template some of which is filled in. The lines of a block are read where they stand.
    fn nested_template(&mut self, node: Node<'_>, text: &str, context: &Context) {
        let Some(view) = &mut self.view else { return };
        let (template, place) = (view.template, node.place());
        let what = |problem: &str| format!("manifests in a string of {} {problem}", context.carrier.describe());
        let may_grant = may_grant(text);
        if !node.is_block_scalar() || self.text_depth >= MAX_TEXT_DEPTH {
            if may_grant {
                view.unknown(place.offset, what("are filled in"));
            }
            return;
        }
        let mut is_understood = true;
        for part in template.parts_in(place.offset as usize..place.end() as usize) {
            let (trees, error) = template.parse(&part);
            for tree in &trees {
                let Some(root) = tree.root() else { continue };
                let mut inner = Walker::new(self.path, &mut *self.contents, self.budget);
                (inner.text_depth, inner.route) = (self.text_depth + 1, self.route.clone());
                let mut own = TemplateView::new(template, view.language());
                own.find_holes(root, part.range.clone());
                inner.view = Some(own);
                inner.document(root, Some(context));
                view.unknown.extend(inner.view.map(TemplateView::into_unknown).unwrap_or_default());
            }
            is_understood &= error.is_none();
            if let Some(error) = error.filter(|_| may_grant) {
                view.unknown(
                    error.place.offset,
                    what(&format!("are no YAML without what fills them in: {}", error.message)),
                );
            }
        }
        // Nothing that parses as it stands may be hidden by marks.
        if !is_understood {
            self.nested(node, text, context);
        }
    }

    /// Whether there are as many bytes left to look at. That there are not is said once.
    fn pay(&mut self, node: Node<'_>, bytes: usize) -> bool {
        let Some(budget) = self.budget.get() else { return false };
        self.budget.set(budget.checked_sub(bytes));
        if self.budget.get().is_none() {
            let message =
                "the aliases of this document stand for more text than is looked at; what was read is incomplete";
            self.problem(node, message.to_owned(), "write the repeated parts out, or split the document");
        }
        self.budget.get().is_some()
    }

    /// The values of a mapping, each encoded as base64.
    fn encoded(&mut self, mapping: Node<'_>, context: &Context) {
        self.entries(mapping, 0, &mut |walker, _, value, _| walker.decode(value, context));
    }

    /// A string that is encoded as base64.
    fn decode(&mut self, value: Node<'_>, context: &Context) {
        let is_new = !self.seen.contains(&value.identity());
        let text = value.as_str().filter(|text| is_new && self.pay(value, text.len()));
        let Some(text) = text else { return };
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let Ok(mut bytes) = BASE64.decode(compact) else { return };
        // Helm keeps a release packed, and a Secret encodes that once more.
        if bytes.starts_with(PACKED_BASE64) {
            bytes = BASE64.decode(&bytes).unwrap_or(bytes);
        }
        if bytes.starts_with(PACKED) {
            bytes = match unpack(&bytes, self.budget.get().unwrap_or_default()) {
                Ok(unpacked) => unpacked,
                Err(bytes) => return self.not_unpacked(value, bytes, context),
            };
        }
        self.text(value, &text_of(bytes), context);
    }

    /// Says that something is packed and was not unpacked, but for so many bytes.
    fn not_unpacked(&mut self, node: Node<'_>, bytes: usize, context: &Context) {
        let (route, carrier) = (abbreviate(&self.route), context.carrier.describe());
        let reason = format!("{route} of {carrier} is packed, and broken or larger than is unpacked");
        self.contents.aside.push(Aside::at(self.path, node.place().line, reason));
        self.pay(node, bytes.min(self.budget.get().unwrap_or_default()));
    }

    /// A string that holds manifests. `text` is what it says, or what is encoded in it.
    fn nested(&mut self, node: Node<'_>, text: &str, context: &Context) {
        let first = (self.contents.roles.len(), self.contents.bindings.len());
        self.nested_documents(text, node, &node.place_map(text), context);
        self.templated_since(first, node);
    }

    /// Notes what the template knows of the roles and bindings that were read since.
    fn templated_since(&mut self, first: (usize, usize), node: Node<'_>) {
        let templated = self.templated(node);
        let Contents { roles, bindings, .. } = &mut *self.contents;
        let roles = roles.iter_mut().skip(first.0).map(|role| &mut role.meta);
        let metas = roles.chain(bindings.iter_mut().skip(first.1).map(|binding| &mut binding.meta));
        metas.for_each(|meta| meta.template = templated.clone());
    }

    /// The roles and bindings that commands in a script create.
    fn commands(&mut self, node: Node<'_>, script: &str, context: &Context) {
        let commands = command::commands(script);
        if commands.is_empty() {
            return;
        }
        let (map, lines) = (node.place_map(script), LineIndex::new(script));
        let text = |word: Word| Text { place: map.locate(lines.place(word.range)), value: SmolStr::new(word.text) };
        let texts = |words: Vec<Word>| words.into_iter().map(text).collect::<Vec<Text>>();
        let embedding = self.embedding(Form::Manifest, context);
        let meta = |kind: ObjectKind, name: Word, namespace: Option<Word>| {
            let namespace = namespace.filter(|_| kind.is_namespaced()).map(|word| SmolStr::new(word.text));
            made(kind, namespace, text(name), self.path, Arc::clone(&embedding))
        };
        for command in commands {
            match command {
                Command::Role { is_cluster, name, namespace, verbs, resources, names, urls } => {
                    let kind = if is_cluster { ObjectKind::ClusterRole } else { ObjectKind::Role };
                    let rules = command::rules(texts(verbs), texts(resources), texts(names), texts(urls));
                    self.contents.roles.push(Role { meta: meta(kind, name, namespace), rules, aggregation: None });
                }
                Command::Binding { is_cluster, name, namespace, role, is_cluster_role, users, groups, accounts } => {
                    let kind = if is_cluster { ObjectKind::ClusterRoleBinding } else { ObjectKind::RoleBinding };
                    let role_kind = if is_cluster_role { RoleKind::ClusterRole } else { RoleKind::Role };
                    let subjects = command::subjects(texts(users), texts(groups), texts(accounts));
                    let role_ref = RoleRef { kind: Some(role_kind), name: text(role) };
                    self.contents.bindings.push(Binding { meta: meta(kind, name, namespace), role_ref, subjects });
                }
            }
        }
        self.opened.insert(node.identity());
    }

    /// A shell script with here-documents.
    fn script(&mut self, node: Node<'_>, text: &str, bodies: Vec<(Range<usize>, u32)>, context: &Context) {
        let map = node.place_map(text);
        let first = (self.contents.roles.len(), self.contents.bindings.len());
        for (range, line) in bodies {
            let body = text.get(range.clone()).unwrap_or_default();
            for piece in split_documents(body.as_bytes()) {
                let range = range.start + piece.range.start..range.start + piece.range.end;
                self.nested_document(text, &Piece { range, line: line + piece.line - 1 }, node, &map, context);
            }
        }
        self.templated_since(first, node);
    }

    fn nested_documents(&mut self, text: &str, node: Node<'_>, map: &Arc<PlaceMap>, context: &Context) {
        if self.text_depth >= MAX_TEXT_DEPTH {
            let message = format!(
                "manifests stand in strings of manifests more than {MAX_TEXT_DEPTH} deep; the innermost are not read"
            );
            return self.problem(node, message, "write the manifests out, or check the innermost on their own");
        }
        for piece in split_documents(text.as_bytes()) {
            self.nested_document(text, &piece, node, map, context);
        }
    }

    fn nested_document(&mut self, text: &str, piece: &Piece, node: Node<'_>, map: &Arc<PlaceMap>, context: &Context) {
        let part = text.get(piece.range.clone()).unwrap_or_default();
        let (trees, error) = parse_nested(part, piece.range.start, piece.line, map);
        // Much text parses that is no manifest.
        let is_manifest = || may_hold_rbac(part.as_bytes()) && part.contains("kind") && part.contains("apiVersion");
        if let Some(departure) = trees.first().and_then(Tree::departure).filter(|_| is_manifest()) {
            let message = format!("readers may read the manifest in this string differently: {}", departure.what);
            self.say(ProblemKind::Ambiguous, node, message, departure.help);
        }
        for tree in &trees {
            let first = self.contents.roles.len();
            let mut inner = Walker::new(self.path, &mut *self.contents, self.budget);
            (inner.text_depth, inner.route) = (self.text_depth + 1, self.route.clone());
            if let Some(root) = tree.root() {
                inner.document(root, Some(context));
            }
            let opened = inner.opened;
            if tree.exhausted() {
                let message = "the aliases of the manifest in this string stand for more nodes than are read; what was read of it is incomplete";
                self.problem(node, message.to_owned(), "write the repeated parts out");
            }
            account(tree, self.path, &opened, first, Some(&context.carrier), self.contents);
        }
        if let Some(error) = error {
            // Of a template that was said already.
            if self.view.is_none() && may_grant(part) && is_templated(part) {
                let what = format!(
                    "manifests in a string of {} are no YAML before they are filled in: {}",
                    context.carrier.describe(),
                    error.message
                );
                self.contents.unknown.push(Unknown::new(node.place().offset, what));
            }
            mention::in_text(part, piece, map, self.path, &context.carrier, self.contents);
        }
    }

    fn problem(&mut self, node: Node<'_>, message: String, help: &str) {
        self.say(ProblemKind::Expansion, node, message, help);
    }

    fn say(&mut self, kind: ProblemKind, node: Node<'_>, message: String, help: &str) {
        let path = Arc::clone(self.path);
        let place = Some(node.place());
        self.contents.problems.push(Problem { path, place, kind, message, help: Some(help.to_owned()) });
    }

    /// Looks for objects and Ansible tasks in what is no object: values, plays, blocks and lists of tasks.
    fn tasks(&mut self, node: Node<'_>, context: Option<&Context>, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match node.kind() {
            NodeKind::Sequence if patch::is_patch(node) => {
                let context = Context::new(Carrier::other(patch::LOOSE, None, node));
                self.patch(node, &context.in_patch(None), depth);
            }
            NodeKind::Sequence => {
                self.items(node, depth, &mut |walker, item, depth| walker.tasks(item, context, depth));
            }
            NodeKind::String(text) => {
                if let Some(context) = context {
                    self.text(node, &text, context);
                }
            }
            // A replacement in a file of its own.
            NodeKind::Mapping if kustomization::is_replacement(node) => {
                self.replacements(std::iter::once(node));
            }
            NodeKind::Mapping if context.is_some() && object_of(node, None).is_some() => {
                self.object(node, None, context, depth);
            }
            NodeKind::Mapping => {
                let [name, kind] = fields(node, ["name", "type"]);
                let is_bundle_object = kind.is_some_and(|kind| kind.as_str().as_deref() == Some(OLM_OBJECT));
                self.entries(node, depth, &mut |walker, key, value, depth| {
                    if let Some(context) = context.filter(|_| is_bundle_object && key == "value") {
                        return walker.encoded(value, context);
                    }
                    if !MODULES.contains(&key) {
                        return walker.tasks(value, context, depth);
                    }
                    // What is removed grants nothing.
                    let [state] = fields(value, ["state"]);
                    if state.is_some_and(|state| state.as_str().as_deref() == Some("absent")) {
                        return walker.harmless.push(value.range());
                    }
                    let context = Context::new(Carrier::other("Ansible task", name, node));
                    let route = std::mem::take(&mut walker.route);
                    let length = walker.route.len();
                    const DEFINITIONS: [&str; 3] = ["definition", "resource_definition", "inline"];
                    for (key, definition) in DEFINITIONS.into_iter().zip(fields(value, DEFINITIONS)) {
                        let Some(definition) = definition else { continue };
                        push_key(&mut walker.route, key);
                        walker.value(definition, &context, value, depth);
                        walker.route.truncate(length);
                    }
                    walker.route = route;
                });
            }
            _ => {}
        }
    }

    fn patch(&mut self, list: Node<'_>, context: &Context, depth: usize) {
        self.items(list, depth, &mut |walker, operation, depth| {
            let [op, pointer, value] = fields(operation, ["op", "path", "value"]);
            let op = op.and_then(Node::as_str).unwrap_or_default();
            walker.part_of_a_rule(operation, &op, pointer, value);
            let (Some(value), "add" | "replace") = (value, &*op) else { return };
            // Rules that are put elsewhere than into the rules of a role are no rules of that role.
            let into_rules = pointer.and_then(Node::as_str).is_some_and(|pointer| pointer.starts_with("/rules"));
            let patch = context.patch.clone().filter(|_| into_rules);
            let context = Context { patch, ..context.clone() };
            let length = walker.route.len();
            push_key(&mut walker.route, "value");
            walker.value(value, &context, operation, depth);
            walker.route.truncate(length);
        });
    }

    /// Says that an operation of a patch changes a part of a rule, so that it is not known what that grants then. Where
    /// the verb is written, that is said of the verb.
    fn part_of_a_rule(&mut self, operation: Node<'_>, op: &str, pointer: Option<Node<'_>>, value: Option<Node<'_>>) {
        let pointer = pointer.and_then(Node::as_str).unwrap_or_default();
        if pointer == "/kind" || pointer == "/apiVersion" {
            let reason = format!("a patch changes the type of an object: {op} {pointer}");
            return self.contents.aside.push(Aside::at(self.path, operation.place().line, reason));
        }
        let (what, rest) = match (pointer.strip_prefix("/rules"), pointer.strip_prefix("/roleRef")) {
            (Some(rest), _) if rest.is_empty() || rest.starts_with('/') => ("a part of a rule", rest),
            (_, Some(rest)) if rest.is_empty() || rest.starts_with('/') => ("the role of a binding", "/role/name"),
            _ => return,
        };
        let changes = match op {
            "add" | "replace" | "remove" => rest.matches('/').count() > 1,
            "copy" | "move" => true,
            _ => false,
        };
        let has_verb = value.is_some_and(|value| {
            value.scalars().any(|scalar| scalar.as_str().is_some_and(|text| super::read::is_verb(&text)))
        });
        if changes && !has_verb {
            let reason = format!("a patch changes {what} that it does not show: {op} {}", abbreviate(&pointer));
            self.contents.aside.push(Aside::at(self.path, operation.place().line, reason));
        }
    }

    /// The patches of a kustomization.
    fn kustomize(&mut self, list: Node<'_>, context: &Context, depth: usize) {
        self.items(list, depth, &mut |walker, item, _| {
            let length = walker.route.len();
            let (patch, target, path) = match item.kind() {
                NodeKind::Mapping => {
                    let [patch, path, target] = fields(item, ["patch", "path", "target"]);
                    push_key(&mut walker.route, "patch");
                    (patch, Target::of(target), path.and_then(Node::as_str))
                }
                // A strategic merge patch: written there, or the name of a file.
                NodeKind::String(text) if text.contains('\n') || text.contains(": ") => (Some(item), None, None),
                NodeKind::String(text) => (None, None, Some(text)),
                _ => return,
            };
            if let Some(path) = path {
                let carrier = (*context.carrier).clone();
                let route = walker.route.strip_suffix(".patch").unwrap_or(&walker.route).to_owned();
                let path = patch::beside(walker.path, &path);
                walker.contents.uses.push(Use { path, target: target.clone(), carrier, route });
            }
            if let Some(patch) = patch {
                walker.value(patch, &context.in_patch(target), item, depth);
            }
            walker.route.truncate(length);
        });
    }
}

/// How gzip begins, and how that looks as base64.
const PACKED: &[u8] = b"\x1f\x8b\x08";
const PACKED_BASE64: &[u8] = b"H4sI";

/// Bytes as `kubectl` would read them. What is no text holds no manifest, but there may be one before it.
fn text_of(bytes: Vec<u8>) -> String {
    let units = |of: fn([u8; 2]) -> u16| {
        let pairs = bytes.get(2..).unwrap_or_default().chunks_exact(2);
        String::from_utf16_lossy(&pairs.map(|pair| of([pair[0], pair[1]])).collect::<Vec<_>>())
    };
    match bytes.as_slice() {
        [0xff, 0xfe, ..] => units(u16::from_le_bytes),
        [0xfe, 0xff, ..] => units(u16::from_be_bytes),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The property of a bundle in a file-based catalog of OLM that holds an object, encoded as base64
/// (`operator-registry`, `alpha/property`).
const OLM_OBJECT: &str = "olm.bundle.object";

/// What a document is called that is no object.
const LOOSE: &str = "document";

/// The Ansible modules that apply a definition.
const MODULES: [&str; 7] = [
    "k8s",
    "kubernetes.core.k8s",
    "community.kubernetes.k8s",
    "community.okd.k8s",
    "redhat.openshift.k8s",
    "openshift_raw",
    "k8s_raw",
];

fn has_metadata(node: Node<'_>) -> bool {
    let [metadata] = fields(node, ["metadata"]);
    metadata.is_some_and(|metadata| metadata.kind() == NodeKind::Mapping || filled_in(metadata).is_some())
}

/// As the API server takes it, which reads null as an empty string.
fn is_list_of_strings(node: Node<'_>) -> bool {
    let mut any = false;
    node.kind() == NodeKind::Sequence
        && node.items().all(|item| {
            any = true;
            matches!(item.kind(), NodeKind::String(_)) || item.is_null()
        })
        && any
}

/// An object that a carrier makes of what is written in it.
fn made(
    kind: ObjectKind,
    namespace: Option<SmolStr>,
    name: Text,
    path: &Arc<str>,
    embedding: Arc<Embedding>,
) -> ObjectMeta {
    let mut meta = ObjectMeta::new(kind, namespace, SmolStr::default());
    meta.name = name;
    meta.path = Arc::clone(path);
    meta.embedded = Some(embedding);
    meta
}
