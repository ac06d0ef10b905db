//! RBAC objects as YAML.

use std::io::{self, Write};

use smol_str::SmolStr;

use super::is_deceptive;
use crate::inventory::{
    API_VERSION, AggregationRule, Binding, Object, ObjectMeta, PolicyRule, Requirement, RoleKind, SelectorOperator,
    SubjectKind,
};
use crate::syntax::ScalarType;

const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Writes the objects as one stream of documents.
///
/// # Errors
/// When `out` does.
pub fn write_objects<'o>(out: &mut dyn Write, objects: impl IntoIterator<Item = &'o Object>) -> io::Result<()> {
    for object in objects {
        writeln!(out, "---")?;
        write_meta(out, object.meta())?;
        match object {
            Object::Role(role) => {
                if let Some(aggregation) = &role.aggregation {
                    write_aggregation(out, aggregation)?;
                }
                write_rules(out, &role.rules)?;
            }
            Object::Binding(binding) => write_binding(out, binding)?,
        }
    }
    Ok(())
}

/// Writes a kustomization that applies these files in their order.
///
/// # Errors
/// When `out` does.
pub fn write_kustomization(out: &mut dyn Write, files: impl IntoIterator<Item = String>) -> io::Result<()> {
    writeln!(out, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization")?;
    // What comes first must be there before what follows: what stays legacy, before the roles that lose it.
    writeln!(out, "sortOptions:\n  order: fifo\nresources:")?;
    files.into_iter().try_for_each(|file| writeln!(out, "- {}", scalar(&file)))
}

fn write_meta(out: &mut dyn Write, meta: &ObjectMeta) -> io::Result<()> {
    writeln!(out, "apiVersion: {API_VERSION}\nkind: {}\nmetadata:", meta.kind)?;
    writeln!(out, "  name: {}", scalar(meta.name.as_str()))?;
    if let Some(namespace) = meta.namespace.as_ref().filter(|_| meta.kind.is_namespaced()) {
        writeln!(out, "  namespace: {}", scalar(namespace))?;
    }
    for (title, map) in [("labels", &meta.labels), ("annotations", &meta.annotations)] {
        if map.is_empty() {
            continue;
        }
        writeln!(out, "  {title}:")?;
        for (key, value) in map {
            writeln!(out, "    {}: {}", scalar(key), scalar(value))?;
        }
    }
    Ok(())
}

fn write_rules(out: &mut dyn Write, rules: &[PolicyRule]) -> io::Result<()> {
    if rules.is_empty() {
        return writeln!(out, "rules: []");
    }
    writeln!(out, "rules:")?;
    for rule in rules {
        let mut indent = "- ";
        for (key, list) in [
            ("apiGroups", &rule.api_groups),
            ("resources", &rule.resources),
            ("resourceNames", &rule.resource_names),
            ("nonResourceURLs", &rule.non_resource_urls),
            ("verbs", &rule.verbs),
        ] {
            if list.is_empty() {
                continue;
            }
            writeln!(out, "{indent}{key}:")?;
            indent = "  ";
            for item in list {
                writeln!(out, "  - {}", scalar(item.as_str()))?;
            }
        }
        // A rule of which nothing is left stays in its place.
        if indent == "- " {
            writeln!(out, "- {{}}")?;
        }
    }
    Ok(())
}

fn write_aggregation(out: &mut dyn Write, aggregation: &AggregationRule) -> io::Result<()> {
    if aggregation.selectors.is_empty() {
        return writeln!(out, "aggregationRule: {{}}");
    }
    writeln!(out, "aggregationRule:\n  clusterRoleSelectors:")?;
    for selector in &aggregation.selectors {
        if selector.requirements.is_empty() {
            writeln!(out, "  - {{}}")?;
            continue;
        }
        writeln!(out, "  - matchExpressions:")?;
        for Requirement { key, operator, values } in &selector.requirements {
            let operator = match operator {
                SelectorOperator::In => "In",
                SelectorOperator::NotIn => "NotIn",
                SelectorOperator::Exists => "Exists",
                SelectorOperator::DoesNotExist => "DoesNotExist",
            };
            writeln!(out, "    - key: {}\n      operator: {operator}", scalar(key))?;
            if !values.is_empty() {
                let values: Vec<String> = values.iter().map(|value: &SmolStr| scalar(value)).collect();
                writeln!(out, "      values: [{}]", values.join(", "))?;
            }
        }
    }
    Ok(())
}

fn write_binding(out: &mut dyn Write, binding: &Binding) -> io::Result<()> {
    let kind = match binding.role_ref.kind {
        Some(RoleKind::Role) => "Role",
        _ => "ClusterRole",
    };
    let name = scalar(binding.role_ref.name.as_str());
    writeln!(out, "roleRef:\n  apiGroup: {API_GROUP}\n  kind: {kind}\n  name: {name}")?;
    if binding.subjects.is_empty() {
        return writeln!(out, "subjects: []");
    }
    writeln!(out, "subjects:")?;
    for subject in &binding.subjects {
        writeln!(out, "- kind: {}", scalar(subject.kind.as_str()))?;
        // A service account is of the core group, which is the default.
        if subject.kind != SubjectKind::ServiceAccount {
            writeln!(out, "  apiGroup: {API_GROUP}")?;
        }
        writeln!(out, "  name: {}", scalar(subject.name.as_str()))?;
        if let Some(namespace) = &subject.namespace {
            writeln!(out, "  namespace: {}", scalar(namespace))?;
        }
    }
    Ok(())
}

/// A string as a YAML scalar: plain where every reader takes it for a string, in double quotes otherwise.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@:~*".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    // A colon at the end is a mapping's.
    let ends_well = !text.ends_with(':');
    if starts_well && ends_well && text.chars().all(plain) && ScalarType::of_plain(text) == ScalarType::String {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            _ if is_deceptive(c) && u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            _ if is_deceptive(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::scalar;
    use crate::syntax::parse_documents;

    fn read_back(text: &str) -> Option<String> {
        let yaml = format!("- {}\n", scalar(text));
        let (trees, error) = parse_documents(&yaml, 0, 1);
        assert_eq!(error, None, "{yaml:?}");
        let item = trees[0].root()?.items().next()?;
        item.as_str().map(|text| text.into_owned())
    }

    #[test]
    fn strings_that_look_like_something_else() {
        for text in
            ["", "*", "yes", "y", "012", "null", "~", "a: b", "- a", "#c", "a:", "{}", "1.5", "\u{202e}", "é", "a\nb"]
        {
            assert_eq!(read_back(text).as_deref(), Some(text));
        }
        assert_eq!(scalar("deputize:user-info:sa:apps:deputy"), "deputize:user-info:sa:apps:deputy");
    }

    proptest! {
        #[test]
        fn any_string_is_read_back(text in ".*") {
            prop_assert_eq!(read_back(&text), Some(text));
        }
    }
}
