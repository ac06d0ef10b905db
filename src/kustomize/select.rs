//! Which objects a kustomization's `target` or `select` means.

use regex_lite::Regex;
use serde_json::Value;

/// A selector. Names are anchored regular expressions; what is left out means any.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub labels: String,
    pub annotations: String,
}

/// What a selector is compared with.
pub(super) struct Selected<'s> {
    pub group: &'s str,
    pub version: &'s str,
    pub kind: &'s str,
    /// The original and the present name.
    pub names: [&'s str; 2],
    /// The original and the present namespace.
    pub namespaces: [&'s str; 2],
    pub metadata: Option<&'s Value>,
}

impl Selector {
    /// Reads a selector from a mapping.
    pub fn read(value: &Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            group: text("group"),
            version: text("version"),
            kind: text("kind"),
            name: text("name"),
            namespace: text("namespace"),
            labels: text("labelSelector"),
            annotations: text("annotationSelector"),
        }
    }

    /// Reports whether the object is selected.
    ///
    /// # Errors
    /// When the selector cannot be read.
    pub fn matches(&self, object: &Selected<'_>) -> Result<bool, String> {
        let texts = [
            (&self.group, &[object.group][..]),
            (&self.version, &[object.version]),
            (&self.kind, &[object.kind]),
            (&self.name, &object.names),
            (&self.namespace, &object.namespaces),
        ];
        for (pattern, values) in texts {
            if !pattern.is_empty() && !matches_any(pattern, values)? {
                return Ok(false);
            }
        }
        let map = |key: &str| object.metadata.and_then(|metadata| metadata.get(key));
        Ok(labels_match(&self.labels, map("labels"))? && labels_match(&self.annotations, map("annotations"))?)
    }
}

fn matches_any(pattern: &str, values: &[&str]) -> Result<bool, String> {
    let regex = Regex::new(&format!("^(?:{pattern})$"));
    let regex = regex.map_err(|_| format!("the pattern {pattern:?} of a selector cannot be read"))?;
    Ok(values.iter().any(|value| regex.is_match(value)))
}

/// Reports whether a label selector, as `kubectl -l` takes it, selects these labels.
fn labels_match(selector: &str, labels: Option<&Value>) -> Result<bool, String> {
    let value = |key: &str| labels.and_then(|labels| labels.get(key.trim())).and_then(Value::as_str);
    for term in terms(selector) {
        let term = term.trim();
        let unreadable = || format!("the label selector {selector:?} cannot be read");
        let matched = if term.is_empty() {
            return Err(unreadable());
        } else if let Some(inside) = term.strip_suffix(')') {
            let (head, list) = inside.split_once('(').ok_or_else(unreadable)?;
            let (key, operator) = head.trim().rsplit_once(char::is_whitespace).ok_or_else(unreadable)?;
            let listed = value(key).is_some_and(|value| list.split(',').any(|item| item.trim() == value));
            match operator {
                "in" => listed,
                "notin" => !listed,
                _ => return Err(unreadable()),
            }
        } else if let Some(key) = term.strip_prefix('!') {
            value(key).is_none()
        } else if let Some((key, wanted)) = term.split_once("!=") {
            value(key) != Some(wanted.trim())
        } else if let Some((key, wanted)) = term.split_once('=') {
            value(key) == Some(wanted.trim_start_matches('=').trim())
        } else if term.contains(char::is_whitespace) {
            return Err(unreadable());
        } else {
            value(term).is_some()
        };
        if !matched {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The parts of a selector between commas that are in no parentheses.
fn terms(selector: &str) -> Vec<&str> {
    let (mut depth, mut start, mut terms) = (0_usize, 0, Vec::new());
    for (at, c) in selector.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                terms.push(&selector[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !selector.is_empty() {
        terms.push(&selector[start..]);
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let labels = serde_json::json!({"app": "a", "tier": "web"});
        for (selector, expected) in [
            ("", Ok(true)),
            ("app=a", Ok(true)),
            ("app == a, tier!=db", Ok(true)),
            ("app in (b, a),!none", Ok(true)),
            ("app notin (a)", Ok(false)),
            ("none notin (a)", Ok(true)),
            ("none", Ok(false)),
            ("app,tier=db", Ok(false)),
        ] {
            assert_eq!(labels_match(selector, Some(&labels)), expected, "{selector}");
        }
        for wrong in ["app=a,", "app is a", "app on (a)", "app)"] {
            assert!(labels_match(wrong, Some(&labels)).is_err(), "{wrong}");
        }
        assert_eq!(labels_match("!app", None), Ok(true));
    }

    #[test]
    fn names_are_anchored_patterns() {
        let object = Selected {
            group: "rbac.authorization.k8s.io",
            version: "v1",
            kind: "ClusterRole",
            names: ["a", "x-a"],
            namespaces: ["", ""],
            metadata: None,
        };
        let select = |key: &str, value: &str| Selector::read(&serde_json::json!({ key: value })).matches(&object);
        assert_eq!(select("name", "a"), Ok(true));
        assert_eq!(select("name", "x"), Ok(false));
        assert_eq!(select("name", "x-.*|b"), Ok(true));
        assert_eq!(select("kind", "Role"), Ok(false));
        assert_eq!(select("kind", ".*Role"), Ok(true));
        assert!(select("name", "(").is_err());
    }
}
