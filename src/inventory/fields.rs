//! Fields of mappings with the types that they must have. What is not as it must be becomes a problem.

use std::borrow::Cow;
use std::sync::Arc;

use smol_str::SmolStr;

use super::aside::Aside;
use super::object::{Text, abbreviate};
use super::template::{TemplateView, Unknown};
use crate::problem::{Problem, ProblemKind};
use crate::source::{TemplateLanguage, template_language};
use crate::syntax::{Entry, FieldOrigin, Node, NodeKind, Place};
use crate::template::is_templated;

pub(crate) const WRONG_TYPE_HELP: &str = "the API server refuses such an object; correct the value, then check again";

/// Reads fields of one file and collects what is wrong with them.
pub(crate) struct FieldReader<'p> {
    pub(crate) path: &'p Arc<str>,
    pub(crate) problems: Vec<Problem>,
    /// What is filled in, in a manifest.
    pub(super) unknown: Vec<Unknown>,
    /// The language of what fills it in, last.
    pub(super) language: Option<TemplateLanguage>,
    /// What is wrong with an object that stands in another one. Whoever applies that may fill in what is missing, and the
    /// API server refuses the rest: neither keeps anyone from reading the file.
    pub(super) aside: Option<Vec<Aside>>,
    /// The template that is read, if it is one. What is wrong there is not known, rather than wrong.
    pub(super) template: Option<TemplateView<'p>>,
}

impl<'p> FieldReader<'p> {
    pub(crate) fn new(path: &'p Arc<str>) -> Self {
        Self { path, problems: Vec::new(), unknown: Vec::new(), language: None, aside: None, template: None }
    }

    /// A mapping of strings, sorted by key. A null value is an empty string, as for the API server.
    pub(crate) fn string_map(&mut self, name: &'static str, node: Option<Node<'_>>) -> Vec<(SmolStr, SmolStr)> {
        let Some(node) = node.filter(|node| !node.is_null()) else { return Vec::new() };
        if node.kind() != NodeKind::Mapping {
            if self.template.is_none() {
                self.wrong_type(name, "a mapping of strings", node);
            }
            return Vec::new();
        }
        let mut map: Vec<(SmolStr, SmolStr)> = Vec::new();
        let mut odd = Vec::new();
        node.visit_fields(&mut |key, entry, origin| {
            let value = match entry.value.kind() {
                NodeKind::String(text) => SmolStr::new(text),
                _ if entry.value.is_null() => SmolStr::default(),
                _ => return odd.push(entry.value),
            };
            // Own keys: the last wins. Merged ones: the first, after the own.
            match map.iter_mut().find(|(known, _)| known == key) {
                Some(known) if origin == FieldOrigin::Own => known.1 = value,
                Some(_) => {}
                None => map.push((SmolStr::new(key), value)),
            }
        });
        // What is filled in, into labels or annotations, bears on nothing.
        if self.template.is_some() {
            odd.clear();
        }
        for node in odd {
            self.wrong_type(name, "a mapping of strings", node);
        }
        map.sort();
        map
    }

    /// A list of strings, and whether it could be read whole.
    pub(crate) fn texts(&mut self, name: &'static str, node: Option<Node<'_>>) -> (Vec<Text>, bool) {
        let Some(node) = node else { return (Vec::new(), true) };
        if node.is_null() {
            self.null(name, "an empty list", node);
            return (Vec::new(), true);
        }
        if node.kind() != NodeKind::Sequence {
            self.wrong_type(name, "a list of strings", node);
            return (Vec::new(), false);
        }
        let mut texts = Vec::new();
        let mut ok = true;
        for item in node.items() {
            match self.text_of(name, "a list of strings", item) {
                Some(text) => texts.push(text),
                None => ok = false,
            }
        }
        // Most lists are short, and a vector that grows leaves room for more.
        texts.shrink_to_fit();
        (texts, ok)
    }

    pub(crate) fn text(&mut self, name: &'static str, node: Option<Node<'_>>) -> Option<Text> {
        let node = node?;
        self.text_of(name, "a string", node)
    }

    /// A string; null is the empty string, as for the API server.
    pub(crate) fn text_of(&mut self, name: &'static str, expected: &'static str, node: Node<'_>) -> Option<Text> {
        if let Some(view) = &mut self.template
            && let Some(texts) = view.template.alternatives(node.range())
        {
            let chosen = view.choose(format!("@{}", node.range().start), texts.len());
            let value = texts.get(chosen).map(|(text, _)| SmolStr::new(text)).unwrap_or_default();
            return Some(Text { value, place: node.place() });
        }
        match node.kind() {
            NodeKind::String(text) => Some(Text { value: small(text), place: node.place() }),
            _ if node.is_null() => {
                let by = filled_in(node).filter(|_| self.template.is_none());
                if by.is_none() {
                    self.null(name, "an empty string", node);
                }
                Some(Text { value: by.map(small).unwrap_or_default(), place: node.place() })
            }
            _ => {
                self.wrong_type(name, expected, node);
                None
            }
        }
    }

    pub(crate) fn required_text(
        &mut self,
        name: &'static str,
        node: Option<Node<'_>>,
        parent: Node<'_>,
        of: &'static str,
    ) -> Option<Text> {
        if node.is_none() {
            let place = parent.place();
            self.problem(ProblemKind::WrongType, place.start(), format!("{of} has no `{name}`"), WRONG_TYPE_HELP);
        }
        self.text(name, node)
    }

    /// Fields of a mapping that is read. The same key twice is a problem; the last one counts, as in `kubectl`.
    pub(crate) fn unique_fields<'t, const N: usize>(
        &mut self,
        node: Node<'t>,
        names: [&str; N],
    ) -> [Option<Node<'t>>; N] {
        self.unique_entries(node, names).map(|entry| entry.map(|entry| entry.value))
    }

    /// The same, with their keys.
    pub(super) fn unique_entries<'t, const N: usize>(
        &mut self,
        node: Node<'t>,
        names: [&str; N],
    ) -> [Option<Entry<'t>>; N] {
        if self.template.is_some() {
            return self.fields_in_branches(node, names).map(|found| self.pick(&found));
        }
        let mut found = [None; N];
        let mut twice = Vec::new();
        let mut filled_in = None;
        node.visit_fields(&mut |key, entry, origin| {
            let Some(at) = names.iter().position(|name| *name == key) else {
                if is_templated(key) {
                    filled_in = Some(entry.key);
                }
                return;
            };
            match (&mut found[at], origin) {
                (slot @ None, _) => *slot = Some(entry),
                (Some(_), FieldOrigin::Merged) => {}
                (slot, FieldOrigin::Own) => {
                    *slot = Some(entry);
                    twice.push((names[at].to_owned(), entry.key.place()));
                }
            }
        });
        if let Some(key) = filled_in {
            self.is_filled_in("a key", key);
        }
        for (key, place) in twice {
            self.problem(
                ProblemKind::DuplicateKey,
                place,
                format!("the key `{key}` stands twice in this mapping"),
                "remove one of them: readers differ in which one they take (here, the last)",
            );
        }
        found
    }

    /// Fields of a mapping in a template: all values that a key has in some branch.
    pub(super) fn fields_in_branches<'t, const N: usize>(
        &mut self,
        node: Node<'t>,
        names: [&str; N],
    ) -> [Vec<Entry<'t>>; N] {
        let mut found = std::array::from_fn(|_| Vec::new());
        let mut unknown = None;
        node.visit_fields(&mut |key, entry, origin| {
            if is_templated(key) {
                unknown = Some(entry.key.place());
            }
            let Some(at) = names.iter().position(|name| *name == key) else { return };
            let known: &mut Vec<Entry<'t>> = &mut found[at];
            if origin == FieldOrigin::Own || known.is_empty() {
                known.push(entry);
            }
        });
        if let Some(place) = unknown {
            self.unknown(place, "a key is filled in".to_owned());
        }
        found
    }

    /// The one of several values of a key that counts in the way in which the object is read.
    pub(super) fn pick<'t>(&mut self, found: &[Entry<'t>]) -> Option<Entry<'t>> {
        match (found, &mut self.template) {
            ([_, _, ..], Some(view)) => found.get(view.pick(found)).copied(),
            _ => found.first().copied(),
        }
    }

    /// Remembers that something in a template is not known.
    pub(super) fn unknown(&mut self, place: Place, what: String) {
        if let Some(view) = &mut self.template {
            view.unknown(place.offset, what);
        }
    }

    pub(crate) fn wrong_type(&mut self, name: &str, expected: &str, node: Node<'_>) {
        if self.is_filled_in(name, node) {
            return;
        }
        let message = format!("`{name}` must be {expected}, but this is {}", node.describe());
        self.problem(ProblemKind::WrongType, node.place(), message, WRONG_TYPE_HELP);
    }

    pub(crate) fn null(&mut self, name: &str, read_as: &str, node: Node<'_>) {
        // What stands in no branch looks null.
        if self.template.is_some() {
            return;
        }
        if self.is_filled_in(name, node) {
            return;
        }
        let message = format!("`{name}` is null, which the API server reads as {read_as}");
        self.problem(ProblemKind::Null, node.place(), message, "write the value, or remove the key");
    }

    /// Whether a value that is not as it must be is filled in. Then it is not known, which is said.
    pub(super) fn is_filled_in(&mut self, name: &str, node: Node<'_>) -> bool {
        let Some(by) = filled_in(node) else { return false };
        let what = format!("`{name}` is filled in by {}", abbreviate(&by));
        match &mut self.template {
            Some(view) => view.unknown(node.place().offset, what),
            None => {
                self.language = template_language(by.as_bytes());
                self.unknown.push(Unknown::new(node.place().offset, what));
            }
        }
        true
    }

    pub(crate) fn problem(&mut self, kind: ProblemKind, place: Place, message: String, help: &str) {
        if self.template.is_some() {
            return self.unknown(place, message);
        }
        if let Some(aside) = self.aside.as_mut().filter(|_| kind == ProblemKind::WrongType) {
            return aside.push(Aside::at(self.path, place.line, message));
        }
        let path = Arc::clone(self.path);
        self.problems.push(Problem { path, place: Some(place), kind, message, help: Some(help.to_owned()) });
    }
}

/// What fills in a value of which a template is all: a string where something else belongs, or what only looks null,
/// because ytt writes it from a comment (`name: #@ data.values.name`).
pub(super) fn filled_in(node: Node<'_>) -> Option<Cow<'_, str>> {
    if node.is_null() {
        return node.comment().filter(|comment| comment.starts_with("#@")).map(Cow::Borrowed);
    }
    node.as_str().filter(|text| is_templated(text))
}

/// The fields of that name; the last of several.
pub(crate) fn fields<'t, const N: usize>(node: Node<'t>, names: [&str; N]) -> [Option<Node<'t>>; N] {
    entries(node, names).map(|entry| entry.map(|entry| entry.value))
}

/// The same, with their keys.
pub(crate) fn entries<'t, const N: usize>(node: Node<'t>, names: [&str; N]) -> [Option<Entry<'t>>; N] {
    let mut found = [None; N];
    node.visit_fields(&mut |key, entry, origin| {
        if let Some(at) = names.iter().position(|name| *name == key)
            && (origin == FieldOrigin::Own || found[at].is_none())
        {
            found[at] = Some(entry);
        }
    });
    found
}

fn small(text: Cow<'_, str>) -> SmolStr {
    SmolStr::new(text)
}
