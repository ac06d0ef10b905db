//! Generated objects as YAML.

use std::io::{self, Write};

use super::is_deceptive;
use crate::inventory::SubjectKind;
use crate::migrate::{Body, GeneratedRule, Manifest};
use crate::syntax::ScalarType;

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const API_GROUP: &str = "rbac.authorization.k8s.io";

/// Writes the objects as one stream of documents.
///
/// # Errors
/// When `out` does.
pub fn write_manifests(out: &mut dyn Write, manifests: &[Manifest]) -> io::Result<()> {
    for manifest in manifests {
        writeln!(out, "---")?;
        writeln!(out, "apiVersion: {API_VERSION}\nkind: {}\nmetadata:", manifest.kind)?;
        writeln!(out, "  name: {}", scalar(&manifest.name))?;
        if let Some(namespace) = &manifest.namespace {
            writeln!(out, "  namespace: {}", scalar(namespace))?;
        }
        for (title, map) in [("labels", &manifest.labels), ("annotations", &manifest.annotations)] {
            writeln!(out, "  {title}:")?;
            for (key, value) in map {
                writeln!(out, "    {}: {}", scalar(key), scalar(value))?;
            }
        }
        match &manifest.body {
            Body::Rules(rules) => {
                writeln!(out, "rules:")?;
                for rule in rules {
                    write_rule(out, rule)?;
                }
            }
            Body::Binding { role_kind, role, subject } => {
                writeln!(out, "roleRef:\n  apiGroup: {API_GROUP}\n  kind: {role_kind}\n  name: {}", scalar(role))?;
                writeln!(out, "subjects:\n- kind: {}", scalar(subject.kind.as_str()))?;
                // A service account is of the core group, which is the default.
                if subject.kind != SubjectKind::ServiceAccount {
                    writeln!(out, "  apiGroup: {API_GROUP}")?;
                }
                writeln!(out, "  name: {}", scalar(&subject.name))?;
                if let Some(namespace) = &subject.namespace {
                    writeln!(out, "  namespace: {}", scalar(namespace))?;
                }
            }
        }
    }
    Ok(())
}

fn write_rule(out: &mut dyn Write, rule: &GeneratedRule) -> io::Result<()> {
    let lists = [
        ("apiGroups", Some(&rule.api_groups)),
        ("resources", Some(&rule.resources)),
        ("resourceNames", rule.resource_names.as_ref()),
        ("nonResourceURLs", Some(&rule.non_resource_urls)),
        ("verbs", Some(&rule.verbs)),
    ];
    let mut indent = "- ";
    for (key, list) in lists {
        let Some(list) = list.filter(|list| !list.is_empty()) else { continue };
        writeln!(out, "{indent}{key}:")?;
        indent = "  ";
        for item in list {
            writeln!(out, "  - {}", scalar(item))?;
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
