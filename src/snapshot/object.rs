//! An object of a server's list, as far as a snapshot keeps it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use smol_str::SmolStr;

use crate::inventory::{API_VERSION, LAST_APPLIED, ObjectKind};
use crate::syntax::Value;

/// Annotations in which tools keep a copy of the object that they applied.
const COPIES: [&str; 3] = [LAST_APPLIED, "kapp.k14s.io/original", "objectset.rio.cattle.io/applied"];

/// A role or binding as a server lists it. What is not named here is not kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedObject {
    /// Its metadata.
    pub metadata: ListedMetadata,
    #[serde(default)]
    pub(super) aggregation_rule: Part,
    #[serde(default)]
    pub(super) rules: Part,
    #[serde(default)]
    pub(super) role_ref: Part,
    #[serde(default)]
    pub(super) subjects: Part,
}

/// The metadata of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedMetadata {
    /// Its name.
    pub name: SmolStr,
    /// Its namespace.
    pub namespace: Option<SmolStr>,
    #[serde(default)]
    pub(super) labels: BTreeMap<SmolStr, SmolStr>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<SmolStr, SmolStr>,
    #[serde(default)]
    pub(super) owner_references: Part,
    #[serde(default)]
    pub(super) finalizers: Part,
}

/// Part of an object; none where the server had none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Part(pub(super) Option<Value>);

impl ListedObject {
    /// The object with its fields in the customary order.
    pub(super) fn into_value(self, kind: ObjectKind) -> Value {
        let ListedMetadata { name, namespace, labels, mut annotations, owner_references, finalizers } = self.metadata;
        // The object once more, as whoever applied it got it.
        COPIES.iter().for_each(|copy| drop(annotations.remove(*copy)));
        let texts = |map: BTreeMap<SmolStr, SmolStr>| {
            Part((!map.is_empty()).then(|| Value::map(map.into_iter().map(|(key, value)| (key, Value::Text(value))))))
        };
        let metadata = [
            ("name", Part(Some(Value::Text(name)))),
            ("namespace", Part(namespace.map(Value::Text))),
            ("labels", texts(labels)),
            ("annotations", texts(annotations)),
            ("ownerReferences", owner_references),
            ("finalizers", finalizers),
        ];
        let parts = [
            ("apiVersion", Part(Some(Value::text(API_VERSION)))),
            ("kind", Part(Some(Value::text(kind.as_str())))),
            ("metadata", Part(Some(present(metadata)))),
            ("aggregationRule", self.aggregation_rule),
            ("rules", self.rules),
            ("roleRef", self.role_ref),
            ("subjects", self.subjects),
        ];
        present(parts)
    }
}

fn present<const N: usize>(parts: [(&'static str, Part); N]) -> Value {
    Value::map(parts.into_iter().filter_map(|(key, part)| Some((key, part.0?))))
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("part of an RBAC object")
    }

    fn visit_unit<E>(self) -> Result<Part, E> {
        Ok(Part(None))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Part, E> {
        Ok(Part(Some(Value::Bool(value))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Part, E> {
        Ok(Part(Some(Value::text(value))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Part, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Part>()? {
            items.extend(item.0);
        }
        Ok(Part(Some(Value::List(items))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Part, A::Error> {
        let mut entries: Vec<(SmolStr, Value)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<SmolStr, Part>()? {
            entries.extend(value.0.map(|value| (key, value)));
        }
        Ok(Part(Some(Value::Map(entries))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_adds_is_left_out() {
        let listed: ListedObject = serde_json::from_str(
            r#"{"metadata": {"name": "a", "uid": "1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
                 "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:rules": {}}}], "labels": {"b": "true"},
                 "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "c": "d"},
                 "ownerReferences": [{"kind": "Deployment", "controller": true, "uid": "2"}]},
               "rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["users"]}], "subjects": null, "later": 1}"#,
        )
        .unwrap();
        let text = crate::syntax::Style::default().block(&listed.into_value(ObjectKind::ClusterRole), 0);
        let expected = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: a\n  labels:\n    b: \
                        \"true\"\n  annotations:\n    c: d\n  ownerReferences:\n  - kind: Deployment\n    controller: true\n    \
                        uid: \"2\"\nrules:\n- verbs:\n  - \"*\"\n  apiGroups:\n  - \"\"\n  resources:\n  - users\n";
        assert_eq!(text, expected);
    }
}
