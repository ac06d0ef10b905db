//! Comments that hide findings: `# deputize: ignore[RULE,…] -- why`. Which findings they hide is decided in
//! [`crate::triage`]; here they are found, in manifests and templates alike.

use std::sync::Arc;

use smol_str::SmolStr;

use super::{Binding, Role};
use crate::syntax::{LineIndex, Place};

/// The annotation that hides the findings about its object.
pub const IGNORE_ANNOTATION: &str = "deputize.dev/ignore";
/// What comments for deputize begin with.
const MARKER: &[u8] = b"deputize:";
/// How many comments of one file are read. A file with more is not written by people.
const MAX_COMMENTS: usize = 100_000;

/// A comment for deputize.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The file.
    pub path: Arc<str>,
    /// The comment, without what begins and ends it.
    pub place: Place,
    /// Whether nothing else is on its line, so that it is about the next one.
    pub is_alone: bool,
    /// What it says.
    pub directive: Directive,
}

/// What a comment or an annotation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Hide the findings of these rules.
    Ignore {
        /// The rules' names, as written.
        rules: Vec<SmolStr>,
        /// The reason, if there is one.
        reason: Option<String>,
    },
    /// Something else.
    Unknown,
}

impl Directive {
    /// Reads `ignore[RULE,…] -- why`.
    fn parse(text: &str) -> Self {
        let list = text.strip_prefix("ignore").map(str::trim_start).and_then(|rest| rest.strip_prefix('['));
        match list.and_then(|list| list.split_once(']')) {
            Some((list, rest)) => Self::of_list(list, rest),
            None => Self::Unknown,
        }
    }

    /// Reads the value of the annotation: `RULE,… -- why`.
    pub fn of_annotation(value: &str) -> Self {
        match value.split_once("--") {
            Some((list, _)) => Self::of_list(list, value.get(list.len()..).unwrap_or_default()),
            None => Self::of_list(value, ""),
        }
    }

    fn of_list(list: &str, rest: &str) -> Self {
        let rules: Vec<SmolStr> =
            list.split(',').map(str::trim).filter(|rule| !rule.is_empty()).map(SmolStr::new).collect();
        let rest = rest.trim();
        let reason = rest.strip_prefix("--").map(str::trim).filter(|reason| !reason.is_empty()).map(str::to_owned);
        let is_plain = rest.is_empty() || rest.starts_with("--");
        if rules.is_empty() || !is_plain { Self::Unknown } else { Self::Ignore { rules, reason } }
    }
}

/// Finds the comments for deputize in a file.
pub(super) fn find(path: &Arc<str>, bytes: &[u8]) -> Vec<Suppression> {
    let mut found = memchr::memmem::find_iter(bytes, MARKER).peekable();
    let (Some(_), Ok(text)) = (found.peek(), str::from_utf8(bytes)) else { return Vec::new() };
    let lines = LineIndex::new(text);
    let mut suppressions: Vec<Suppression> = Vec::new();
    for at in found {
        let line = lines.line_around(at);
        let Some((before, comment)) = text.get(line.start..at).zip(text.get(at..line.end)) else { continue };
        let Some(code) = before_comment(before) else { continue };
        let comment = ["*/}}", "*/ -}}", "*/-}}", "#}", "-#}", "%>", "-%>"]
            .iter()
            .find_map(|end| comment.trim_end().strip_suffix(end))
            .unwrap_or(comment)
            .trim_end();
        suppressions.push(Suppression {
            path: Arc::clone(path),
            place: lines.place(at..at + comment.len()),
            is_alone: code.trim().is_empty(),
            directive: Directive::parse(comment.get(MARKER.len()..).unwrap_or_default().trim()),
        });
        if suppressions.len() >= MAX_COMMENTS {
            break;
        }
    }
    suppressions
}

/// Returns the code before a comment if a line's beginning ends where a comment begins: a YAML comment, or one of a
/// template language. A mark within quotes begins none.
fn before_comment(before: &str) -> Option<&str> {
    let before = before.trim_end();
    for open in ["{{/*", "{{- /*", "{{-/*", "{#-", "{#", "<%#"] {
        if let Some(code) = before.strip_suffix(open) {
            return Some(code);
        }
    }
    let code = before.strip_suffix('#')?;
    let mut quote = None;
    let mut last = ' ';
    for c in code.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            // Elsewhere in a plain scalar a quote is a letter like any other.
            None if (c == '"' || c == '\'') && (last.is_whitespace() || "[{,:-".contains(last)) => quote = Some(c),
            None => {}
        }
        last = c;
    }
    (quote.is_none() && (code.is_empty() || code.ends_with(char::is_whitespace))).then_some(code)
}

/// The comments of an input by file and line, to see which objects they may be about.
pub(super) struct SuppressedLines {
    lines: std::collections::HashSet<(Arc<str>, u32), foldhash::fast::RandomState>,
}

impl SuppressedLines {
    /// The lines that comments may be about.
    pub(super) fn new(suppressions: &[Suppression]) -> Self {
        let about = |it: &Suppression| [it.place.line, it.place.line + 1].map(|line| (Arc::clone(&it.path), line));
        Self { lines: suppressions.iter().flat_map(about).collect() }
    }

    fn has(&self, path: &Arc<str>, place: &Place) -> bool {
        !self.lines.is_empty() && self.lines.contains(&(Arc::clone(path), place.line))
    }

    /// Reports whether a comment may be about a role: then it is no copy of another one.
    pub(super) fn has_role(&self, role: &Role) -> bool {
        let mut verbs = role.rules.iter().flat_map(|rule| &rule.verbs);
        !self.lines.is_empty() && verbs.any(|verb| self.has(&role.meta.path, &verb.place))
    }

    /// Reports whether a comment may be about a binding.
    pub(super) fn has_binding(&self, binding: &Binding) -> bool {
        self.has(&binding.meta.path, &binding.role_ref.name.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(u32, bool, Directive)> {
        let found = find(&Arc::from("a.yaml"), text.as_bytes());
        found.into_iter().map(|it| (it.place.line, it.is_alone, it.directive)).collect()
    }

    fn ignore(rules: &[&str], reason: Option<&str>) -> Directive {
        Directive::Ignore { rules: rules.iter().map(SmolStr::new).collect(), reason: reason.map(str::to_owned) }
    }

    #[test]
    fn comments_are_read_where_they_are_comments() {
        let one = |text: &str| found(text).pop();
        for (text, is_alone) in [
            ("verbs: [impersonate] # deputize: ignore[a, b-c] -- why so", false),
            ("# deputize: ignore[a,b-c] -- why so", true),
            ("  #deputize:ignore [a,b-c]-- why so  \r\n", true),
            ("- it's # deputize: ignore[a,b-c] -- why so", false),
            ("- 'it''s' # deputize: ignore[a,b-c] -- why so", false),
            ("{{/* deputize: ignore[a,b-c] -- why so */}}", true),
            ("{{- /* deputize: ignore[a,b-c] -- why so */ -}}", true),
            ("verbs: [x] {# deputize: ignore[a,b-c] -- why so #}", false),
        ] {
            assert_eq!(one(text), Some((1, is_alone, ignore(&["a", "b-c"], Some("why so")))), "{text}");
        }
        assert_eq!(one("# deputize: ignore[a]"), Some((1, true, ignore(&["a"], None))));
        assert_eq!(one("# deputize: ignore[a] --"), Some((1, true, ignore(&["a"], None))));
        for text in ["# deputize: ignore", "# deputize: ignore[]", "# deputize: ignore[a] why", "# deputize: allow[a]"]
        {
            assert_eq!(one(text), Some((1, true, Directive::Unknown)), "{text}");
        }
        for text in [
            "- \"# deputize: ignore[a]\"",
            "- '# deputize: ignore[a]'",
            "a: x# deputize: ignore[a]",
            "# see deputize: ignore[a]",
            "deputize: ignore[a]",
        ] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn places_are_those_of_the_comment() {
        let text = "a: ñ\n\n  b: c # deputize: ignore[x]\n";
        let [only] = find(&Arc::from("a.yaml"), text.as_bytes()).try_into().unwrap();
        assert_eq!((only.place.line, only.place.column, only.place.length), (3, 10, 19));
        assert_eq!(&text[only.place.offset as usize..only.place.end() as usize], "deputize: ignore[x]");
    }

    #[test]
    fn annotations_are_lists_with_a_reason() {
        assert_eq!(Directive::of_annotation("a, b -- why"), ignore(&["a", "b"], Some("why")));
        assert_eq!(Directive::of_annotation("a"), ignore(&["a"], None));
        assert_eq!(Directive::of_annotation(" -- why"), Directive::Unknown);
    }
}
