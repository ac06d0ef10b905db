//! One document to the RBAC objects in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::cluster::{ClusterFacts, SNAPSHOT_API_VERSION, SNAPSHOT_KIND};
use super::embedded::{self, Mention};
use super::embedding::Embedding;
use super::fields::{FieldReader, WRONG_TYPE_HELP, entries, fields};
use super::object::*;
use crate::problem::{Problem, ProblemKind};
use crate::syntax::{Entry, FieldOrigin, Node, NodeKind, Place, ScalarType, Tree, Value};

/// How deep lists of lists are followed.
const MAX_LIST_DEPTH: usize = 16;

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

/// Reads the objects of one document into `contents`: those that stand there themselves, then those in others.
pub(super) fn read_document(tree: &Tree<'_>, path: &Arc<str>, contents: &mut Contents) {
    let first = contents.roles.len();
    read_placed(tree, path, contents);
    let was_exhausted = tree.exhausted();
    let opened = embedded::read(tree, path, contents);
    if tree.exhausted() && !was_exhausted {
        contents.problems.extend(exhausted(tree, path));
    }
    embedded::account(tree, path, &opened, first, None, contents);
}

/// Reads an RBAC object, or a list of them, that stands in another object.
pub(super) fn read_embedded(
    node: Node<'_>,
    inherited: Option<(&str, &str)>,
    path: &Arc<str>,
    embedding: Arc<Embedding>,
    contents: &mut Contents,
) {
    let mut reader = Reader { fields: FieldReader::new(path), contents, found: Vec::new(), embedded: Some(embedding) };
    reader.object(node, inherited, None, 0);
    let Reader { fields, contents, .. } = reader;
    contents.problems.extend(fields.problems);
}

/// Reads rules that stand in another object. What is no rule stays in its place as an empty one.
pub(super) fn read_rules<'t>(
    nodes: impl Iterator<Item = Option<Node<'t>>>,
    path: &Arc<str>,
    contents: &mut Contents,
) -> Vec<PolicyRule> {
    let mut reader = Reader { fields: FieldReader::new(path), contents, found: Vec::new(), embedded: None };
    let rules = nodes.map(|node| node.map(|node| reader.rule(node)).unwrap_or_default()).collect();
    let Reader { fields, contents, .. } = reader;
    contents.problems.extend(fields.problems);
    rules
}

/// Whether an object of that type is RBAC.
pub(super) fn is_rbac(kind: &str, api_version: &str) -> bool {
    ObjectKind::parse(kind).is_some() && api_of(api_version).is_some()
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

/// The objects of a document, each with its place in the tree, and how many problems there are.
pub(crate) fn placed_objects<'t>(tree: &'t Tree<'_>, path: &Arc<str>) -> (Vec<Placed<'t>>, usize) {
    let mut contents = Contents::default();
    let found = read_placed(tree, path, &mut contents);
    let (mut roles, mut bindings) = (contents.roles.into_iter(), contents.bindings.into_iter());
    let placed = found.into_iter().filter_map(|Found { node, item, is_role }| {
        let object = if is_role { roles.next().map(Object::Role) } else { bindings.next().map(Object::Binding) };
        Some(Placed { object: object?, node, item })
    });
    (placed.collect(), contents.problems.len())
}

fn read_placed<'t>(tree: &'t Tree<'_>, path: &Arc<str>, contents: &mut Contents) -> Vec<Found<'t>> {
    let Some(root) = tree.root() else { return Vec::new() };
    let mut reader = Reader { fields: FieldReader::new(path), contents, found: Vec::new(), embedded: None };
    reader.object(root, None, None, 0);
    let Reader { fields, contents, found, .. } = reader;
    contents.problems.extend(fields.problems);
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
        place: Some(Place { length: 0, end_line: place.line, end_column: place.column, ..place }),
        kind: ProblemKind::Expansion,
        message: "the document's aliases stand for more nodes than are read; what was read of it is incomplete"
            .to_owned(),
        help: Some("write the repeated parts out, or split the document".to_owned()),
    })
}

struct Reader<'c, 't> {
    fields: FieldReader<'c>,
    contents: &'c mut Contents,
    found: Vec<Found<'t>>,
    /// What the objects stand in.
    embedded: Option<Arc<Embedding>>,
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
        _ => None,
    }
}

impl<'t> Reader<'_, 't> {
    /// Reads an object, or the items of a list. `inherited` is the type of a typed list's items, which may leave
    /// theirs out.
    fn object(&mut self, node: Node<'t>, inherited: Option<(&str, &str)>, item: Option<Item<'t>>, depth: usize) {
        if node.kind() != NodeKind::Mapping {
            return;
        }
        let [kind, api_version, items] = entries(node, ["kind", "apiVersion", "items"]);
        let [kind, api_version] = [kind, api_version].map(|entry| entry.map(|entry| entry.value));
        let kind_text = kind.and_then(Node::as_str);
        let kind = kind_text.as_deref().or(inherited.map(|(kind, _)| kind)).unwrap_or_default();
        let version_text = api_version.and_then(Node::as_str);
        let api_version = version_text.as_deref().or(inherited.map(|(_, version)| version)).unwrap_or_default();
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
        let Some(api) = api_of(api_version) else { return };
        let api_version = SmolStr::new(api_version);
        let before = (self.contents.roles.len(), self.contents.bindings.len());
        match kind {
            ObjectKind::ClusterRole | ObjectKind::Role => self.role(node, kind, api_version),
            ObjectKind::ClusterRoleBinding | ObjectKind::RoleBinding => self.binding(node, kind, api_version, api),
        }
        let is_role = self.contents.roles.len() > before.0;
        if is_role || self.contents.bindings.len() > before.1 {
            self.found.push(Found { node, item, is_role });
        }
    }

    fn role(&mut self, node: Node<'_>, kind: ObjectKind, api_version: SmolStr) {
        let [metadata, rules, aggregation] = self.fields.unique_fields(node, ["metadata", "rules", "aggregationRule"]);
        let meta = self.meta(node, metadata, kind, api_version);
        let mut role = Role { meta, rules: Vec::new(), aggregation: None };
        // The API server itself prints `rules: null` for a role without any.
        if let Some(rules) = rules.filter(|rules| !rules.is_null()) {
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

    /// A rule that cannot be read stays in its place as an empty one, so that the others keep their indices.
    fn rule(&mut self, node: Node<'_>) -> PolicyRule {
        if node.kind() != NodeKind::Mapping {
            self.fields.wrong_type("rules", "a list of rules", node);
            return PolicyRule::default();
        }
        let names = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
        let [verbs, api_groups, resources, resource_names, urls] = self.fields.unique_fields(node, names);
        // A list that is there but could not be read must not look like an absent one: for resourceNames, absent means
        // any name.
        let mut broken = false;
        let mut list = |name, node: Option<Node<'_>>| {
            let (texts, ok) = self.fields.texts(name, node);
            broken |= !ok;
            texts
        };
        let rule = PolicyRule {
            verbs: list("verbs", verbs),
            api_groups: list("apiGroups", api_groups),
            resources: list("resources", resources),
            resource_names: list("resourceNames", resource_names),
            non_resource_urls: list("nonResourceURLs", urls),
        };
        if broken { PolicyRule::default() } else { rule }
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

    fn binding(&mut self, node: Node<'_>, kind: ObjectKind, api_version: SmolStr, api: Api) {
        let [metadata, role_ref, subjects] = self.fields.unique_fields(node, ["metadata", "roleRef", "subjects"]);
        let meta = self.meta(node, metadata, kind, api_version);
        let Some(role_ref) = self.role_ref(&meta, role_ref, api) else { return };
        let mut binding = Binding { meta, role_ref, subjects: Vec::new() };
        if let Some(subjects) = subjects.filter(|subjects| !subjects.is_null()) {
            if subjects.kind() == NodeKind::Sequence {
                for subject in subjects.items() {
                    binding.subjects.extend(self.subject(subject, &binding.meta));
                }
            } else {
                self.fields.wrong_type("subjects", "a list of subjects", subjects);
            }
        }
        self.contents.bindings.push(binding);
    }

    fn role_ref(&mut self, meta: &ObjectMeta, node: Option<Node<'_>>, api: Api) -> Option<RoleRef> {
        let Some(node) = node.filter(|node| node.kind() == NodeKind::Mapping) else {
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
        let kind = match (kind, api) {
            // OpenShift's roleRef names the namespace of a Role, and nothing for a ClusterRole.
            (None, Api::OpenShift) => Some(if namespace.is_some_and(|namespace| !namespace.is_null()) {
                RoleKind::Role
            } else {
                RoleKind::ClusterRole
            }),
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
        };
        let Some(node) = node.filter(|node| node.kind() == NodeKind::Mapping) else {
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
        NodeKind::Other(ScalarType::Boolean) => {
            Value::Bool(["y", "yes", "on", "true"].contains(&node.source().to_ascii_lowercase().as_str()))
        }
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
