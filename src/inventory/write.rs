//! Objects as a client sends them.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::object::{
    API_VERSION, AggregationRule, Binding, LabelSelector, Object, ObjectMeta, PolicyRule, Requirement, RoleKind,
    SelectorOperator, SubjectKind, Text,
};
use crate::syntax::Value;

const API_GROUP: &str = "rbac.authorization.k8s.io";

type Fields = Vec<(SmolStr, Value)>;

impl Object {
    /// The object with its fields in the customary order.
    pub fn to_value(&self) -> Value {
        let meta = self.meta();
        let mut fields = Fields::new();
        put(&mut fields, "apiVersion", Value::text(API_VERSION));
        put(&mut fields, "kind", Value::text(meta.kind.as_str()));
        put(&mut fields, "metadata", meta_value(meta));
        match self {
            Self::Role(role) => {
                if let Some(aggregation) = &role.aggregation {
                    put(&mut fields, "aggregationRule", aggregation_value(aggregation));
                }
                put(&mut fields, "rules", Value::List(role.rules.iter().map(PolicyRule::to_value).collect()));
            }
            Self::Binding(binding) => put_binding(&mut fields, binding),
        }
        Value::Map(fields)
    }
}

impl PolicyRule {
    /// The rule; lists without items are left out.
    pub fn to_value(&self) -> Value {
        let lists = self.lists().into_iter().filter(|(_, list)| !list.is_empty());
        Value::map(lists.map(|(key, list)| (key, Value::texts(list.iter().map(|text| text.value.clone())))))
    }

    /// The lists by their keys, in the customary order.
    pub fn lists(&self) -> [(&'static str, &Vec<Text>); 5] {
        [
            ("apiGroups", &self.api_groups),
            ("resources", &self.resources),
            ("resourceNames", &self.resource_names),
            ("nonResourceURLs", &self.non_resource_urls),
            ("verbs", &self.verbs),
        ]
    }

    /// The lists as sets, which is what they mean, in the same order.
    pub fn sets(&self) -> [BTreeSet<&str>; 5] {
        self.lists().map(|(_, list)| list.iter().map(Text::as_str).collect())
    }
}

fn put(fields: &mut Fields, key: &'static str, value: Value) {
    fields.push((SmolStr::new_static(key), value));
}

fn meta_value(meta: &ObjectMeta) -> Value {
    let mut fields = Fields::new();
    put(&mut fields, "name", Value::text(meta.name.value.clone()));
    if let Some(namespace) = meta.namespace.as_ref().filter(|_| meta.kind.is_namespaced()) {
        put(&mut fields, "namespace", Value::text(namespace.clone()));
    }
    for (key, map) in [("labels", &meta.labels), ("annotations", &meta.annotations)] {
        if !map.is_empty() {
            put(&mut fields, key, Value::map(map.iter().map(|(key, value)| (key.clone(), Value::text(value.clone())))));
        }
    }
    fields.extend(meta.kept.iter().cloned());
    Value::Map(fields)
}

fn aggregation_value(aggregation: &AggregationRule) -> Value {
    let mut fields = Fields::new();
    if !aggregation.selectors.is_empty() {
        let selectors = aggregation.selectors.iter().map(selector_value).collect();
        put(&mut fields, "clusterRoleSelectors", Value::List(selectors));
    }
    Value::Map(fields)
}

fn selector_value(selector: &LabelSelector) -> Value {
    let mut fields = Fields::new();
    // Read back, both ways to ask for one value are the same; this one is customary.
    let is_label = |requirement: &&Requirement| {
        let alone = selector.requirements.iter().filter(|other| other.key == requirement.key).count() == 1;
        alone && requirement.operator == SelectorOperator::In && requirement.values.len() == 1
    };
    let labels: Vec<(SmolStr, Value)> = selector
        .requirements
        .iter()
        .filter(is_label)
        .filter_map(|requirement| Some((requirement.key.clone(), Value::text(requirement.values.first()?.clone()))))
        .collect();
    if !labels.is_empty() {
        put(&mut fields, "matchLabels", Value::map(labels));
    }
    let requirements: Vec<Value> = selector
        .requirements
        .iter()
        .filter(|requirement| !is_label(requirement))
        .map(|requirement| {
            let operator = match requirement.operator {
                SelectorOperator::In => "In",
                SelectorOperator::NotIn => "NotIn",
                SelectorOperator::Exists => "Exists",
                SelectorOperator::DoesNotExist => "DoesNotExist",
            };
            let mut fields = Fields::new();
            put(&mut fields, "key", Value::text(requirement.key.clone()));
            put(&mut fields, "operator", Value::text(operator));
            if !requirement.values.is_empty() {
                put(&mut fields, "values", Value::texts(requirement.values.iter().cloned()));
            }
            Value::Map(fields)
        })
        .collect();
    if !requirements.is_empty() {
        put(&mut fields, "matchExpressions", Value::List(requirements));
    }
    Value::Map(fields)
}

fn put_binding(fields: &mut Fields, binding: &Binding) {
    let kind = match binding.role_ref.kind {
        Some(RoleKind::Role) => "Role",
        _ => "ClusterRole",
    };
    let role_ref =
        [("apiGroup", API_GROUP.into()), ("kind", kind.into()), ("name", binding.role_ref.name.value.clone())];
    put(fields, "roleRef", Value::map(role_ref.map(|(key, value): (_, SmolStr)| (key, Value::Text(value)))));
    let subjects = binding.subjects.iter().map(|subject| {
        let mut fields = Fields::new();
        put(&mut fields, "kind", Value::text(subject.kind.as_str()));
        // A service account is of the core group, which is the default.
        if subject.kind != SubjectKind::ServiceAccount {
            put(&mut fields, "apiGroup", Value::text(API_GROUP));
        }
        put(&mut fields, "name", Value::text(subject.name.value.clone()));
        if let Some(namespace) = subject.namespace.as_ref().filter(|_| !subject.in_own_namespace) {
            put(&mut fields, "namespace", Value::text(namespace.clone()));
        }
        Value::Map(fields)
    });
    put(fields, "subjects", Value::List(subjects.collect()));
}
