//! Decides whether unknown lines of a rendered document could be RBAC.

use super::document::UnknownLines;
use crate::syntax::{Node, NodeKind};

/// The position of unknown lines in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    /// A whole document or list item: could be any object.
    Object,
    /// Top-level fields of an RBAC object.
    Fields,
    /// Rules of a role, or fields of a rule.
    Rules,
    /// Subjects or role of a binding.
    Binding,
    /// Anywhere else: grants nothing.
    Elsewhere,
}

impl Position {
    /// Describes what is unknown; none if it cannot matter.
    pub(super) fn describe(self) -> Option<&'static str> {
        match self {
            Self::Object => Some("objects"),
            Self::Fields => Some("fields of an RBAC object"),
            Self::Rules => Some("rules of a role"),
            Self::Binding => Some("subjects or role of a binding"),
            Self::Elsewhere => None,
        }
    }
}

/// Locates unknown lines in a document.
pub(super) fn position(root: Option<Node<'_>>, lines: &UnknownLines) -> Position {
    let Some(root) = root.filter(|root| root.kind() == NodeKind::Mapping) else { return Position::Object };
    let kind = root.entries().find(|entry| entry.key.as_str().is_some_and(|key| key == "kind"));
    let kind = kind.and_then(|entry| entry.value.as_str().map(|kind| kind.into_owned())).unwrap_or_default();
    let is_list = kind.ends_with("List");
    let grants = kind.is_empty() || kind.contains("Role") || kind.contains("{{");
    if !grants && !is_list {
        return Position::Elsewhere;
    }
    let Some(key) = key_around(root, lines) else {
        return if kind.is_empty() { Position::Object } else { Position::Fields };
    };
    match key.as_str() {
        "items" => Position::Object,
        // Names only limit a rule.
        "rules" if is_in_names(root, lines) => Position::Elsewhere,
        "rules" | "aggregationRule" => Position::Rules,
        "subjects" | "roleRef" => Position::Binding,
        _ => Position::Elsewhere,
    }
}

/// Returns the top-level key whose value contains the lines; none if they are new keys.
fn key_around(root: Node<'_>, lines: &UnknownLines) -> Option<String> {
    let column = root.column();
    let last = root.entries().filter(|entry| entry.key.range().start < lines.offset).last()?;
    let takes_items = last.value.is_null() || last.value.kind() == NodeKind::Sequence;
    let is_within = lines.column > column || lines.column == column && takes_items && !last.value.is_flow();
    if !is_within || lines.column == column && last.value.kind() != NodeKind::Sequence && !last.value.is_null() {
        return None;
    }
    last.key.as_str().map(|key| key.into_owned())
}

/// Reports whether the lines are inside `resourceNames`.
fn is_in_names(root: Node<'_>, lines: &UnknownLines) -> bool {
    let rules = root.entries().find(|entry| entry.key.as_str().is_some_and(|key| key == "rules"));
    let items = rules.into_iter().flat_map(|entry| entry.value.items());
    let rule = items.filter(|rule| rule.range().start < lines.offset).last();
    rule.filter(|rule| rule.kind() == NodeKind::Mapping && lines.column >= rule.column())
        .and_then(|rule| key_around(rule, lines))
        .is_some_and(|key| key == "resourceNames")
}
