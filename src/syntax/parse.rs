//! Events of the parser to trees.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, ScanError, StructureStyle, Tag};

use super::place::{Place, to_u32};
use super::plain::{Departure, Seen, Watch};
use super::scalar::ScalarType;
use super::tree::{self, RawKind, RawNode, Style, TagKind, Tree};

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
/// it must start at the beginning of a line. The trees before an error are returned with it. How the text leaves the plain
/// subset, if it does, the first tree says.
pub fn parse_documents(text: &str, base_offset: usize, base_line: u32) -> (Vec<Tree<'_>>, Option<SyntaxError>) {
    let watch = Watch::new(text);
    // A separator for `kubectl`, which YAML takes for text.
    if is_separator_of_go(text) {
        let end = text.find('\n').map_or(text.len(), |end| end + 1);
        let rest = text.get(end..).unwrap_or_default();
        let (trees, error) = parse_documents(rest, base_offset + end, base_line + 1);
        let departure = watch.finish(base_offset);
        return (with_departure(trees, departure, rest, error.is_some()), error);
    }
    // A node takes some ten bytes of text; most documents are small, and moving their nodes as they grow shows.
    let nodes = Vec::with_capacity((text.len() / 10).min(4096));
    let mut builder = Builder { text, base_offset: to_u32(base_offset), base_line, nodes, watch, ..Builder::default() };
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
            return (builder.finish(true), Some(error));
        }
    }
    (builder.finish(false), None)
}

/// Whether a text begins with a line that separates documents for `kubectl` only: it trims Unicode white space behind the
/// dashes, and takes `---#` for a separator with a comment.
fn is_separator_of_go(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('\u{feff}').unwrap_or(text).strip_prefix("---") else { return false };
    let line = rest.split('\n').next().unwrap_or_default();
    let body = line.trim();
    let ascii = line.trim_matches([' ', '\t', '\r']);
    (body.is_empty() || body.starts_with('#')) && (ascii.len() != body.len() || line.starts_with('#'))
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
    watch: Watch<'s>,
}

struct Open {
    index: usize,
    is_mapping: bool,
    children: usize,
    /// Whether the next node is merged: the value of `<<`, or an item of such a list.
    merges: bool,
    /// Whether there is a `<<` in the mapping, or a key that is no string.
    has_merge: bool,
    has_typed_key: bool,
}

impl<'s> Builder<'s> {
    /// The trees, of which the first says how the text leaves the plain subset.
    fn finish(self, is_broken: bool) -> Vec<Tree<'s>> {
        with_departure(self.trees, self.watch.finish(self.base_offset as usize), self.text, is_broken)
    }

    fn event(&mut self, event: Event<'s>, span: granit_parser::Span) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(value, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                let value = if style == Style::Block { self.at_end_of_file(value, span) } else { value };
                self.push(RawKind::Scalar { value, style }, anchor, tag.as_deref(), span)?;
            }
            Event::SequenceStart(layout, anchor, tag) => {
                self.watch.open(byte_offset(span.start), layout == StructureStyle::Flow);
                let merges = self.open.last().is_some_and(|open| open.is_mapping && open.merges);
                let index = self.push(RawKind::Sequence, anchor, tag.as_deref(), span)?;
                self.lay_out(index, layout);
                self.open.push(Open { merges, ..Open::new(index, false) });
            }
            Event::MappingStart(layout, anchor, tag) => {
                self.watch.open(byte_offset(span.start), layout == StructureStyle::Flow);
                let index = self.push(RawKind::Mapping, anchor, tag.as_deref(), span)?;
                self.lay_out(index, layout);
                self.open.push(Open::new(index, true));
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let after = self.nodes.len();
                if let Some(open) = self.open.pop()
                    && let Some(node) = self.nodes.get_mut(open.index)
                {
                    node.close(byte_offset(span.end), after);
                    self.watch.close(byte_offset(span.end), node.flow);
                    if open.has_typed_key {
                        self.compare_keys(open.index);
                    }
                }
            }
            Event::Alias(id) => {
                // Ids grow, so the list is sorted by them.
                let found = self.anchors.binary_search_by_key(&id, |(anchor, _)| *anchor);
                let target = found.ok().and_then(|at| self.anchors.get(at)).map_or(0, |(_, index)| *index);
                if self.open.iter().any(|open| open.index == target as usize) {
                    self.watch.endless(byte_offset(span.start));
                }
                self.push(RawKind::Alias(target), 0, None, span)?;
            }
            Event::DocumentEnd => {
                self.watch.end_document();
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
        let mut is_key = false;
        let mut merges = false;
        if let Some(parent) = self.open.last_mut() {
            is_key = parent.is_mapping && parent.children.is_multiple_of(2);
            parent.children += 1;
            merges = parent.merges;
            parent.merges &= !parent.is_mapping;
            // `{{ template }}` parses as a mapping whose key is a mapping. JSON, and so every
            // Kubernetes object, has string keys only.
            if is_key && matches!(kind, RawKind::Sequence | RawKind::Mapping) {
                return Err(self.error("a mapping key must be a string, not a list or a mapping", span.start));
            }
        }
        if anchor != 0 {
            self.anchors.push((anchor, to_u32(index)));
        }
        let tag = tag_kind(tag);
        let (start, end) = (byte_offset(span.start), byte_offset(span.end));
        let seen = Seen { start, end, is_key, is_root: index == 0 };
        match &kind {
            RawKind::Scalar { value, style } => self.watch.scalar(&seen, *style, value, tag),
            RawKind::Alias(_) => self.watch.alias(&seen),
            RawKind::Sequence | RawKind::Mapping => {}
        }
        if is_key {
            self.look_at_key(&seen, &kind, tag);
        } else if merges {
            self.look_at_merged(&seen, &kind);
        }
        self.nodes.push(RawNode {
            kind,
            tag,
            flow: false,
            start: to_u32(byte_offset(span.start)),
            end: to_u32(byte_offset(span.end)),
            line: self.base_line + to_u32(span.start.line()) - 1,
            column: to_u32(span.start.col()) + 1,
            after: to_u32(index + 1),
        });
        Ok(index)
    }

    /// Looks at what a key is.
    fn look_at_key(&mut self, seen: &Seen, kind: &RawKind<'_>, tag: TagKind) {
        let (kind, tag, is_alias) = match kind {
            RawKind::Alias(target) => match self.nodes.get(*target as usize) {
                Some(node) => (&node.kind, node.tag, true),
                None => return,
            },
            kind => (kind, tag, false),
        };
        let RawKind::Scalar { value, style } = kind else {
            // An alias of a list or a mapping.
            return self.watch.wrong_key(seen.start);
        };
        let is_plain = *style == Style::Plain;
        let is_merge = &**value == "<<" && matches!(tag, TagKind::None | TagKind::Merge) && !is_alias;
        let Some(parent) = self.open.last_mut() else { return };
        if is_merge {
            parent.merges = true;
            if std::mem::replace(&mut parent.has_merge, true) {
                self.watch.second_merge(seen.start);
            }
            if !is_plain {
                self.watch.wrong_merge(seen.start);
            }
        } else if is_plain && tag == TagKind::None {
            let scalar = ScalarType::of_plain(value);
            if scalar != ScalarType::String {
                parent.has_typed_key = true;
                self.watch.typed_key(seen.start, value, scalar);
            }
        }
    }

    /// Looks at what `<<` merges.
    fn look_at_merged(&mut self, seen: &Seen, kind: &RawKind<'_>) {
        let in_list = self.open.last().is_some_and(|open| !open.is_mapping);
        let kind = match kind {
            RawKind::Alias(target) => match self.nodes.get(*target as usize) {
                Some(node) if matches!(node.kind, RawKind::Mapping) => return,
                _ => &RawKind::Alias(*target),
            },
            kind => kind,
        };
        if !(matches!(kind, RawKind::Mapping) || matches!(kind, RawKind::Sequence) && !in_list) {
            self.watch.wrong_merge(seen.start);
        }
    }

    /// Looks for keys of a mapping that are the same text, and not the same key.
    fn compare_keys(&mut self, index: usize) {
        let mut seen = HashSet::new();
        let mut same = None;
        let end = self.nodes.get(index).map_or(0, |node| node.after as usize);
        let mut next = index + 1;
        let mut is_key = true;
        while let Some(node) = self.nodes.get(next).filter(|_| next < end) {
            let target = match &node.kind {
                RawKind::Alias(target) => self.nodes.get(*target as usize).unwrap_or(node),
                _ => node,
            };
            if is_key
                && let RawKind::Scalar { value, .. } = &target.kind
                && !seen.insert(tree::key_text(value, target))
            {
                same = Some(node.start as usize);
            }
            (next, is_key) = (node.after as usize, !is_key);
        }
        if let Some(at) = same {
            self.watch.same_key(at);
        }
    }

    /// The text of a block scalar. `kubectl` ends the last line of a file, which others leave as it is.
    fn at_end_of_file(&mut self, value: Cow<'s, str>, span: granit_parser::Span) -> Cow<'s, str> {
        let strips = self.watch.block_header(byte_offset(span.start));
        let is_cut =
            byte_offset(span.end) >= self.text.len() && !self.text.ends_with('\n') && !strips && !value.is_empty();
        let is_line = !value.trim_end_matches('\n').contains('\n');
        // A last line of blanks counts for who keeps empty lines.
        let is_blank = self.text.rsplit('\n').next().is_some_and(|line| line.trim().is_empty());
        if is_cut && (is_line || is_blank) {
            self.watch.no_line_end(byte_offset(span.start));
        }
        if !is_cut || value.ends_with('\n') {
            return value;
        }
        Cow::Owned(value.into_owned() + "\n")
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

/// Lets the first tree say how the text leaves the plain subset; an empty one, if there is no other, and no error either.
fn with_departure<'s>(
    mut trees: Vec<Tree<'s>>,
    departure: Option<Departure>,
    text: &'s str,
    is_broken: bool,
) -> Vec<Tree<'s>> {
    if departure.is_some() && trees.is_empty() && !is_broken {
        trees.push(Tree::new(text, 0, Vec::new()));
    }
    if let Some(tree) = trees.first_mut() {
        tree.departure = departure.or(tree.departure);
    }
    trees
}

impl Open {
    fn new(index: usize, is_mapping: bool) -> Self {
        Self { index, is_mapping, children: 0, merges: false, has_merge: false, has_typed_key: false }
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
        assert_eq!(seen, ["l=9", "k=3"]);
    }

    #[test]
    fn merged_keys_are_those_that_kubectl_keeps() {
        let fields = |text: &str| {
            let (trees, _) = parse_documents(text, 0, 1);
            let mut fields = Vec::new();
            at(&trees[0], &["c"]).visit_fields(&mut |key, entry, origin| {
                let twice = origin == crate::syntax::FieldOrigin::Own;
                fields.push(format!("{key}={}{}", entry.value.source(), if twice { "!" } else { "" }));
            });
            fields
        };
        // The last one of a mapping that is only merged, and that is said.
        assert_eq!(fields("a: &a {k: 1, k: 2}\nc: {<<: *a}\n"), ["k=2", "k=2!"]);
        assert_eq!(fields("a: &a {k: 1, k: 2}\nc: {<<: *a, k: 3}\n"), ["k=3!"]);
        // Those of the second.
        assert_eq!(fields("c: {<<: {k: 1}, <<: {k: 2}}\n"), ["k=2"]);
        // Those of a mapping that merges before and after its own.
        assert_eq!(fields("a: &a {k: 1}\nb: &b {k: 2, <<: *a}\nc: {<<: *b}\n"), ["k=1", "k=1!"]);
        assert_eq!(fields("a: &a {k: 1}\nb: &b {<<: *a, k: 2}\nc: {<<: *b}\n"), ["k=2"]);
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
