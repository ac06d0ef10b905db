//! One document to the RBAC objects in it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::Arc;

use smol_str::SmolStr;

use super::aside::Aside;
use super::cluster::{ClusterFacts, SNAPSHOT_API_VERSION, SNAPSHOT_KIND};
use super::embedded::{self, Mention};
use super::embedding::Embedding;
use super::fields::{FieldReader, WRONG_TYPE_HELP, entries, fields, filled_in};
use super::follow::Reference;
use super::object::*;
use super::openshift;
use super::template::{Listed, TemplateView, Templated, Unknown};
use crate::problem::{Problem, ProblemKind};
use crate::source::template_language;
use crate::syntax::{Entry, FieldOrigin, Node, NodeKind, Place, ScalarType, Tree, Value};
use crate::template::{Literal, is_templated, may_grant};

/// How deep lists of lists are followed.
const MAX_LIST_DEPTH: usize = 16;

/// The lists of a rule.
const RULE_LISTS: [&str; 5] = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];

/// What a document holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) roles: Vec<Role>,
    pub(super) bindings: Vec<Binding>,
    pub(super) problems: Vec<Problem>,
    pub(super) clusters: Vec<ClusterFacts>,
    /// Verbs of impersonation that are in no rule.
    pub(super) mentions: Vec<Mention>,
    /// Files that are applied as patches.
    pub(super) uses: Vec<embedded::Use>,
    /// Files that are used because this one names them.
    pub(super) references: Vec<Reference>,
    /// What is filled in, in the document read last.
    pub(super) unknown: Vec<Unknown>,
    /// What was not looked at.
    pub(super) aside: Vec<Aside>,
    /// Bindings without a role.
    pub(super) partial: Vec<PartialBinding>,
}

/// A binding without `roleRef`: a patch need not have it, since the binding that it is applied to has one.
#[derive(Debug)]
pub(super) struct PartialBinding {
    pub(super) meta: ObjectMeta,
    pub(super) subjects: Vec<Subject>,
    /// What is wrong with it, if it is no patch.
    pub(super) problem: Problem,
}

impl Contents {
    /// Puts what another document holds behind it.
    pub(super) fn append(&mut self, more: Self) {
        append(&mut self.roles, more.roles);
        append(&mut self.bindings, more.bindings);
        append(&mut self.problems, more.problems);
        append(&mut self.clusters, more.clusters);
        append(&mut self.mentions, more.mentions);
        append(&mut self.uses, more.uses);
        append(&mut self.references, more.references);
        append(&mut self.unknown, more.unknown);
        append(&mut self.aside, more.aside);
        append(&mut self.partial, more.partial);
    }
}

/// Puts `more` behind what is there. One file may hold all there is, and is not copied then.
pub(super) fn append<T>(all: &mut Vec<T>, more: Vec<T>) {
    if all.is_empty() {
        *all = more;
    } else {
        all.extend(more);
    }
}

/// Reads the objects of one document into `contents`: those that stand there themselves, then those in others; with what
/// is not known of them: what a manifest has in quotes, a template may fill in.
pub(super) fn read_document(tree: &Tree<'_>, path: &Arc<str>, contents: &mut Contents) {
    let first = contents.roles.len();
    read_placed(tree, path, contents);
    let was_exhausted = tree.exhausted();
    let opened = embedded::read(tree, path, None, contents).opened;
    if tree.exhausted() && !was_exhausted {
        contents.problems.extend(exhausted(tree, path));
    }
    embedded::account(tree, path, &opened, first, None, contents);
    let Contents { roles, unknown, .. } = contents;
    let roles = roles.get(first..).unwrap_or_default();
    unknown.extend(roles.iter().flat_map(|role| role.rules.iter().filter_map(|rule| rule_filled_in(role, rule))));
    unknown.extend(tree.root().and_then(document_filled_in));
}

/// That a document which parses may be an object of which nothing is written, or not what kind it is.
fn document_filled_in(root: Node<'_>) -> Option<Unknown> {
    let is_kind = |key: &Node<'_>| key.as_str().is_some_and(|key| key == "kind");
    let keys = || root.entries().map(|entry| entry.key);
    // `{{ x }}` is a mapping with a mapping for a key.
    let is_filled_in = |key: &Node<'_>| key.as_str().map_or(key.kind() == NodeKind::Mapping, |key| is_templated(&key));
    let (node, what) = match root.kind() {
        NodeKind::String(text) if is_templated(&text) => (root, "a document is filled in by"),
        NodeKind::Mapping if !keys().any(|key| is_kind(&key)) => {
            (keys().find(is_filled_in)?, "keys of an object without a kind are filled in by")
        }
        _ => return None,
    };
    Some(Unknown::new(node.place().offset, format!("{what} {}", abbreviate(node.source().trim()))))
}

/// Reads an RBAC object, or a list of them, that stands in another object; in a template, if it has a view of that.
pub(super) fn read_embedded<'p>(
    node: Node<'_>,
    inherited: Option<(&str, &str)>,
    path: &'p Arc<str>,
    embedding: Arc<Embedding>,
    view: &mut Option<TemplateView<'p>>,
    contents: &mut Contents,
) {
    let fields = FieldReader { aside: Some(Vec::new()), template: view.take(), ..FieldReader::new(path) };
    let mut reader = Reader { fields, contents, found: Vec::new(), embedded: Some(embedding), api: Api::Rbac };
    reader.object(node, inherited, None, 0);
    (_, *view) = reader.finish();
}

/// Reads rules that stand in another object, into a role of that name. What is no rule stays in its place as an empty
/// one.
pub(super) fn read_rules<'t, 'p>(
    nodes: impl Iterator<Item = Option<Node<'t>>>,
    path: &'p Arc<str>,
    meta: &ObjectMeta,
    view: &mut Option<TemplateView<'p>>,
    contents: &mut Contents,
) -> Vec<PolicyRule> {
    let fields = FieldReader { template: view.take(), ..FieldReader::new(path) };
    let mut reader = Reader { fields, contents, found: Vec::new(), embedded: None, api: Api::Rbac };
    let mut rules = Vec::new();
    for node in nodes {
        let rule = match node {
            Some(node) if reader.fields.template.is_some() => {
                let lists = reader.fields.fields_in_branches(node, RULE_LISTS);
                reader.rule_in_branches(node, &lists, rules.len(), meta)
            }
            Some(node) => reader.rule(node),
            None => PolicyRule::default(),
        };
        rules.push(rule);
    }
    (_, *view) = reader.finish();
    rules
}

/// Whether an object of that type is RBAC.
pub(super) fn is_rbac(kind: &str, api_version: &str) -> bool {
    ObjectKind::parse(kind).is_some() && api_of(api_version).is_some()
}

/// What a template fills in of a rule, so that it is not known whether it grants an identity.
fn rule_filled_in(role: &Role, rule: &PolicyRule) -> Option<Unknown> {
    let verb = rule.verbs.iter().map(|verb| ("verbs", verb)).find(|(_, verb)| is_placeholder(verb));
    let impersonates = rule.verbs.iter().any(|verb| is_verb(verb.as_str()) || verb.as_str() == "*");
    let others = [("apiGroups", &rule.api_groups), ("resources", &rule.resources)];
    let other = || {
        let mut texts = others.into_iter().flat_map(|(name, list)| list.iter().map(move |text| (name, text)));
        texts.find(|(_, text)| impersonates && is_placeholder(text))
    };
    let (name, text) = verb.or_else(other)?;
    let what = format!("`{name}` of a rule of {} are filled in by {}", role.meta.describe(), abbreviate(text.as_str()));
    Some(Unknown::new(text.place.offset, what))
}

/// Whether something else is put where a verb is written: verbs have none of these marks.
fn is_placeholder(verb: &Text) -> bool {
    verb.is_templated() || verb.as_str().contains(['$', '%', '<', '[', '@'])
}

/// Reads the objects of one document of a template into `contents`. The document is this range of the file. Returns what is
/// not known of it.
pub(super) fn read_template<'p>(
    tree: &Tree<'_>,
    path: &'p Arc<str>,
    mut view: TemplateView<'p>,
    document: Range<usize>,
    contents: &mut Contents,
) -> Vec<Unknown> {
    let Some(root) = tree.root() else { return Vec::new() };
    view.find_holes(root, document);
    let template = view.template;
    let fields = FieldReader { template: Some(view), ..FieldReader::new(path) };
    let first = contents.roles.len();
    let mut reader = Reader { fields, contents, found: Vec::new(), embedded: None, api: Api::Rbac };
    reader.object(root, None, None, 0);
    let (found, view) = reader.finish();
    let own: HashSet<usize> = found.iter().map(|found| found.node.range().start).collect();
    let has_objects = !own.is_empty();
    let opened = embedded::read(tree, path, view.map(|view| (view, own)), contents);
    let mut unknown = opened.unknown;
    unknown.append(&mut contents.unknown);
    let roles = contents.roles.get(first..).unwrap_or_default();
    let verbs = roles.iter().flat_map(|role| role.rules.iter().flat_map(|rule| &rule.verbs));
    let understood: BTreeSet<u32> = verbs.map(|verb| verb.place.offset).collect();
    let is = |node: &Node<'_>, test: &dyn Fn(&str) -> bool| node.as_str().is_some_and(|text| test(&text));
    let words = root.scalars().filter(|scalar| is(scalar, &is_verb));
    // Much else than a verb is written like that.
    let verbs_of = |mapping| super::fields::fields(mapping, ["verbs"]);
    let in_verbs = tree.mappings().flat_map(verbs_of).flatten().flat_map(Node::items);
    let wildcards = root.items().chain(in_verbs).filter(|item| is(item, &|text| text == "*"));
    for verb in words.chain(wildcards) {
        let offset = verb.place().offset;
        if !understood.contains(&offset) && !opened.harmless.iter().any(|range| range.contains(&verb.range().start)) {
            unknown.push(Unknown::new(offset, "the verb stands where no role was understood"));
        }
    }
    let has_lines = |scalar: &Node<'_>| scalar.is_block_scalar() || scalar.source().contains('\n');
    for scalar in root.scalars().filter(has_lines).filter(|scalar| may_grant(scalar.source())) {
        if !template.is_in_one_branch(scalar.range(), scalar.is_block_scalar()) {
            unknown.push(Unknown::new(scalar.place().offset, "a condition begins or ends within this text"));
        } else if has_objects && template.is_filled_in(scalar.range()) {
            // In text beside rules, a line may end that looks like a part of it.
            unknown.push(Unknown::new(scalar.place().offset, "text with words of RBAC in it is filled in"));
        }
    }
    let changed = super::fields::fields(root, ["rules", "roleRef", "subjects", "aggregationRule"]);
    if template.has_overlays() && changed.iter().any(Option::is_some) {
        unknown.push(Unknown::new(root.place().offset, "an overlay changes a part of RBAC objects"));
    }
    if let Some(departure) = tree.departure() {
        let what = format!("readers may read this document differently: {}", departure.what);
        unknown.push(Unknown::new(departure.offset as u32, what));
    }
    if tree.exhausted() {
        unknown.push(Unknown::new(root.place().offset, "aliases stand for more nodes than are read"));
    }
    unknown
}

/// Whether a string is a verb of impersonation, legacy or constrained.
pub(super) fn is_verb(text: &str) -> bool {
    text.strip_prefix("impersonate").is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-']))
}

/// An object where it stands.
pub(crate) struct Placed<'t> {
    /// The object.
    pub object: Object,
    /// All of it.
    pub node: Node<'t>,
    /// The item of a list that it is: the list's `items`, and the index there.
    pub item: Option<Item<'t>>,
}

/// An item of a list of objects.
#[derive(Clone, Copy)]
pub(crate) struct Item<'t> {
    /// The key `items`.
    pub key: Node<'t>,
    /// Its value.
    pub list: Node<'t>,
    /// Which one it is.
    pub index: usize,
}

/// The objects of a document, and what is wrong with it.
pub(crate) struct PlacedObjects<'t> {
    pub placed: Vec<Placed<'t>>,
    /// How many problems there are, warnings and unknown parts included.
    pub problems: usize,
    /// Whether one of them is no warning, so that the document may not mean what was read of it.
    pub has_errors: bool,
}

/// The objects of a document, each with its place in the tree, and how many problems there are.
pub(crate) fn placed_objects<'t>(tree: &'t Tree<'_>, path: &Arc<str>) -> PlacedObjects<'t> {
    let mut contents = Contents::default();
    let found = read_placed(tree, path, &mut contents);
    let (mut roles, mut bindings) = (contents.roles.into_iter(), contents.bindings.into_iter());
    let placed = found.into_iter().filter_map(|Found { node, item, is_role }| {
        let object = if is_role { roles.next().map(Object::Role) } else { bindings.next().map(Object::Binding) };
        Some(Placed { object: object?, node, item })
    });
    PlacedObjects {
        placed: placed.collect(),
        problems: contents.problems.len() + contents.unknown.len() + contents.partial.len(),
        has_errors: contents.problems.iter().any(|problem| !problem.kind.is_warning()),
    }
}

fn read_placed<'t>(tree: &'t Tree<'_>, path: &Arc<str>, contents: &mut Contents) -> Vec<Found<'t>> {
    let Some(root) = tree.root() else { return Vec::new() };
    let mut reader =
        Reader { fields: FieldReader::new(path), contents, found: Vec::new(), embedded: None, api: Api::Rbac };
    reader.object(root, None, None, 0);
    let (found, _) = reader.finish();
    if tree.exhausted() {
        contents.problems.extend(exhausted(tree, path));
    }
    found
}

/// That the aliases of a document stand for too much.
fn exhausted(tree: &Tree<'_>, path: &Arc<str>) -> Option<Problem> {
    let place = tree.root()?.place();
    Some(Problem {
        path: Arc::clone(path),
        place: Some(place.start()),
        kind: ProblemKind::Expansion,
        message: "the document's aliases stand for more nodes than are read; what was read of it is incomplete"
            .to_owned(),
        help: Some("write the repeated parts out, or split the document".to_owned()),
    })
}

struct Reader<'p, 'c, 't> {
    fields: FieldReader<'p>,
    contents: &'c mut Contents,
    found: Vec<Found<'t>>,
    /// What the objects stand in.
    embedded: Option<Arc<Embedding>>,
    /// The API of the object that is read.
    api: Api,
}

/// Where an object was read.
struct Found<'t> {
    node: Node<'t>,
    item: Option<Item<'t>>,
    is_role: bool,
}

/// The API that an object belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Api {
    /// `rbac.authorization.k8s.io`, any version: the fields have been the same since v1alpha1.
    Rbac,
    /// OpenShift's own spelling of the same objects, which its API server stores as RBAC: `authorization.openshift.io`,
    /// `v1` in old manifests. A binding's roleRef has no kind there.
    OpenShift,
}

fn api_of(api_version: &str) -> Option<Api> {
    match api_version.split_once('/') {
        Some(("rbac.authorization.k8s.io", _)) => Some(Api::Rbac),
        Some(("authorization.openshift.io", _)) => Some(Api::OpenShift),
        None if api_version == "v1" => Some(Api::OpenShift),
        // A templated version could be RBAC's.
        _ if is_templated(api_version) => Some(Api::Rbac),
        _ => None,
    }
}

impl<'p, 't> Reader<'p, '_, 't> {
    /// Hands over what was wrong or not known, and gives back where objects were read, and the view of a template.
    fn finish(self) -> (Vec<Found<'t>>, Option<TemplateView<'p>>) {
        let Self { fields, contents, found, .. } = self;
        append(&mut contents.problems, fields.problems);
        append(&mut contents.unknown, fields.unknown);
        append(&mut contents.aside, fields.aside.unwrap_or_default());
        (found, fields.template)
    }

    /// Reads an object, or the items of a list. `inherited` is the type of a typed list's items, which may leave
    /// theirs out.
    fn object(&mut self, node: Node<'t>, inherited: Option<(&str, &str)>, item: Option<Item<'t>>, depth: usize) {
        if node.kind() != NodeKind::Mapping {
            return;
        }
        let Some(view) = &mut self.fields.template else { return self.object_as_it_is(node, inherited, item, depth) };
        // Once for each way in which its branches can be chosen.
        let outer = view.begin();
        let before = (self.contents.roles.len(), self.contents.bindings.len());
        loop {
            self.object_as_it_is(node, inherited, item, depth);
            self.drop_repeated(before);
            let Some(view) = &mut self.fields.template else { break };
            if !view.next_way(node.place()) {
                view.end(outer);
                break;
            }
        }
    }

    /// Drops the objects read last if they have been read before, in another way.
    fn drop_repeated(&mut self, before: (usize, usize)) {
        let roles = &mut self.contents.roles;
        if let [known @ .., last] = roles.get(before.0..).unwrap_or_default()
            && known.iter().any(|role| role.same_as(last))
        {
            roles.pop();
        }
        let bindings = &mut self.contents.bindings;
        if let [known @ .., last] = bindings.get(before.1..).unwrap_or_default()
            && known.iter().any(|binding| binding.same_as(last))
        {
            bindings.pop();
        }
    }

    fn object_as_it_is(
        &mut self,
        node: Node<'t>,
        inherited: Option<(&str, &str)>,
        item: Option<Item<'t>>,
        depth: usize,
    ) {
        let names = ["kind", "apiVersion", "items"];
        let known = self.fields.unknown.len();
        let [kind, api_version, items] = self.fields.unique_entries(node, names);
        // Whether a key that is filled in makes something of it is told below.
        self.fields.unknown.truncate(known);
        let version_text = api_version.and_then(|entry| entry.value.as_str());
        let api_version_text = version_text.as_deref().or(inherited.map(|(_, version)| version)).unwrap_or_default();
        // Whatever it is by default.
        let is_any_api = self.is_filled_in(node, api_version, inherited.is_some());
        let api = api_of(api_version_text).or(is_any_api.then_some(Api::Rbac));
        let api_version = api_version_text;
        let kind_text = match self.fields.template {
            Some(_) => self.templated_kind(node, kind, api.is_some()),
            None => kind.and_then(|kind| kind.value.as_str()),
        };
        let kind = kind_text.as_deref().or(inherited.map(|(kind, _)| kind)).unwrap_or_default();
        if let Some(item_kind) = kind.strip_suffix("List") {
            let Some(Entry { key, value: items }) = items else { return };
            if depth >= MAX_LIST_DEPTH {
                self.fields.problem(
                    ProblemKind::Expansion,
                    items.place(),
                    format!("lists are nested more than {MAX_LIST_DEPTH} deep; the innermost are not read"),
                    "put the objects into one list, or into documents of their own",
                );
                return;
            }
            let known = ObjectKind::parse(item_kind).filter(|_| api_of(api_version).is_some());
            let inherited = known.map(|kind| (kind.as_str(), api_version));
            if !items.is_null() && items.kind() != NodeKind::Sequence && (known.is_some() || kind == "List") {
                self.fields.wrong_type("items", "a list", items);
            }
            let entry = Entry { key, value: items };
            if let Some(view) = &mut self.fields.template {
                let filled = std::iter::once(items).chain(items.items()).filter(|node| node.as_str().is_some());
                let written: Vec<usize> = filled.filter_map(|node| view.template.only(node.range())).collect();
                for hole in view.holes_of(&entry).to_vec().into_iter().chain(written) {
                    let what = format!("items of this {kind} are written by {}", view.shown(hole));
                    view.unknown(items.place().offset, what);
                }
            }
            for (index, item) in items.items().enumerate() {
                self.object(item, inherited, Some(Item { key, list: items, index }), depth + 1);
            }
            return;
        }
        if kind == SNAPSHOT_KIND && api_version == SNAPSHOT_API_VERSION {
            let facts = ClusterFacts::read(node, &mut self.fields);
            let problems = facts.problems(self.fields.path);
            self.fields.problems.extend(problems);
            return self.contents.clusters.push(facts);
        }
        let Some(kind) = ObjectKind::parse(kind) else { return };
        let Some(api) = api else { return };
        let api_version = SmolStr::new(api_version);
        // Of whatever has items, `kubectl` takes these.
        if self.fields.template.is_none() && depth < MAX_LIST_DEPTH {
            let items = items.iter().flat_map(|entry| entry.value.items());
            items.for_each(|item| self.object(item, None, None, depth + 1));
        }
        let before = (self.contents.roles.len(), self.contents.bindings.len());
        self.fields.language = None;
        self.api = api;
        match kind {
            ObjectKind::ClusterRole | ObjectKind::Role => self.role(node, kind, api_version),
            ObjectKind::ClusterRoleBinding | ObjectKind::RoleBinding => self.binding(node, kind, api_version),
        }
        let is_role = self.contents.roles.len() > before.0;
        if !is_role && self.contents.bindings.len() == before.1 {
            return;
        }
        self.found.push(Found { node, item, is_role });
        let templated = match &mut self.fields.template {
            Some(view) => {
                let start = node.range().start;
                let end = node.scalars().last().map_or(start, |last| last.range().end);
                view.templated(start, end)
            }
            // What is not known of it is known of no world either.
            None => match self.fields.language {
                Some(language) => Arc::new(Templated::filled_in(language)),
                None => return,
            },
        };
        let meta = if is_role {
            self.contents.roles.last_mut().map(|role| &mut role.meta)
        } else {
            self.contents.bindings.last_mut().map(|binding| &mut binding.meta)
        };
        if let Some(meta) = meta {
            meta.template = Some(templated);
        }
    }

    /// Whether a directive writes a field of an object, some of it or all of it.
    fn is_filled_in(&self, object: Node<'t>, field: Option<Entry<'t>>, may_be_missing: bool) -> bool {
        let Some(view) = &self.fields.template else { return false };
        match field {
            Some(entry) => is_templated_node(entry.value) || !view.holes_of(&entry).is_empty(),
            None => !may_be_missing && view.may_write_fields(object).is_some(),
        }
    }

    /// The kind of an object in a template: one of those that may be filled in.
    fn templated_kind(&mut self, node: Node<'t>, kind: Option<Entry<'t>>, is_rbac: bool) -> Option<Cow<'t, str>> {
        let text = kind.and_then(|kind| kind.value.as_str());
        if !self.is_filled_in(node, kind, false) {
            return text;
        }
        let view = self.fields.template.as_mut()?;
        // A condition in the expression names the others.
        let source = kind.map_or("", |kind| kind.value.source());
        let whole = kind.and_then(|kind| view.template.alternatives(kind.value.range())).unwrap_or_default();
        let whole = whole.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" ");
        let written = kind.iter().flat_map(|kind| view.holes_of(kind)).filter_map(|hole| view.template.evaluate(*hole));
        let written = written.filter_map(|literal| literal.text()).collect::<Vec<_>>().join(" ");
        let words = format!("{} {whole} {written} {source}", text.as_deref().unwrap_or_default());
        let mut kinds: Vec<ObjectKind> =
            words.split(|c: char| !c.is_ascii_alphabetic()).filter_map(ObjectKind::parse).collect();
        let [rules, role_ref] = entries(node, ["rules", "roleRef"]);
        // Rules of something else are no list of mappings with verbs.
        let has_verbs = |entry: &Entry<'t>| entry.value.items().any(|rule| fields(rule, ["verbs"])[0].is_some());
        let is_begun = source.match_indices("Role").any(|(at, _)| source[..at].ends_with(['}', '>', ')']));
        if rules.as_ref().is_some_and(has_verbs) && (kinds.is_empty() || is_begun) {
            kinds = vec![ObjectKind::ClusterRole, ObjectKind::Role];
        } else if role_ref.is_some() && (kinds.is_empty() || is_begun) {
            kinds = vec![ObjectKind::ClusterRoleBinding, ObjectKind::RoleBinding];
        } else if kinds.is_empty() && is_rbac && (kind.is_some() || rules.is_some()) {
            view.unknown(node.place().offset, "the kind of this object is filled in".to_owned());
        }
        kinds.sort();
        kinds.dedup();
        let chosen = if kinds.len() > 1 { view.choose("kind".to_owned(), kinds.len()) } else { 0 };
        kinds.get(chosen).map(|kind| Cow::Borrowed(kind.as_str()))
    }

    fn role(&mut self, node: Node<'_>, kind: ObjectKind, api_version: SmolStr) {
        let [metadata, rules, aggregation] = self.fields.unique_fields(node, ["metadata", "rules", "aggregationRule"]);
        let meta = self.meta(node, metadata, kind, api_version);
        let mut role = Role { meta, rules: Vec::new(), aggregation: None };
        if self.fields.template.is_some() {
            role.rules = self.rules_in_branches(node, &role.meta);
            // Under a condition, the rules may count that are written here.
            if let Some(aggregation) =
                aggregation.filter(|it| self.is_certain(*it, node) && it.kind() == NodeKind::Mapping)
            {
                role.aggregation = (kind == ObjectKind::ClusterRole).then(|| self.aggregation(aggregation));
            }
            return self.contents.roles.push(role);
        }
        // The API server itself prints `rules: null` for a role without any.
        if let Some(rules) = rules.filter(|rules| !rules.is_null() || filled_in(*rules).is_some()) {
            if rules.kind() == NodeKind::Sequence {
                for rule in rules.items() {
                    let rule = self.rule(rule);
                    role.rules.push(rule);
                }
                role.rules.shrink_to_fit();
            } else {
                self.fields.wrong_type("rules", "a list of rules", rules);
            }
        }
        if let Some(aggregation) = aggregation.filter(|aggregation| !aggregation.is_null())
            && kind == ObjectKind::ClusterRole
        {
            role.aggregation = Some(self.aggregation(aggregation));
        }
        self.contents.roles.push(role);
    }

    fn is_certain(&self, inner: Node<'_>, outer: Node<'_>) -> bool {
        let template = self.fields.template.as_ref().map(|view| view.template);
        template.is_none_or(|template| template.is_certain(inner.range().start, outer.range().start, &[]))
    }

    /// The rules of a role in a template, of all branches.
    fn rules_in_branches(&mut self, node: Node<'_>, meta: &ObjectMeta) -> Vec<PolicyRule> {
        let mut rules = Vec::new();
        let [found] = self.fields.fields_in_branches(node, ["rules"]);
        if let Some(view) = &mut self.fields.template {
            for hole in view.holes_in(node).to_vec() {
                let what = format!("{} may have more, written by {}", meta.describe(), view.shown(hole));
                view.unknown_rules(node.place().offset, what, hole);
            }
        }
        for entry in &found {
            let value = entry.value;
            let place = entry.key.place();
            for rule in value.items() {
                self.rules_of_branches(rule, meta, &mut rules);
            }
            let Some(view) = &mut self.fields.template else { break };
            let written = view.template.only(value.range()).filter(|_| value.as_str().is_some());
            if written.is_none() && value.kind() != NodeKind::Sequence && !value.is_null() {
                view.unknown(place.offset, format!("the rules of {} are no list", meta.describe()));
            }
            for hole in view.holes_of(entry).to_vec().into_iter().chain(written) {
                let shown = view.shown(hole);
                match view.template.evaluate(hole) {
                    Some(literal) if !literal.is_true() => {}
                    Some(Literal::List(list)) if list.len() <= MAX_WRITTEN && list.iter().all(is_rule) => {
                        for literal in list.iter() {
                            view.notes.push((rules.len(), format!("the rule stands in {shown}")));
                            rules.push(written_rule(literal, place));
                        }
                    }
                    _ => {
                        let what = format!("rules of {} are written by {shown}", meta.describe());
                        view.unknown_rules(place.offset, what, hole);
                    }
                }
            }
        }
        rules
    }

    /// A rule in a template, once for each way in which its lists can be there together.
    fn rules_of_branches(&mut self, node: Node<'_>, meta: &ObjectMeta, rules: &mut Vec<PolicyRule>) {
        let lists = self.fields.fields_in_branches(node, RULE_LISTS);
        let ways = self.fields.template.as_ref().map(|view| view.ways_of(node, &lists)).unwrap_or_default();
        let is_one = ways.len() < 2;
        for way in ways {
            self.assume(way);
            let rule = self.rule_in_branches(node, &lists, rules.len(), meta);
            // Where none of the branches is there that hold its verbs, there is no rule.
            if is_one || !rule.verbs.is_empty() {
                rules.push(rule);
            }
        }
        self.assume(Vec::new());
    }

    fn assume(&mut self, branches: Vec<(String, usize)>) {
        if let Some(view) = &mut self.fields.template {
            view.assume(branches);
        }
    }

    /// Says that lines are missing in a mapping.
    fn say_holes(&mut self, mapping: Node<'_>, what: &str) {
        let Some(view) = &mut self.fields.template else { return };
        let shown: Vec<String> = view.holes_in(mapping).iter().take(3).map(|hole| view.shown(*hole)).collect();
        if !shown.is_empty() {
            view.unknown(mapping.place().offset, format!("{what} {}", shown.join(", ")));
        }
    }

    /// A rule in a template. What may be anything is taken as anything, if the rule has a verb of impersonation.
    fn rule_in_branches(
        &mut self,
        node: Node<'_>,
        lists: &[Vec<Entry<'_>>; RULE_LISTS.len()],
        index: usize,
        meta: &ObjectMeta,
    ) -> PolicyRule {
        let whose = format!("a rule of {}", meta.describe());
        if node.kind() != NodeKind::Mapping {
            let what = if node.is_null() { "is missing" } else { "is filled in" };
            self.fields.unknown(node.place(), format!("{whose} {what}"));
            return PolicyRule::default();
        }
        self.say_holes(node, &format!("{whose} may say more, written by"));
        let Some(view) = &mut self.fields.template else { return PolicyRule::default() };
        let place = node.place();
        let start = node.range().start;
        let mut at = 0;
        let [verbs, mut groups, mut resources, names, urls] = lists.each_ref().map(|found| {
            at += 1;
            (view.texts(found, RULE_LISTS[at - 1], start), found.first().map_or(place, |entry| entry.key.place()))
        });
        let say = |view: &mut TemplateView<'_>, name: &str, (listed, place): &(Listed, Place)| {
            let filled = listed.filled.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
            view.unknown(place.offset, format!("`{name}` of {whose} are filled in by {filled}"));
        };
        if !verbs.0.filled.is_empty() {
            say(view, "verbs", &verbs);
        }
        let impersonates = verbs.0.texts.iter().any(|verb| is_verb(verb.as_str()));
        let any_verb = verbs.0.texts.iter().any(|verb| verb.as_str() == "*");
        for (name, list) in [("apiGroups", &mut groups), ("resources", &mut resources)] {
            if list.0.filled.is_empty() {
                continue;
            }
            if impersonates {
                // A key of an extra is one, whatever fills it in.
                let has_kind = |text: &str| text.split("{{").next().is_some_and(|left| left.contains('/'));
                let known = list.0.texts.len();
                list.0.texts.retain(|text| !is_templated(text.as_str()) || has_kind(text.as_str()));
                if list.0.texts.len() == known && list.0.filled.len() <= known {
                    continue;
                }
                list.0.texts.push(Text { value: SmolStr::new_static("*"), place: list.1 });
                let filled = list.0.filled.first().cloned().unwrap_or_default();
                view.notes.push((index, format!("`{name}`, filled in by {filled}, may be any")));
            } else if any_verb {
                say(view, name, list);
            }
        }
        let (mut names, names_place) = names;
        if names.certain {
            view.notes.extend(names.resolved.into_iter().map(|note| (index, format!("{note} by default"))));
        } else if !names.texts.is_empty() || !names.filled.is_empty() || !names.resolved.is_empty() {
            view.notes.push((index, view.why_names_may_be_missing(&names, names_place, start)));
            names.texts.clear();
        }
        let others = [&verbs.0, &groups.0, &resources.0];
        let resolved = others.into_iter().flat_map(|list| &list.resolved);
        view.notes.extend(resolved.map(|note| (index, format!("{note} by default"))));
        PolicyRule {
            verbs: verbs.0.texts,
            api_groups: groups.0.texts,
            resources: resources.0.texts,
            resource_names: names.texts,
            non_resource_urls: urls.0.texts,
        }
    }

    /// A rule that cannot be read stays in its place as an empty one, so that the others keep their indices.
    fn rule(&mut self, node: Node<'_>) -> PolicyRule {
        if node.kind() != NodeKind::Mapping {
            self.fields.wrong_type("rules", "a list of rules", node);
            return PolicyRule::default();
        }
        let [verbs, api_groups, resources, resource_names, urls] = self.fields.unique_fields(node, RULE_LISTS);
        // A list that is there but could not be read must not look like an absent one: for resourceNames, absent means
        // any name.
        // Names that are filled in may be none, too.
        let resource_names = resource_names.filter(|names| !self.fields.is_filled_in("resourceNames", *names));
        let is_openshift = self.api == Api::OpenShift;
        // OpenShift prints rules like that.
        let api_groups = api_groups.filter(|groups| !is_openshift || !groups.is_null() || filled_in(*groups).is_some());
        let mut broken = false;
        let mut list = |name, node: Option<Node<'_>>| {
            let (texts, ok) = self.fields.texts(name, node);
            broken |= !ok;
            texts
        };
        let mut rule = PolicyRule {
            verbs: list("verbs", verbs),
            api_groups: list("apiGroups", api_groups),
            resources: list("resources", resources),
            resource_names: list("resourceNames", resource_names),
            non_resource_urls: list("nonResourceURLs", urls),
        };
        if broken {
            return PolicyRule::default();
        }
        if is_openshift {
            let [restrictions] = fields(node, ["attributeRestrictions"]);
            openshift::default_groups(
                &mut rule,
                api_groups.is_some(),
                restrictions.is_some_and(|node| !node.is_null()),
            );
        }
        rule
    }

    fn aggregation(&mut self, node: Node<'_>) -> AggregationRule {
        let mut rule = AggregationRule::default();
        if node.kind() != NodeKind::Mapping {
            self.fields.wrong_type("aggregationRule", "a mapping", node);
            return rule;
        }
        let [selectors] = self.fields.unique_fields(node, ["clusterRoleSelectors"]);
        let Some(selectors) = selectors.filter(|selectors| !selectors.is_null()) else { return rule };
        if selectors.kind() != NodeKind::Sequence {
            self.fields.wrong_type("clusterRoleSelectors", "a list of selectors", selectors);
        }
        for selector in selectors.items() {
            if let Some(selector) = self.selector(selector) {
                rule.selectors.push(selector);
            }
        }
        rule
    }

    fn selector(&mut self, node: Node<'_>) -> Option<LabelSelector> {
        if node.kind() != NodeKind::Mapping {
            self.fields.wrong_type("clusterRoleSelectors", "a list of selectors", node);
            return None;
        }
        let [labels, expressions] = self.fields.unique_fields(node, ["matchLabels", "matchExpressions"]);
        let mut requirements: Vec<Requirement> = self
            .fields
            .string_map("matchLabels", labels)
            .into_iter()
            .map(|(key, value)| Requirement { key, operator: SelectorOperator::In, values: vec![value] })
            .collect();
        for expression in expressions.into_iter().flat_map(Node::items) {
            let [key, operator, values] = self.fields.unique_fields(expression, ["key", "operator", "values"]);
            let key = self.fields.text("key", key)?.value;
            let operator_text = self.fields.text("operator", operator)?;
            let operator = match operator_text.as_str() {
                "In" => SelectorOperator::In,
                "NotIn" => SelectorOperator::NotIn,
                "Exists" => SelectorOperator::Exists,
                "DoesNotExist" => SelectorOperator::DoesNotExist,
                other => {
                    self.fields.problem(
                        ProblemKind::WrongType,
                        operator_text.place,
                        format!("`operator` is \"{other}\", which no label selector knows"),
                        "use In, NotIn, Exists or DoesNotExist",
                    );
                    return None;
                }
            };
            let values = self.fields.texts("values", values).0.into_iter().map(|text| text.value).collect();
            requirements.push(Requirement { key, operator, values });
        }
        Some(LabelSelector { requirements })
    }

    fn binding(&mut self, node: Node<'_>, kind: ObjectKind, api_version: SmolStr) {
        let [metadata, role_ref, subjects] = self.fields.unique_fields(node, ["metadata", "roleRef", "subjects"]);
        let meta = self.meta(node, metadata, kind, api_version);
        if role_ref.is_none() && self.fields.template.is_none() {
            return self.partial_binding(node, meta, subjects);
        }
        let Some(role_ref) = self.role_ref(&meta, role_ref) else { return };
        let mut binding = Binding { meta, role_ref, subjects: Vec::new() };
        if self.fields.template.is_some() {
            binding.subjects = self.subjects_in_branches(node, &binding.meta);
            return self.contents.bindings.push(binding);
        }
        binding.subjects = match self.names_of_openshift(node) {
            Some(subjects) => subjects,
            None => self.subjects(subjects, &binding.meta),
        };
        self.contents.bindings.push(binding);
    }

    /// The subjects that `userNames` and `groupNames` of an OpenShift binding name. Where either is set, `subjects` does not
    /// count.
    fn names_of_openshift(&mut self, node: Node<'_>) -> Option<Vec<Subject>> {
        if self.api != Api::OpenShift {
            return None;
        }
        let is_set = |node: &Node<'_>| !node.is_null() || filled_in(*node).is_some();
        let [users, groups] =
            self.fields.unique_fields(node, ["userNames", "groupNames"]).map(|node| node.filter(is_set));
        if users.is_none() && groups.is_none() {
            return None;
        }
        let users = self.fields.texts("userNames", users).0.into_iter().map(Subject::of_username);
        let groups = self.fields.texts("groupNames", groups).0.into_iter().map(openshift::group);
        Some(users.chain(groups).collect())
    }

    fn partial_binding(&mut self, node: Node<'_>, meta: ObjectMeta, subjects: Option<Node<'_>>) {
        if directive(node).as_deref() == Some("delete") {
            return;
        }
        let subjects = self.subjects(subjects, &meta);
        let problem = Problem {
            path: Arc::clone(self.fields.path),
            place: Some(meta.name.place),
            kind: ProblemKind::WrongType,
            message: format!("`roleRef` of {} is missing, not a mapping", meta.describe()),
            help: Some(WRONG_TYPE_HELP.to_owned()),
        };
        self.contents.partial.push(PartialBinding { meta, subjects, problem });
    }

    /// The subjects of a binding in a manifest.
    fn subjects(&mut self, node: Option<Node<'_>>, binding: &ObjectMeta) -> Vec<Subject> {
        let mut subjects = Vec::new();
        let Some(node) = node.filter(|node| !node.is_null() || filled_in(*node).is_some()) else { return subjects };
        if node.kind() == NodeKind::Sequence {
            let in_patch = binding.is_patch();
            for item in node.items() {
                // What a patch takes away, and how it is merged, is nobody.
                let known = fields(item, ["kind", "name"]).iter().all(Option::is_some);
                if directive(item).is_some_and(|directive| !known || in_patch && directive == "delete") {
                    continue;
                }
                let read = match self.somebody(item) {
                    None => self.subject(item, binding),
                    somebody => somebody,
                };
                subjects.extend(read);
            }
        } else if let Some(somebody) = self.somebody(node) {
            subjects.push(somebody);
        } else {
            self.fields.wrong_type("subjects", "a list of subjects", node);
        }
        subjects
    }

    /// Whoever is filled in, among the subjects of a manifest.
    fn somebody(&mut self, node: Node<'_>) -> Option<Subject> {
        let by = filled_in(node).filter(|_| self.fields.template.is_none())?;
        self.fields.language = template_language(by.as_bytes());
        Some(somebody(&by, node.place()))
    }

    /// The subjects of a binding in a template, of all branches. Whoever is not known is somebody.
    fn subjects_in_branches(&mut self, node: Node<'_>, meta: &ObjectMeta) -> Vec<Subject> {
        let mut subjects = Vec::new();
        let [found] = self.fields.fields_in_branches(node, ["subjects"]);
        self.say_holes(node, &format!("{} may say more, written by", meta.describe()));
        for entry in &found {
            for item in entry.value.items() {
                let Some(view) = &mut self.fields.template else { break };
                let known = view.unknown.len();
                let mut read = None;
                if item.kind() == NodeKind::Mapping {
                    read = self.subject(item, meta);
                }
                let Some(view) = &mut self.fields.template else { break };
                let written = view.template.only(item.range()).filter(|_| item.as_str().is_some());
                let spelled = view.holes_in(item).iter().copied().chain(written).next().map(|hole| view.shown(hole));
                if read.is_none() {
                    // It is among the subjects, which says that it is not known.
                    view.unknown.truncate(known);
                    let name = spelled.unwrap_or_else(|| "{{ }}".to_owned());
                    read = Some(somebody(&name, item.place()));
                }
                subjects.extend(read);
            }
            let Some(view) = &mut self.fields.template else { break };
            let place = entry.key.place();
            let written = view.template.only(entry.value.range()).filter(|_| entry.value.as_str().is_some());
            for hole in view.holes_of(entry).to_vec().into_iter().chain(written) {
                match view.template.evaluate(hole) {
                    Some(literal) if !literal.is_true() => {}
                    Some(Literal::List(list)) if list.len() <= MAX_WRITTEN => {
                        subjects.extend(list.iter().map(|literal| written_subject(literal, meta, place)));
                    }
                    _ => subjects.push(somebody(&view.shown(hole), place)),
                }
            }
        }
        subjects
    }

    fn role_ref(&mut self, meta: &ObjectMeta, node: Option<Node<'_>>) -> Option<RoleRef> {
        let Some(node) = node.filter(|node| node.kind() == NodeKind::Mapping) else {
            if node.is_some_and(|node| self.fields.is_filled_in("roleRef", node)) {
                return None;
            }
            let found = node.map_or("missing", Node::describe);
            let place = node.map_or(meta.name.place, Node::place);
            self.fields.problem(
                ProblemKind::WrongType,
                place,
                format!("`roleRef` of {} is {found}, not a mapping", meta.describe()),
                WRONG_TYPE_HELP,
            );
            return None;
        };
        let [kind, name, namespace] = self.fields.unique_fields(node, ["kind", "name", "namespace"]);
        let name = self.fields.required_text("name", name, node, "roleRef")?;
        let kind = match (kind, self.api) {
            // OpenShift's roleRef names the namespace of a Role, and nothing for a ClusterRole.
            (None, Api::OpenShift) => Some(if namespace.is_some_and(|namespace| !namespace.is_null()) {
                RoleKind::Role
            } else {
                RoleKind::ClusterRole
            }),
            (Some(kind), _)
                if self.fields.template.is_some() && kind.as_str().is_some_and(|text| is_templated(&text)) =>
            {
                let chosen = self.fields.template.as_mut().map_or(0, |view| view.choose("roleRef".to_owned(), 2));
                [Some(RoleKind::ClusterRole), Some(RoleKind::Role)].get(chosen).copied().flatten()
            }
            (kind, _) => match self.fields.required_text("kind", kind, node, "roleRef")?.as_str() {
                "Role" => Some(RoleKind::Role),
                "ClusterRole" => Some(RoleKind::ClusterRole),
                _ => None,
            },
        };
        Some(RoleRef { kind, name })
    }

    fn subject(&mut self, node: Node<'_>, binding: &ObjectMeta) -> Option<Subject> {
        if node.kind() != NodeKind::Mapping {
            self.fields.wrong_type("subjects", "a list of subjects", node);
            return None;
        }
        let [kind, name, namespace] = self.fields.unique_fields(node, ["kind", "name", "namespace"]);
        let kind = self.fields.required_text("kind", kind, node, "a subject")?;
        let name = self.fields.required_text("name", name, node, "a subject")?;
        let namespace =
            self.fields.text("namespace", namespace).map(|text| text.value).filter(|namespace| !namespace.is_empty());
        let kind = match kind.as_str() {
            "User" | "SystemUser" => SubjectKind::User,
            "Group" | "SystemGroup" => SubjectKind::Group,
            "ServiceAccount" => SubjectKind::ServiceAccount,
            filled_in if self.fields.template.is_some() && is_templated(filled_in) => SubjectKind::User,
            _ => SubjectKind::Unknown(kind.value),
        };
        let in_own_namespace = kind == SubjectKind::ServiceAccount && namespace.is_none();
        let namespace = match kind {
            SubjectKind::ServiceAccount => namespace.or_else(|| binding.effective_namespace().map(SmolStr::new)),
            // The server does not look at the namespace of a user or a group.
            _ => None,
        };
        Some(Subject { kind, namespace, name, in_own_namespace })
    }

    fn meta(&mut self, object: Node<'_>, node: Option<Node<'_>>, kind: ObjectKind, api_version: SmolStr) -> ObjectMeta {
        let kind_place = fields(object, ["kind"])[0].map_or_else(|| object.place(), Node::place);
        let no_name = Text { value: SmolStr::default(), place: kind_place };
        let mut meta = ObjectMeta {
            kind,
            api_version,
            namespace: None,
            name: no_name.clone(),
            labels: Vec::new(),
            annotations: Vec::new(),
            kept: Vec::new(),
            path: Arc::clone(self.fields.path),
            copies: Vec::new(),
            embedded: self.embedded.clone(),
            template: None,
        };
        if let Some(view) = &self.fields.template {
            let missing = || view.may_write_fields(object).map(|hole| view.shown(hole));
            let written = node.map_or_else(missing, |node| node.as_str().map(Cow::into_owned));
            if let Some(name) = written {
                meta.name.value = name.into();
                return meta;
            }
        }
        let Some(node) = node.filter(|node| node.kind() == NodeKind::Mapping) else {
            if let Some(node) = node.filter(|node| self.fields.is_filled_in("metadata", *node)) {
                meta.name = Text { value: filled_in(node).map(SmolStr::new).unwrap_or_default(), place: node.place() };
                return meta;
            }
            self.fields.problem(
                ProblemKind::WrongType,
                node.map_or(kind_place, Node::place),
                format!("`metadata` of this {kind} is {}, not a mapping", node.map_or("missing", Node::describe)),
                WRONG_TYPE_HELP,
            );
            return meta;
        };
        let names = ["name", "namespace", "labels", "annotations", "generateName"];
        let [name, namespace, labels, annotations, generate_name] = self.fields.unique_fields(node, names);
        if let Some(name) = self.fields.text("name", name) {
            meta.name = name;
        } else if name.is_none()
            && let Some(view) = &self.fields.template
            && let Some(hole) = view.holes_in(node).first()
        {
            meta.name = Text { value: view.shown(*hole).into(), place: kind_place };
        } else if name.is_none() && generate_name.is_none() {
            self.fields.problem(
                ProblemKind::WrongType,
                kind_place,
                format!("this {kind} has no `metadata.name`, so nothing can refer to it"),
                WRONG_TYPE_HELP,
            );
        }
        let namespace = self.fields.text("namespace", namespace).map(|text| text.value);
        meta.namespace = namespace.filter(|namespace| !namespace.is_empty());
        meta.labels = self.fields.string_map("labels", labels);
        meta.annotations = annotations.map(read_annotations).unwrap_or_default();
        let kept = ["ownerReferences", "finalizers"].into_iter().zip(fields(node, ["ownerReferences", "finalizers"]));
        let kept = kept.filter_map(|(key, node)| Some((SmolStr::new_static(key), value_of(node?, 0)?)));
        meta.kept = kept.collect();
        meta
    }
}

/// Whether some of a scalar is filled in, or all of it.
fn is_templated_node(node: Node<'_>) -> bool {
    is_templated(node.source()) || node.as_str().is_some_and(|text| is_templated(&text))
}

/// How a strategic merge patch is applied, where it says so.
fn directive(node: Node<'_>) -> Option<Cow<'_, str>> {
    let [directive] = fields(node, ["$patch"]);
    directive.and_then(Node::as_str)
}

/// How many rules or subjects of a list in a chart's values are read.
const MAX_WRITTEN: usize = 100;

/// Whether a value of a chart can be read as a rule: nothing but lists of strings.
fn is_rule(literal: &Literal) -> bool {
    matches!(literal, Literal::Map(map) if map.values().all(|list| list.texts().is_some()))
}

/// A rule that stands in the values of a chart, at the place at which it is written into a role.
fn written_rule(literal: &Literal, place: Place) -> PolicyRule {
    let list = |name: &str| {
        let texts = match literal {
            Literal::Map(map) => map.get(name).and_then(Literal::texts),
            _ => None,
        };
        texts.unwrap_or_default().into_iter().map(|text| Text { value: text.into(), place }).collect()
    };
    PolicyRule {
        verbs: list("verbs"),
        api_groups: list("apiGroups"),
        resources: list("resources"),
        resource_names: list("resourceNames"),
        non_resource_urls: list("nonResourceURLs"),
    }
}

/// A subject that stands in the values of a chart, likewise.
fn written_subject(literal: &Literal, binding: &ObjectMeta, place: Place) -> Subject {
    let field = |name: &str| match literal {
        Literal::Map(map) => map.get(name).and_then(Literal::text),
        _ => None,
    };
    let name = Text { value: field("name").unwrap_or_else(|| "{{ }}".to_owned()).into(), place };
    let namespace = field("namespace").map(SmolStr::from);
    match field("kind").as_deref() {
        Some("ServiceAccount") => Subject {
            kind: SubjectKind::ServiceAccount,
            in_own_namespace: namespace.is_none(),
            namespace: namespace.or_else(|| binding.effective_namespace().map(SmolStr::new)),
            name,
        },
        Some("Group") => Subject { kind: SubjectKind::Group, namespace: None, name, in_own_namespace: false },
        _ => Subject { kind: SubjectKind::User, namespace: None, name, in_own_namespace: false },
    }
}

/// Someone of whom is known only what fills him in.
fn somebody(name: &str, place: Place) -> Subject {
    let name = Text { value: name.into(), place };
    Subject { kind: SubjectKind::User, namespace: None, name, in_own_namespace: false }
}

/// The annotations that are strings, without the object's own copy that `kubectl apply` leaves there. They bear on
/// nothing, so what is wrong with them is no problem of ours.
fn read_annotations(node: Node<'_>) -> Vec<(SmolStr, SmolStr)> {
    let mut annotations = BTreeMap::new();
    node.visit_fields(&mut |key, entry, origin| {
        let NodeKind::String(text) = entry.value.kind() else { return };
        if key != LAST_APPLIED && (origin == FieldOrigin::Own || !annotations.contains_key(key)) {
            annotations.insert(SmolStr::new(key), SmolStr::new(text));
        }
    });
    annotations.into_iter().collect()
}

/// A part of an object as it is written; none for what is neither text, yes or no, a list nor a mapping, and for what is
/// deeper than any metadata.
fn value_of(node: Node<'_>, depth: usize) -> Option<Value> {
    if depth > MAX_LIST_DEPTH {
        return None;
    }
    Some(match node.kind() {
        NodeKind::String(text) => Value::text(SmolStr::new(text)),
        NodeKind::Other(ScalarType::Boolean) => Value::Bool(node.is_yes()),
        NodeKind::Other(_) => return None,
        NodeKind::Sequence => Value::List(node.items().filter_map(|item| value_of(item, depth + 1)).collect()),
        NodeKind::Mapping => {
            let mut entries = BTreeMap::new();
            node.visit_fields(&mut |key, entry, origin| {
                if let Some(value) = value_of(entry.value, depth + 1)
                    && (origin == FieldOrigin::Own || !entries.contains_key(key))
                {
                    entries.insert(SmolStr::new(key), value);
                }
            });
            Value::map(entries)
        }
    })
}
