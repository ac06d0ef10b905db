//! Events of the parser to trees.

use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag};

use super::place::{Place, to_u32};
use super::tree::{RawKind, RawNode, Style, TagKind, Tree};

/// Why a document could not be parsed, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong, in words.
    pub message: String,
    /// Where parsing stopped.
    pub place: Place,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SyntaxError {}

/// Parses the documents in `text`: one, or several where they are separated by `...`.
///
/// `base_offset` and `base_line` say where `text` starts in its file (bytes from 0, lines from 1);
/// it must start at the beginning of a line. The trees before an error are returned with it.
pub fn parse_documents(text: &str, base_offset: usize, base_line: u32) -> (Vec<Tree<'_>>, Option<SyntaxError>) {
    // A separator for `kubectl`, which YAML takes for text.
    if text.starts_with("---#") {
        let end = text.find('\n').map_or(text.len(), |end| end + 1);
        return parse_documents(text.get(end..).unwrap_or_default(), base_offset + end, base_line + 1);
    }
    // A node takes some ten bytes of text; most documents are small, and moving their nodes as they grow shows.
    let nodes = Vec::with_capacity((text.len() / 10).min(4096));
    let mut builder = Builder { text, base_offset: to_u32(base_offset), base_line, nodes, ..Builder::default() };
    let mut options = granit_parser::options! { simple_key_max_lookahead: 1 << 16 };
    // Comments are looked up in the text where they matter.
    options.set_emit_comments(false);
    let mut parser = Parser::new_from_str_with_options(text, options);
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(scan_error(&error, &builder)),
        };
        if let Err(error) = step {
            return (builder.trees, Some(error));
        }
    }
    (builder.trees, None)
}

/// Parses a text of which some parts are masked, as [`parse_documents`] parses one that is not.
///
/// `masked` has as many bytes as `text`, and is what is parsed; places and slices are those of `text`. `reveal` is given
/// the byte range of each scalar, and whether a tag makes something else of it than text, and says what it is if some of it
/// is masked. `locate` says on which line and in which column, both from 1, a byte of `text` stands.
pub fn parse_masked<'s>(
    text: &'s str,
    masked: &str,
    base_offset: usize,
    reveal: &mut dyn FnMut(Range<usize>, bool) -> Option<String>,
    locate: &dyn Fn(usize) -> (u32, u32),
) -> (Vec<Tree<'s>>, Option<SyntaxError>) {
    let (trees, error) = parse_documents(masked, base_offset, 1);
    let trees = trees.into_iter().map(|tree| tree.unmasked(text, reveal, locate)).collect();
    let error = error.map(|mut error| {
        let offset = (error.place.offset as usize).saturating_sub(base_offset);
        let (line, column) = locate(offset);
        error.place = Place::of_text("", error.place.offset, line, column);
        error
    });
    (trees, error)
}

#[derive(Default)]
struct Builder<'s> {
    text: &'s str,
    base_offset: u32,
    base_line: u32,
    trees: Vec<Tree<'s>>,
    nodes: Vec<RawNode<'s>>,
    open: Vec<Open>,
    /// Anchor id (from 1) to node index, of the current document.
    anchors: Vec<(usize, u32)>,
}

struct Open {
    index: usize,
    is_mapping: bool,
    children: usize,
}

impl<'s> Builder<'s> {
    fn event(&mut self, event: Event<'s>, span: granit_parser::Span) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                self.push(RawKind::Scalar { value, style }, anchor, tag.as_deref(), span)?;
            }
            Event::SequenceStart(layout, anchor, tag) => {
                let index = self.push(RawKind::Sequence, anchor, tag.as_deref(), span)?;
                self.lay_out(index, layout);
                self.open.push(Open { index, is_mapping: false, children: 0 });
            }
            Event::MappingStart(layout, anchor, tag) => {
                let index = self.push(RawKind::Mapping, anchor, tag.as_deref(), span)?;
                self.lay_out(index, layout);
                self.open.push(Open { index, is_mapping: true, children: 0 });
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let after = self.nodes.len();
                if let Some(node) = self.open.pop().and_then(|open| self.nodes.get_mut(open.index)) {
                    node.close(byte_offset(span.end), after);
                }
            }
            Event::Alias(id) => {
                // Ids grow, so the list is sorted by them.
                let found = self.anchors.binary_search_by_key(&id, |(anchor, _)| *anchor);
                let target = found.ok().and_then(|at| self.anchors.get(at)).map_or(0, |(_, index)| *index);
                self.push(RawKind::Alias(target), 0, None, span)?;
            }
            Event::DocumentEnd => {
                let nodes = std::mem::take(&mut self.nodes);
                self.anchors.clear();
                self.open.clear();
                if !nodes.is_empty() {
                    self.trees.push(Tree::new(self.text, self.base_offset, nodes));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn lay_out(&mut self, index: usize, layout: StructureStyle) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.flow = layout == StructureStyle::Flow;
        }
    }

    fn push(
        &mut self,
        kind: RawKind<'s>,
        anchor: usize,
        tag: Option<&Tag>,
        span: granit_parser::Span,
    ) -> Result<usize, SyntaxError> {
        let index = self.nodes.len();
        if let Some(parent) = self.open.last_mut() {
            let is_key = parent.is_mapping && parent.children.is_multiple_of(2);
            parent.children += 1;
            // `{{ template }}` parses as a mapping whose key is a mapping. JSON, and so every
            // Kubernetes object, has string keys only.
            if is_key && matches!(kind, RawKind::Sequence | RawKind::Mapping) {
                return Err(self.error("a mapping key must be a string, not a list or a mapping", span.start));
            }
        }
        if anchor != 0 {
            self.anchors.push((anchor, to_u32(index)));
        }
        self.nodes.push(RawNode {
            kind,
            tag: tag_kind(tag),
            flow: false,
            start: to_u32(byte_offset(span.start)),
            end: to_u32(byte_offset(span.end)),
            line: self.base_line + to_u32(span.start.line()) - 1,
            column: to_u32(span.start.col()) + 1,
            after: to_u32(index + 1),
        });
        Ok(index)
    }

    fn error(&self, message: impl Into<String>, at: granit_parser::Marker) -> SyntaxError {
        let offset = byte_offset(at).min(self.text.len());
        // One character wide, so that there is something to point at.
        let character: String = self
            .text
            .get(offset..)
            .and_then(|rest| rest.chars().next())
            .filter(|c| !c.is_control())
            .into_iter()
            .collect();
        let line = self.base_line + to_u32(at.line()).saturating_sub(1);
        let place = Place::of_text(&character, self.base_offset + to_u32(offset), line, to_u32(at.col()) + 1);
        SyntaxError { message: message.into(), place }
    }
}

fn scan_error(error: &ScanError, builder: &Builder<'_>) -> SyntaxError {
    builder.error(error.info(), *error.marker())
}

fn byte_offset(marker: granit_parser::Marker) -> usize {
    // Always known for input that is one string.
    marker.byte_offset().unwrap_or_default()
}

fn tag_kind(tag: Option<&Tag>) -> TagKind {
    let Some(tag) = tag else { return TagKind::None };
    // Percent escapes decoded, whichever way the tag is spelled.
    let suffix = tag.suffix_in_namespace("tag:yaml.org,2002:");
    match suffix.as_deref() {
        Some("str") => TagKind::String,
        Some("binary") => TagKind::Binary,
        Some("null") => TagKind::Null,
        Some("bool") => TagKind::Boolean,
        Some("int" | "float") => TagKind::Number,
        Some("merge") => TagKind::Merge,
        _ if tag.original() == "!" => TagKind::Merge,
        // `!` alone makes a scalar a string, and so does a tag that Go clients do not know.
        _ => TagKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Node, NodeKind, ScalarType};
    use super::*;

    fn at<'t>(tree: &'t Tree<'t>, path: &[&str]) -> Node<'t> {
        let mut node = tree.root().unwrap();
        for step in path {
            node = match step.parse::<usize>() {
                Ok(index) => node.items().nth(index).unwrap(),
                Err(_) => {
                    let mut found = None;
                    node.visit_fields(&mut |key, entry, _| {
                        if key == *step && found.is_none() {
                            found = Some(entry.value);
                        }
                    });
                    found.unwrap_or_else(|| panic!("no {step}"))
                }
            };
        }
        node
    }

    /// The bytes on disk at the place of the node at `path`.
    fn slice<'a>(text: &'a str, path: &[&str]) -> &'a str {
        let (trees, error) = parse_documents(text, 0, 1);
        assert_eq!(error, None, "{text:?}");
        let place = at(&trees[0], path).place();
        &text[place.offset as usize..place.end() as usize]
    }

    #[test]
    fn every_scalar_keeps_its_own_bytes() {
        for (text, path) in [
            ("verbs: [get, \"impersonate\"] # c\n", &["verbs", "1"][..]),
            ("verbs: ['impersonate','get']\n", &["verbs", "0"]),
            ("verbs:\n  - get\n  -   impersonate\t\t# c\n", &["verbs", "1"]),
            ("\u{feff}verbs: [impersonate]\r\n", &["verbs", "0"]),
            ("é: ü\r\nverbs:\r\n- !!str impersonate\r\n", &["verbs", "0"]),
            ("a: &x impersonate\nverbs: [*x]\n", &["verbs", "0"]),
            ("a: &x [get, impersonate]\nverbs: *x\n", &["verbs", "1"]),
            ("base: &b {verbs: [impersonate]}\nrule:\n  <<: *b\n", &["rule", "verbs", "0"]),
            ("verbs:\n- |-\n  impersonate\n\n\nb: c", &["verbs", "0"]),
            ("{\"verbs\":[\"impersonate\"]}", &["verbs", "0"]),
            ("verbs:\n-\n  impersonate\n", &["verbs", "0"]),
        ] {
            assert_eq!(slice(text, path), "impersonate", "{text:?}");
        }
    }

    #[test]
    fn places_count_from_one_and_from_the_base() {
        let (trees, error) = parse_documents("é: [\"x\", \"ab\"]\n", 100, 7);
        assert_eq!(error, None);
        let place = at(&trees[0], &["é", "1"]).place();
        assert_eq!(
            (place.offset, place.length, place.line, place.column, place.end_line, place.end_column),
            (111, 2, 7, 11, 7, 13)
        );
    }

    #[test]
    fn values_are_those_a_go_client_sees() {
        let (trees, _) =
            parse_documents("a: !!binary aW1wZXJzb25hdGU=\nb: \"\\u0052ole\"\nc: 012\nd:\ne: !!str 12\nf: no\n", 0, 1);
        let tree = &trees[0];
        assert_eq!(at(tree, &["a"]).as_str().unwrap(), "impersonate");
        assert_eq!(at(tree, &["b"]).as_str().unwrap(), "Role");
        assert_eq!(at(tree, &["c"]).kind(), NodeKind::Other(ScalarType::Number));
        assert!(at(tree, &["d"]).is_null());
        assert_eq!(at(tree, &["e"]).as_str().unwrap(), "12");
        assert_eq!(at(tree, &["f"]).kind(), NodeKind::Other(ScalarType::Boolean));
    }

    #[test]
    fn an_own_key_comes_before_a_merged_one() {
        let (trees, _) = parse_documents("a: &a {k: 1, l: 2}\nb: &b {k: 3}\nc:\n  <<: [*b, *a]\n  l: 9\n", 0, 1);
        let mut seen = Vec::new();
        at(&trees[0], &["c"]).visit_fields(&mut |key, entry, _| seen.push(format!("{key}={}", entry.value.source())));
        assert_eq!(seen, ["l=9", "k=3", "k=1", "l=2"]);
    }

    #[test]
    fn what_merges_is_told_by_the_tag_of_the_key() {
        for (key, merges) in [
            ("<<", true),
            ("! <<", true),
            ("!!merge <<", true),
            ("!!str <<", false),
            ("!a <<", false),
            ("!!binary PDw=", false),
        ] {
            let text = format!("? {key}\n: {{a: b}}\n");
            let (trees, _) = parse_documents(&text, 0, 1);
            let mut seen = Vec::new();
            trees[0].root().unwrap().visit_fields(&mut |key, _, origin| seen.push((key.to_owned(), origin)));
            assert_eq!(seen.contains(&("a".to_owned(), crate::syntax::FieldOrigin::Merged)), merges, "{key}");
        }
    }

    #[test]
    fn several_documents_in_one_piece_and_the_trees_before_an_error() {
        let (trees, error) = parse_documents("a: b\n...\nc: d\n...\ne: [f\n", 0, 1);
        assert_eq!(trees.len(), 2);
        let error = error.unwrap();
        assert_eq!((error.place.line, error.place.column), (5, 4));
    }

    #[test]
    fn a_template_is_not_a_document() {
        let (trees, error) = parse_documents("name: {{ .Values.name }}\n", 0, 1);
        assert!(trees.is_empty());
        assert!(error.unwrap().message.contains("key"));
    }

    #[test]
    fn hostile_documents_end_quickly() {
        let (_, error) = parse_documents(&"[".repeat(200_000), 0, 1);
        assert!(error.is_some());
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..30 {
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(", ")));
        }
        let (trees, error) = parse_documents(&bomb, 0, 1);
        assert_eq!(error, None);
        fn count(node: Node<'_>) -> usize {
            node.items().map(count).sum::<usize>() + 1
        }
        count(at(&trees[0], &["a29"]));
        assert!(trees[0].exhausted());
        let (trees, _) = parse_documents("a: &a\n  <<: *a\n  b: c\n", 0, 1);
        at(&trees[0], &["a"]).visit_fields(&mut |_, _, _| {});
        assert!(trees[0].exhausted());
    }
}
