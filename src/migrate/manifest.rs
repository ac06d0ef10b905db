//! The objects that a migration adds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smol_str::SmolStr;

use super::name::{NameTemplate, Names};
use crate::authority::{DISCOVERY_PATHS, Mode, Verb};
use crate::evidence::Impersonator;
use crate::inventory::{
    Binding, Inventory, Object, ObjectKey, ObjectKind, ObjectMeta, PolicyRule, Role, RoleKind, RoleRef, Subject, Text,
};
use crate::syntax::Value;

/// The label of every generated object; its value is the mode. A later run knows its own objects by it.
pub const LABEL_MODE: &str = "deputize.dev/mode";

/// Its value for what has to stay legacy. A later run treats that like any other legacy grant.
pub(super) const LABEL_LEGACY: &str = "legacy";

const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// How many places an annotation lists.
const MAX_LISTED: usize = 20;
/// The longest value of an annotation, in bytes. All annotations of an object together may have 256 KiB
/// (`TotalAnnotationSizeLimitB` in `pkg/api/validation/objectmeta.go`).
const MAX_ANNOTATION: usize = 32 << 10;
/// The most bytes that the rules of one role take as JSON. etcd refuses objects of more than 1.5 MiB by default; this
/// leaves room for what the server adds, and for indentation.
const MAX_RULES: usize = 512 << 10;

/// How generated objects are named and marked.
#[derive(Debug, Clone, Default)]
pub struct ObjectOptions {
    /// Their names.
    pub names: NameTemplate,
    /// The labels that they take over from the objects that they replace.
    pub copied_labels: BTreeSet<CopiedLabel>,
    /// The names of the files that an annotation lists, by their names in the inventory; files without a name are left
    /// out. None where the names in the inventory will do.
    pub sources: Option<BTreeMap<Arc<str>, String>>,
}

/// The key of a label that generated objects take over from the objects that they replace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopiedLabel(SmolStr);

impl CopiedLabel {
    /// Reads the key of a label.
    ///
    /// # Errors
    /// When the label means something else on a generated object: aggregation, Helm's ownership, or what deputize itself
    /// writes.
    pub fn parse(key: &str) -> Result<Self, String> {
        let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
        if name.starts_with("aggregate-to-") {
            return Err("it would aggregate the new roles into another one".to_owned());
        }
        if prefix == "helm.sh" || prefix.ends_with(".helm.sh") || ["heritage", "chart"].contains(&key) {
            return Err("it belongs to Helm".to_owned());
        }
        if key == LABEL_MANAGED_BY || prefix == "deputize.dev" || prefix.ends_with(".deputize.dev") {
            return Err("deputize writes it itself".to_owned());
        }
        let is_name = |text: &str, max: usize| {
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            text.len() <= max
                && ends(text.chars().next())
                && ends(text.chars().next_back())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        let is_key = is_name(name, 63) && (key == name || is_name(prefix, 253));
        if is_key { Ok(Self(key.into())) } else { Err("it is not the key of a label".to_owned()) }
    }
}

/// Where rules of a generated role apply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Everywhere: a ClusterRole and its ClusterRoleBinding.
    Cluster,
    /// One namespace, as written; none where the binding that is replaced has none.
    Namespace(Option<SmolStr>),
}

/// Where the objects of an impersonator come from.
#[derive(Debug, Default, Clone)]
pub(super) struct Origin {
    /// The roles and bindings that they replace, in words.
    replaces: BTreeSet<String>,
    /// The files of the roles.
    files: BTreeSet<Arc<str>>,
    /// The labels of the roles, then of the bindings.
    labels: [BTreeMap<SmolStr, BTreeSet<SmolStr>>; 2],
}

impl Origin {
    /// Adds a role that is replaced, and its file.
    pub fn add(&mut self, meta: &ObjectMeta) {
        self.add_name(meta);
        self.files.insert(Arc::clone(&meta.path));
    }

    /// Adds an object that has a part in it.
    pub fn add_name(&mut self, meta: &ObjectMeta) {
        self.replaces.insert(meta.reference());
        let labels = &mut self.labels[usize::from(meta.kind.is_binding())];
        for (key, value) in &meta.labels {
            labels.entry(key.clone()).or_default().insert(value.clone());
        }
    }

    /// The values that a label has on the roles, or on the bindings; if these have none, on the others.
    fn label(&self, key: &str, of_bindings: bool) -> Option<&BTreeSet<SmolStr>> {
        let [own, others] = [of_bindings, !of_bindings].map(|bindings| self.labels[usize::from(bindings)].get(key));
        own.or(others)
    }
}

/// Makes the objects of a plan.
pub(super) struct Maker<'m> {
    options: &'m ObjectOptions,
    names: Names,
    /// The keys by which the input's aggregated roles select.
    aggregating: BTreeSet<SmolStr>,
    /// The labels that were found on an object that is replaced.
    found: BTreeSet<&'m CopiedLabel>,
    warnings: BTreeSet<String>,
}

impl<'m> Maker<'m> {
    /// `own` are the objects of an earlier run that are replaced.
    pub fn new(inventory: &Inventory, own: &[ObjectKey], options: &'m ObjectOptions) -> Self {
        let aggregations = inventory.roles.iter().filter_map(|role| role.aggregation.as_ref());
        let selectors = aggregations.flat_map(|aggregation| &aggregation.selectors);
        let keys = selectors.flat_map(|selector| &selector.requirements).map(|requirement| requirement.key.clone());
        Self {
            options,
            names: Names::new(inventory, own, options.names.clone()),
            aggregating: keys.collect(),
            found: BTreeSet::new(),
            warnings: BTreeSet::new(),
        }
    }

    /// Makes a role with these rules in a scope, and the binding that gives it to an impersonator.
    pub fn role_and_binding(
        &mut self,
        impersonator: &Impersonator,
        mode: &'static str,
        scope: &Scope,
        rules: Vec<PolicyRule>,
        origin: &Origin,
    ) -> (Object, Object) {
        let name = self.names.name(impersonator, mode, scope);
        let (role_kind, kind, binding_kind, namespace) = match scope {
            Scope::Cluster => (RoleKind::ClusterRole, ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding, None),
            Scope::Namespace(namespace) => {
                (RoleKind::Role, ObjectKind::Role, ObjectKind::RoleBinding, namespace.clone())
            }
        };
        let annotations = self.annotations(impersonator, origin);
        let mut meta = |kind: ObjectKind| ObjectMeta {
            labels: self.labels(mode, kind.is_binding(), origin, &name),
            annotations: annotations.clone(),
            ..ObjectMeta::new(kind, namespace.clone(), name.clone())
        };
        let role = Role { meta: meta(kind), rules, aggregation: None };
        let subject = Subject {
            kind: impersonator.kind.clone(),
            namespace: impersonator.namespace.clone(),
            name: Text::new(impersonator.name.clone()),
            in_own_namespace: false,
        };
        let role_ref = RoleRef { kind: Some(role_kind), name: Text::new(name.clone()) };
        let binding = Binding { meta: meta(binding_kind), role_ref, subjects: vec![subject] };
        (Object::Role(role), Object::Binding(binding))
    }

    fn annotations(&self, impersonator: &Impersonator, origin: &Origin) -> Vec<(SmolStr, SmolStr)> {
        let files: BTreeSet<String> = match &self.options.sources {
            None => origin.files.iter().map(ToString::to_string).collect(),
            Some(names) => origin.files.iter().filter_map(|file| names.get(file).cloned()).collect(),
        };
        let annotations = [
            ("deputize.dev/impersonator", cut(impersonator.describe())),
            ("deputize.dev/replaces", listed(&origin.replaces)),
            ("deputize.dev/source", listed(&files)),
        ];
        let annotations = annotations.into_iter().filter(|(_, value)| !value.is_empty());
        annotations.map(|(key, value)| (SmolStr::new_static(key), value.into())).collect()
    }

    /// The labels of an object, sorted by key.
    fn labels(
        &mut self,
        mode: &'static str,
        of_bindings: bool,
        origin: &Origin,
        name: &str,
    ) -> Vec<(SmolStr, SmolStr)> {
        let mut labels = BTreeMap::from([
            (SmolStr::new_static(LABEL_MANAGED_BY), SmolStr::new_static("deputize")),
            (SmolStr::new_static(LABEL_MODE), SmolStr::new_static(mode)),
        ]);
        for label in &self.options.copied_labels {
            let CopiedLabel(key) = label;
            let Some(values) = origin.label(key, of_bindings) else { continue };
            self.found.insert(label);
            if self.aggregating.contains(key) {
                self.warnings.insert(format!("the label {key} is not copied: an aggregated role selects by it"));
            } else if let (Some(value), 1) = (values.first(), values.len()) {
                labels.insert(key.clone(), value.clone());
            } else {
                let what = "the objects that it replaces have different values";
                self.warnings.insert(format!("the label {key} is not copied to {name}: {what}"));
            }
        }
        labels.into_iter().collect()
    }

    /// What a person should know about the objects made.
    pub fn into_warnings(self) -> impl Iterator<Item = String> {
        let missing = self.options.copied_labels.iter().filter(move |label| !self.found.contains(label));
        let missing = missing.map(|CopiedLabel(key)| format!("the label {key} is on no object that is replaced"));
        self.warnings.into_iter().chain(missing)
    }
}

/// Returns an object as it is written: the rules of a generated role have comments that say what they are for.
pub fn to_value(object: &Object) -> Value {
    let mut value = object.to_value();
    let (Object::Role(role), Value::Map(fields)) = (object, &mut value) else { return value };
    if role.meta.label(LABEL_MODE).is_none() {
        return value;
    }
    let rules = fields.iter_mut().find(|(key, _)| key == "rules");
    if let Some((_, Value::List(rules))) = rules {
        let mut last = None;
        for (written, rule) in rules.iter_mut().zip(&role.rules) {
            let comment = comment_of(rule);
            if let Some(comment) = comment.filter(|_| comment != last) {
                let rule = std::mem::replace(written, Value::Bool(false));
                *written = Value::Commented(comment, Box::new(rule));
            }
            last = comment;
        }
    }
    value
}

/// What a rule of a generated role is for.
fn comment_of(rule: &PolicyRule) -> Option<&'static str> {
    let is_discovery = rule.non_resource_urls.iter().map(Text::as_str).eq(DISCOVERY_PATHS);
    match Verb::parse(rule.verbs.first()?.as_str()) {
        Verb::Identity(Mode::Legacy) => Some("Who it may still act as with the legacy verb"),
        Verb::Identity(_) => Some("Who it may act as"),
        Verb::Action(..) if is_discovery => Some("API discovery, which clients read first"),
        Verb::Action(..) => Some("What it may do as them"),
        _ => None,
    }
}

/// Strings that stand in no file.
pub(super) fn texts<T: Into<SmolStr>>(values: impl IntoIterator<Item = T>) -> Vec<Text> {
    values.into_iter().map(Text::new).collect()
}

fn listed(items: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = items.iter().take(MAX_LISTED).map(String::as_str).collect();
    let more = items.len().saturating_sub(MAX_LISTED);
    let mut text = shown.join(", ");
    if more > 0 {
        text = format!("{text} and {more} more");
    }
    cut(text)
}

/// Cuts a text to what an annotation may hold.
fn cut(mut text: String) -> String {
    if text.len() > MAX_ANNOTATION {
        let end = (0..=MAX_ANNOTATION).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Distributes rules over as few roles as the size of an object allows. Rules with many names are split.
pub(super) fn fit(rules: Vec<PolicyRule>) -> Vec<Vec<PolicyRule>> {
    let mut roles: Vec<Vec<PolicyRule>> = vec![Vec::new()];
    let mut used = 0;
    for rule in rules.into_iter().flat_map(split_names) {
        let size = json_size(&rule);
        if used > 0 && used + size > MAX_RULES {
            roles.push(Vec::new());
            used = 0;
        }
        used += size;
        if let Some(last) = roles.last_mut() {
            last.push(rule);
        }
    }
    roles
}

/// Splits a rule so that each part fits into a role. Its other lists are as short as requests have them.
fn split_names(rule: PolicyRule) -> Vec<PolicyRule> {
    if json_size(&rule) <= MAX_RULES {
        return vec![rule];
    }
    let names = rule.resource_names.clone();
    let mut parts = Vec::new();
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let mut size = 0;
        let fitting = rest.iter().take_while(|name| {
            size += text_size(name);
            size <= MAX_RULES / 2
        });
        let (part, later) = rest.split_at(fitting.count().max(1));
        parts.push(PolicyRule { resource_names: part.to_vec(), ..rule.clone() });
        rest = later;
    }
    if parts.is_empty() { vec![rule] } else { parts }
}

/// About how many bytes a rule takes as JSON.
fn json_size(rule: &PolicyRule) -> usize {
    let lists = [&rule.verbs, &rule.api_groups, &rule.resources, &rule.resource_names, &rule.non_resource_urls];
    lists.into_iter().flatten().map(text_size).sum()
}

fn text_size(text: &Text) -> usize {
    text.as_str().len() + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_do_not_fit_into_one_role_are_distributed() {
        let names: Vec<Text> = (0..20_000).map(|n| Text::new(format!("name-of-a-user-{n:050}"))).collect();
        let rule = |names: &[Text]| PolicyRule { resource_names: names.to_vec(), ..PolicyRule::default() };
        let roles = fit(vec![rule(&[]), rule(&names), rule(&names[..1])]);
        assert!(roles.len() > 1);
        for role in &roles {
            assert!(role.iter().map(json_size).sum::<usize>() <= MAX_RULES);
        }
        let together: Vec<&Text> = roles.iter().flatten().flat_map(|rule| &rule.resource_names).collect();
        assert_eq!(together.len(), names.len() + 1);
        // A rule without names allows any: it must stay one.
        assert_eq!(roles.iter().flatten().filter(|rule| rule.resource_names.is_empty()).count(), 1);
    }

    #[test]
    fn annotations_are_cut() {
        let long = "ü".repeat(MAX_ANNOTATION);
        assert!(cut(long.clone()).len() <= MAX_ANNOTATION + 4);
        assert!(listed(&[long].into()).len() <= MAX_ANNOTATION + 4);
    }

    #[test]
    fn labels_that_are_never_copied() {
        for key in ["app.kubernetes.io/part-of", "team", "a.b/c_d.e", "release", "app.kubernetes.io/instance"] {
            assert_eq!(CopiedLabel::parse(key), Ok(CopiedLabel(key.into())));
        }
        for key in [
            "rbac.authorization.k8s.io/aggregate-to-edit",
            "rbac.kyverno.io/aggregate-to-x",
            "helm.sh/chart",
            "meta.helm.sh/release-name",
            "heritage",
            "chart",
            LABEL_MANAGED_BY,
            LABEL_MODE,
            "",
            "/",
            "a/",
            "/a",
            "a b",
            "a/b/c",
            "-a",
            "a\u{7}",
        ] {
            assert!(CopiedLabel::parse(key).is_err(), "{key}");
        }
    }
}
