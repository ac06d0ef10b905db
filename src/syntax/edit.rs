//! Edits of text that leave every other byte alone.
//!
//! Each function says what to replace, and [`apply`] does it once. A layout that is not understood gives none: whoever
//! asks says so, and leaves the file alone.

use std::collections::BTreeSet;
use std::ops::Range;

use super::style::{indentation, line_end};
use super::tree::Node;
use super::write::{Form, JsonStyle, Value};

/// A range of a file, and what takes its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edit {
    /// First byte.
    start: usize,
    /// The byte after the last.
    end: usize,
    text: String,
}

/// Two edits are about the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Where they meet.
    pub at: usize,
}

/// What becomes of comment lines directly above an item that are indented like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentsAbove {
    /// They stay.
    Stay,
    /// They go with it.
    Go,
}

impl Edit {
    /// Replaces a range of the file.
    pub fn new(range: Range<usize>, text: impl Into<String>) -> Self {
        Self { start: range.start, end: range.end, text: text.into() }
    }

    /// What takes the place of the range.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn shifted(mut self, by: usize) -> Self {
        self.start += by;
        self.end += by;
        self
    }
}

/// The bytes with all edits made. The same edit twice, as two aliases of one list ask for it, is one; what two edits
/// remove is removed once.
///
/// # Errors
/// When two different edits are about the same bytes, and one of them puts something there.
pub fn apply(bytes: &[u8], mut edits: Vec<Edit>) -> Result<Vec<u8>, Overlap> {
    edits.sort_by_key(|edit| (edit.start, edit.end));
    edits.dedup();
    edits.dedup_by(|next, known| {
        let meet = next.start < known.end && next.text.is_empty() && known.text.is_empty();
        known.end = if meet { known.end.max(next.end) } else { known.end };
        meet
    });
    let mut result = Vec::with_capacity(bytes.len());
    let mut done = 0;
    for edit in edits {
        if edit.start < done || edit.end < edit.start {
            return Err(Overlap { at: edit.start });
        }
        result.extend_from_slice(bytes.get(done..edit.start).ok_or(Overlap { at: edit.start })?);
        result.extend_from_slice(edit.text.as_bytes());
        done = edit.end;
    }
    result.extend_from_slice(bytes.get(done..).ok_or(Overlap { at: done })?);
    Ok(result)
}

/// Removes items of a list, but never all of them (see [`clear`]). An item of a block list goes with its lines.
pub fn remove(list: Node<'_>, which: &BTreeSet<usize>, above: CommentsAbove) -> Option<Vec<Edit>> {
    let list = list.resolved();
    let items: Vec<Node<'_>> = list.items().collect();
    if which.len() >= items.len() || which.iter().any(|index| *index >= items.len()) {
        return None;
    }
    if list.is_flow() { remove_flow(list, &items, which) } else { remove_block(list, &items, which, above) }
}

/// Removes all items of a list, which is the value of `key`.
pub fn clear(key: Node<'_>, list: Node<'_>, above: CommentsAbove) -> Option<Vec<Edit>> {
    let list = list.resolved();
    let (text, base) = list.document();
    if list.is_flow() {
        return Some(vec![Edit::new(list.start() + 1..list.content_end() - 1, "").shifted(base)]);
    }
    let items: Vec<Node<'_>> = list.items().collect();
    let mut edits = remove_block(list, &items, &(0..items.len()).collect(), above)?;
    let behind = key.content_end();
    let colon = behind + text.get(behind..)?.find(':')? + 1;
    edits.push(Edit::new(colon..colon, " []").shifted(base));
    Some(edits)
}

/// Puts values in the place of an item of a list: the first instead of it, the others behind it.
pub fn replace(list: Node<'_>, index: usize, values: &[Value], form: &Form) -> Option<Vec<Edit>> {
    let list = list.resolved();
    let item = list.items().nth(index)?;
    let (first, others) = values.split_first()?;
    let mut edits = vec![replace_value(item, first, form)?];
    edits.extend(insert_after(list, index, others, form)?);
    Some(edits)
}

/// Puts values behind an item of a list.
pub fn insert_after(list: Node<'_>, index: usize, values: &[Value], form: &Form) -> Option<Vec<Edit>> {
    if values.is_empty() {
        return Some(Vec::new());
    }
    let list = list.resolved();
    let (text, base) = list.document();
    let item = list.items().nth(index)?;
    if list.is_flow() {
        let at = item.content_end();
        // Items that stand on lines of their own get company on lines of their own.
        let alone = text.get(line_start(text, item.start())..item.start())?.trim().is_empty();
        let indent = indentation(text, item.start());
        let separator = match form {
            _ if alone => format!(",{}{indent}", form.line_end()),
            Form::Json(style) => style.comma().to_owned(),
            Form::Yaml(_) => ", ".to_owned(),
        };
        let added: String = values.iter().map(|value| separator.clone() + &flow(value, form, indent)).collect();
        return Some(vec![Edit::new(at..at, added).shifted(base)]);
    }
    let Form::Yaml(style) = form else { return None };
    let dash = dash(item)?;
    let at = lines_end(text, item.content_end(), dash.column);
    let mut added = style.block(&Value::List(values.to_vec()), dash.column);
    if !text.get(..at)?.ends_with(['\n', '\r']) {
        added.insert_str(0, style.line_end);
        added.truncate(added.trim_end_matches(['\r', '\n']).len());
    }
    Some(vec![Edit::new(at..at, added).shifted(base)])
}

/// Puts values into a list that has no items.
pub fn fill(list: Node<'_>, values: &[Value], form: &Form) -> Option<Vec<Edit>> {
    let list = list.resolved();
    let (text, base) = list.document();
    if !list.is_flow() || list.items().next().is_some() {
        return None;
    }
    let outer = indentation(text, list.start());
    let inside = match form {
        Form::Json(style) => style.write(&Value::List(values.to_vec()), outer),
        Form::Yaml(style) => style.flow(&Value::List(values.to_vec())),
    };
    Some(vec![Edit::new(list.start()..list.content_end(), inside).shifted(base)])
}

/// Puts a value in the place of a mapping: a document, or an item of a list.
pub fn replace_value(node: Node<'_>, value: &Value, form: &Form) -> Option<Edit> {
    if node.is_alias() {
        return None;
    }
    let (text, base) = node.document();
    let range = node.start()..node.content_end();
    let new = match form {
        _ if node.is_flow() => flow(value, form, indentation(text, node.start())),
        Form::Json(_) => return None,
        Form::Yaml(style) => style.block(value, node.column()).trim().to_owned(),
    };
    Some(Edit::new(range, new).shifted(base))
}

/// What is removed of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it, with its separator and its comments; comments at the beginning or the end of a file that a blank line
    /// keeps apart stay.
    Whole,
    /// All but comments on lines of their own.
    ButComments,
}

/// Removes a document. `root` is all that its text holds.
pub fn remove_document(root: Node<'_>, extent: Extent) -> Option<Vec<Edit>> {
    let (text, base) = root.document();
    let bom = if base == 0 && text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let content = line_start(text, root.start()).max(bom)..next_line(text, root.content_end());
    // What follows is an end mark at most.
    let after: Vec<Range<usize>> = lines(text, content.end).collect();
    let before: Vec<Range<usize>> = lines(text, bom).take_while(|line| line.start < content.start).collect();
    let kind = |line: &Range<usize>| text.get(line.clone()).map_or("", str::trim);
    let removed: Vec<Range<usize>> = match extent {
        Extent::ButComments => {
            let other = |line: &&Range<usize>| !kind(line).is_empty() && !kind(line).starts_with('#');
            before.iter().chain(&after).filter(other).cloned().chain([content]).collect()
        }
        Extent::Whole => {
            let has_marker = before.iter().any(|line| kind(line).starts_with("---"));
            // Only the first document of a file can be without a separator.
            let apart = before.iter().rposition(|line| kind(line).is_empty()).filter(|_| !has_marker).unwrap_or(0);
            let is_header = before.iter().take(apart).any(|line| !kind(line).is_empty());
            let start = before.get(apart).filter(|_| is_header).map_or(bom, |line| line.start);
            let apart = after.iter().position(|line| kind(line).is_empty());
            let rest = after.get(apart.unwrap_or(after.len())..)?;
            let end = match rest.iter().find(|line| !kind(line).is_empty()) {
                Some(comment) => comment.start,
                None => text.len(),
            };
            std::iter::once(start..end).collect()
        }
    };
    Some(removed.into_iter().map(|range| Edit::new(range, "").shifted(base)).collect())
}

/// A comment of a file, without what is before it on its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its place in the file.
    pub range: Range<usize>,
    /// Its text, `#` included.
    pub text: String,
}

/// Keeps the comments that edits of a document would remove. `take` takes a comment, and returns whether it did: such a
/// comment goes. All others stay where they are: on lines of their own, or at the end of the line that is left. `within` is the
/// node that holds everything that is edited.
pub fn keep_comments(within: Node<'_>, edits: Vec<Edit>, take: &mut dyn FnMut(&Comment) -> bool) -> Vec<Edit> {
    let (text, base) = within.document();
    let changed = || edits.iter().filter(|edit| edit.start < edit.end);
    let (Some(start), Some(end)) = (changed().map(|edit| edit.start).min(), changed().map(|edit| edit.end).max())
    else {
        return edits;
    };
    let all = comments(within, line_start(text, start - base)..end - base);
    if all.is_empty() {
        return edits;
    }
    let keep = |edit: Edit| {
        let range = edit.start - base..edit.end - base;
        let lost = all.iter().filter(|it| range.start <= it.start && it.end <= range.end);
        let mut kept = Vec::new();
        for range in lost {
            let comment = text.get(range.clone()).unwrap_or_default().trim_end().to_owned();
            if !take(&Comment { range: range.start + base..range.end + base, text: comment.clone() }) {
                kept.push((range.start, comment));
            }
        }
        if kept.is_empty() { edit } else { with_comments(text, range, edit, &kept) }
    };
    edits.into_iter().map(keep).collect()
}

/// Puts comments behind what takes the place of a range.
fn with_comments(text: &str, range: Range<usize>, mut edit: Edit, comments: &[(usize, String)]) -> Edit {
    let end = line_end(text);
    let before = text.get(..range.start).unwrap_or_default();
    let after = text.get(range.end..).unwrap_or_default();
    let is_lines =
        (before.is_empty() || before.ends_with('\n')) && text.get(..range.end).is_some_and(|it| it.ends_with('\n'));
    if is_lines && edit.text.is_empty() {
        for (at, comment) in comments {
            // A comment behind something else belongs to all that goes.
            let is_alone = text.get(line_start(text, *at)..*at).is_some_and(|before| before.trim().is_empty());
            let indent = indentation(text, if is_alone { *at } else { range.start });
            edit.text.extend([indent, comment, end]);
        }
        return edit;
    }
    let inner = text.get(range.clone()).unwrap_or_default();
    let indent =
        inner.rfind('\n').map_or_else(|| indentation(text, range.start), |at| indentation(text, range.start + at + 1));
    let joined =
        comments.iter().map(|(_, comment)| comment.as_str()).collect::<Vec<_>>().join(&format!("{end}{indent}"));
    if !before.ends_with([' ', '\n']) || !edit.text.is_empty() {
        edit.text.push(' ');
    }
    edit.text.push_str(&joined);
    let ends_line = after.trim_start_matches([' ', '\t', '\r']);
    if !(ends_line.is_empty() || ends_line.starts_with('\n')) {
        edit.text.extend([end, indent]);
    }
    edit
}

/// The comments in a part of a document. `within` holds all scalars there.
fn comments(within: Node<'_>, part: Range<usize>) -> Vec<Range<usize>> {
    let (text, _) = within.document();
    let mut scalars = within.scalars().map(|scalar| scalar.start()..scalar.content_end()).peekable();
    let (mut found, mut at) = (Vec::new(), part.start);
    while at < part.end {
        let Some(hash) = text.get(at..part.end).and_then(|rest| rest.find('#')).map(|offset| at + offset) else {
            break;
        };
        while scalars.next_if(|scalar| scalar.end <= hash).is_some() {}
        if let Some(scalar) = scalars.peek().filter(|scalar| scalar.start < hash) {
            // The header of a block scalar can have one.
            let header = text.get(scalar.clone()).filter(|it| it.starts_with(['|', '>'])).and_then(|it| it.find('\n'));
            if header.is_none_or(|length| scalar.start + length <= hash) {
                at = scalar.end.max(hash + 1);
                continue;
            }
        }
        let is_comment =
            text.get(..hash).is_some_and(|before| before.is_empty() || before.ends_with([' ', '\t', '\n', '\r']));
        at = hash + 1;
        if is_comment {
            let end = text.get(hash..).and_then(|rest| rest.find('\n')).map_or(text.len(), |length| hash + length);
            found.push(hash..end.min(part.end.max(hash)));
            at = end;
        }
    }
    found
}

/// Where each item of a list ends, with the comments that belong to it.
pub fn item_ends(list: Node<'_>) -> Vec<usize> {
    let list = list.resolved();
    let (text, base) = list.document();
    let end = |item: Node<'_>| match dash(item).filter(|_| !list.is_flow()) {
        Some(dash) => lines_end(text, item.content_end(), dash.column),
        None => next_line(text, item.content_end()),
    };
    list.items().map(|item| base + end(item)).collect()
}

/// Puts comments above an item of a block list, or above a document.
pub fn comments_above(node: Node<'_>, comments: &[String]) -> Option<Edit> {
    let (text, base) = node.document();
    let start = line_start(text, node.start());
    let (at, column) = match dash(node) {
        Some(dash) => (dash.line, dash.column),
        None if text.get(start..node.start())?.trim_start_matches('\u{feff}').trim().is_empty() => {
            (start + if text.get(start..)?.starts_with('\u{feff}') { 3 } else { 0 }, node.column())
        }
        None => return None,
    };
    let lines: String = comments.iter().map(|it| format!("{}{it}{}", " ".repeat(column), line_end(text))).collect();
    Some(Edit::new(at..at, lines).shifted(base))
}

/// Adds documents to the end of a YAML file.
pub fn append_documents(text: &str, documents: &[String]) -> Option<Edit> {
    let end = line_end(text);
    let mut added = String::new();
    if !text.is_empty() && !text.ends_with(['\n', '\r']) {
        added.push_str(end);
    }
    // A separator that nothing follows yet is the first one's.
    let last = text.lines().rev().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let mut separated = last.is_none_or(|line| line.trim_end() == "---");
    for document in documents {
        if !separated {
            added.push_str("---");
            added.push_str(end);
        }
        separated = false;
        added.push_str(document);
    }
    (!documents.is_empty()).then(|| Edit::new(text.len()..text.len(), added))
}

/// Adds values to the end of a file of JSON, each from a line of its own.
pub fn append_json(text: &str, values: &[String]) -> Option<Edit> {
    let end = line_end(text);
    let mut added = String::new();
    if !text.is_empty() && !text.ends_with('\n') {
        added.push_str(end);
    }
    values.iter().for_each(|value| added.extend([value, end]));
    (!values.is_empty()).then(|| Edit::new(text.len()..text.len(), added))
}

/// Makes a value of JSON the first item of a list in a new value, with other fields before the list. The value keeps its
/// bytes.
pub fn wrap_json(
    root: Node<'_>,
    fields: &[(&str, &str)],
    list: &str,
    others: &[Value],
    style: &JsonStyle,
) -> Vec<Edit> {
    let (_, base) = root.document();
    let fields = Value::map(fields.iter().map(|(key, value)| (*key, Value::text(*value))));
    let inline = JsonStyle { indent: None, ..style.clone() };
    let head = inline.write(&fields, "");
    let (comma, colon) = if style.spaced { (", ", ": ") } else { (",", ":") };
    let line_end = if style.indent.is_some() { style.line_end } else { "" };
    let before = format!("{}{comma}\"{list}\"{colon}[{line_end}", head.trim_end_matches('}'));
    let separator = if style.indent.is_some() { format!(",{line_end}") } else { comma.to_owned() };
    let after: String = others.iter().map(|value| format!("{separator}{}", style.write(value, ""))).collect();
    let (start, end) = (root.start(), root.content_end());
    let edits = [Edit::new(start..start, before), Edit::new(end..end, format!("{after}{line_end}]}}"))];
    edits.into_iter().map(|edit| edit.shifted(base)).collect()
}

/// The dash of an item of a block list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dash {
    /// Start of its line.
    line: usize,
    /// Blanks before it.
    pub(super) column: usize,
}

/// Finds the dash before an item; none where something else stands between.
pub(super) fn dash(item: Node<'_>) -> Option<Dash> {
    let (text, _) = item.document();
    let mut end = item.start();
    loop {
        let line = line_start(text, end);
        let before = text.get(line..end)?.trim_start_matches('\u{feff}');
        let before = before.find(" #").map_or(before, |comment| &before[..comment]);
        let is_comment = before.trim_start().starts_with('#');
        let mut words = before.split_whitespace().filter(|_| !is_comment).peekable();
        if words.peek() == Some(&"-") {
            words.next();
            // An anchor, a tag or the header of a block scalar may stand before the item's text.
            let rest = words.all(|word| word.starts_with(['&', '!', '|', '>']));
            let column = before.len() - before.trim_start_matches(' ').len();
            return rest.then_some(Dash { line, column });
        }
        if line == 0 || words.any(|word| !word.starts_with(['&', '!'])) {
            return None;
        }
        end = line - 1;
    }
}

fn remove_block(
    list: Node<'_>,
    items: &[Node<'_>],
    which: &BTreeSet<usize>,
    above: CommentsAbove,
) -> Option<Vec<Edit>> {
    let (text, base) = list.document();
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for index in which {
        let item = *items.get(*index)?;
        let dash = dash(item)?;
        let mut start = dash.line;
        while above == CommentsAbove::Go && start > 0 {
            let previous = line_start(text, start - 1);
            let line = text.get(previous..start)?;
            if !line.trim_start().starts_with('#') || indentation(text, previous).len() != dash.column {
                break;
            }
            start = previous;
        }
        let end = lines_end(text, item.content_end(), dash.column);
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    // A file that ended without a line break still does.
    if let Some(last) = ranges.last_mut().filter(|last| last.end == text.len() && !text.ends_with(['\n', '\r'])) {
        last.start = text
            .get(..last.start)?
            .strip_suffix('\n')
            .map_or(last.start, |rest| rest.strip_suffix('\r').map_or(rest.len(), str::len));
    }
    Some(ranges.into_iter().map(|range| Edit::new(range, "").shifted(base)).collect())
}

/// An item of a list in brackets, its anchor and tag included.
struct FlowItem {
    start: usize,
    end: usize,
    /// The comma behind it.
    comma: Option<usize>,
}

fn flow_items(list: Node<'_>, items: &[Node<'_>]) -> Option<Vec<FlowItem>> {
    let (text, _) = list.document();
    let mut found = Vec::with_capacity(items.len());
    let mut at = list.start() + 1;
    for item in items {
        let start = skip_blank(text, at);
        let end = item.content_end();
        at = skip_blank(text, end);
        let comma = text.get(at..)?.starts_with(',').then_some(at);
        at += usize::from(comma.is_some());
        found.push(FlowItem { start, end, comma });
    }
    // All but the last have one, if nothing was misread.
    let separated = found.iter().rev().skip(1).all(|item| item.comma.is_some());
    (separated && skip_blank(text, at) + 1 == list.content_end()).then_some(found)
}

fn remove_flow(list: Node<'_>, items: &[Node<'_>], which: &BTreeSet<usize>) -> Option<Vec<Edit>> {
    let (text, base) = list.document();
    let items = flow_items(list, items)?;
    let mut edits = Vec::new();
    let mut index = 0;
    while index < items.len() {
        let first = index;
        while which.contains(&index) {
            index += 1;
        }
        if first == index {
            index += 1;
            continue;
        }
        let run = items.get(first..index)?;
        let range = match items.get(index) {
            Some(next) => flow_range_before(text, run, next)?,
            None => flow_range_at_end(text, items.get(first.checked_sub(1)?)?, run)?,
        };
        edits.push(Edit::new(range, "").shifted(base));
    }
    Some(edits)
}

/// What goes with items that others follow.
fn flow_range_before(text: &str, run: &[FlowItem], next: &FlowItem) -> Option<Range<usize>> {
    let (start, comma) = (run.first()?.start, run.last()?.comma?);
    if !text.get(comma..next.start)?.contains('\n') {
        return Some(start..next.start);
    }
    let line = line_start(text, start);
    if text.get(line..start)?.trim().is_empty() {
        return Some(line..next_line(text, comma));
    }
    let blank = text.get(line..start)?.trim_end().len();
    Some(if text.get(line..line + blank)?.ends_with('[') { start } else { line + blank }..comma + 1)
}

/// What goes with items at the end of a list.
fn flow_range_at_end(text: &str, previous: &FlowItem, run: &[FlowItem]) -> Option<Range<usize>> {
    let (start, last, comma) = (run.first()?.start, run.last()?, previous.comma?);
    // Lines may be as long as the file.
    if !text.get(comma..start)?.contains(['\n', '#']) {
        return Some(comma..last.end);
    }
    let line = line_start(text, start);
    let own_line = text.get(line..start)?.trim().is_empty();
    let behind = last.comma.map_or(last.end, |comma| comma + 1);
    let rest = text.get(behind..)?.split(['\n', '\r']).next()?;
    let ends_line = rest.trim().is_empty() || rest.trim_start().starts_with('#');
    if !text.get(comma..start)?.contains('#') {
        // The item's own comment goes with it; the comma before takes the place of the one behind.
        let end =
            if own_line && ends_line && last.comma.is_none() { last.end + rest.trim_end().len() } else { last.end };
        return Some(comma..end);
    }
    Some(if own_line && ends_line { line..next_line(text, behind) } else { start..behind })
}

/// A value within a line, or over lines indented like the one on which it starts.
fn flow(value: &Value, form: &Form, indent: &str) -> String {
    match form {
        Form::Yaml(style) => style.item(value),
        Form::Json(style) => style.write(value, indent),
    }
}

/// The first byte from `at` on that is no blank, line break or comment.
fn skip_blank(text: &str, mut at: usize) -> usize {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_start().len();
        let rest = text.get(at..).unwrap_or_default();
        if !rest.starts_with('#') {
            return at;
        }
        at += rest.find('\n').unwrap_or(rest.len());
    }
}

/// Where the lines end that belong to something that ends at `at`: comments behind it that are indented deeper than its
/// dash belong to it.
fn lines_end(text: &str, at: usize, column: usize) -> usize {
    let mut end = next_line(text, at);
    for line in lines(text, end) {
        let comment = text.get(line.clone()).is_some_and(|line| line.trim_start().starts_with('#'));
        if !comment || indentation(text, line.start).len() <= column {
            break;
        }
        end = line.end;
    }
    end
}

/// The lines from `at`, their breaks included.
fn lines(text: &str, at: usize) -> impl Iterator<Item = Range<usize>> {
    let mut start = at;
    std::iter::from_fn(move || {
        let line = start..next_line(text, start);
        start = line.end;
        (!line.is_empty()).then_some(line)
    })
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

fn next_line(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.find('\n')).map_or(text.len(), |end| at + end + 1)
}

#[cfg(test)]
mod tests {
    use super::super::{JsonStyle, Node, Style, Tree, parse_documents};
    use super::*;

    fn parse(text: &str) -> Vec<Tree<'_>> {
        let (trees, error) = parse_documents(text, 0, 1);
        assert_eq!(error, None, "{text}");
        trees
    }

    fn field<'t>(tree: &'t Tree<'_>, name: &str) -> (Node<'t>, Node<'t>) {
        let mut found = None;
        tree.root().unwrap().visit_fields(&mut |key, entry, _| {
            if key == name {
                found = Some((entry.key, entry.value));
            }
        });
        found.unwrap()
    }

    fn applied(text: &str, edits: Vec<Edit>) -> String {
        let after = String::from_utf8(apply(text.as_bytes(), edits).unwrap()).unwrap();
        parse(&after);
        after
    }

    /// Removes items of the list `l` of the document.
    fn without(text: &str, which: &[usize], above: CommentsAbove) -> String {
        let trees = parse(text);
        let edits = remove(field(&trees[0], "l").1, &which.iter().copied().collect(), above);
        applied(text, edits.unwrap_or_else(|| panic!("not understood: {text}")))
    }

    #[test]
    fn items_in_brackets_go_with_their_comma() {
        for (before, which, after) in [
            ("l: [a, x, b] # c\n", &[1][..], "l: [a, b] # c\n"),
            ("l: [x, a]\n", &[0], "l: [a]\n"),
            ("l: [a, x]\n", &[1], "l: [a]\n"),
            ("l: [ x, a, x ]\n", &[0, 2], "l: [ a ]\n"),
            ("l: [a,x,x,b]", &[1, 2], "l: [a,b]"),
            ("l: [a, 'x', \"b\",]\r\n", &[1], "l: [a, \"b\",]\r\n"),
            ("l: [a, x,]\n", &[1], "l: [a,]\n"),
            ("l:\t[a,\tx]\n", &[1], "l:\t[a]\n"),
            ("é: ü\nl: [ö, x, \"日本\"] # ß\n", &[1], "é: ü\nl: [ö, \"日本\"] # ß\n"),
            ("l: [&a a, &x x, !!str b]\nm: *a\n", &[1], "l: [&a a, !!str b]\nm: *a\n"),
            ("l: [\n  a,\n  x,\n  b\n]\n", &[1], "l: [\n  a,\n  b\n]\n"),
            ("l: [\n  a,\n  x\n]\n", &[1], "l: [\n  a\n]\n"),
            ("l: [\n  x,\n  a\n]\n", &[0], "l: [\n  a\n]\n"),
            (
                "l: [\n  a, # one\n  x, # two\n  # three\n  b # four\n]\n",
                &[1],
                "l: [\n  a, # one\n  # three\n  b # four\n]\n",
            ),
            ("l: [\n  a, # one\n  x # two\n]\n", &[1], "l: [\n  a, # one\n]\n"),
            ("l: [\n  a,\n  x # two\n]\n", &[1], "l: [\n  a\n]\n"),
            ("l: [a, # one\n  x]\n", &[1], "l: [a, # one\n  ]\n"),
            ("l: [a, x, # one\n  b]\n", &[1], "l: [a, # one\n  b]\n"),
            ("l: [x,\n  b]\n", &[0], "l: [\n  b]\n"),
            ("{\"l\": [\"a\", \"x\"]}", &[1], "{\"l\": [\"a\"]}"),
            ("{\"l\":[\n\t\"x\",\n\t\"a\"\n]}", &[0], "{\"l\":[\n\t\"a\"\n]}"),
            ("l: [{a: [b, c]}, {x: [y]}, {d: e}]\n", &[1], "l: [{a: [b, c]}, {d: e}]\n"),
        ] {
            assert_eq!(without(before, which, CommentsAbove::Stay), after, "{before}");
        }
    }

    #[test]
    fn items_with_dashes_go_with_their_lines() {
        for (before, which, after) in [
            ("l:\n- a\n- x\n- b\nm: c\n", &[1][..], "l:\n- a\n- b\nm: c\n"),
            ("l:\n- x # c\n- a\n", &[0], "l:\n- a\n"),
            ("l:\n  - a\n  - x\n", &[1], "l:\n  - a\n"),
            ("l:\n  - a\n  - x", &[1], "l:\n  - a"),
            ("l:\r\n- a\r\n- x", &[1], "l:\r\n- a"),
            ("l:\n- a\n- x\n- x", &[1, 2], "l:\n- a"),
            ("l:\r\n- a\r\n- x\r\n- b\r\n", &[1], "l:\r\n- a\r\n- b\r\n"),
            (
                "l:\n# one\n- a # two\n# three\n\n- x\n# four\n- b\n",
                &[1],
                "l:\n# one\n- a # two\n# three\n\n# four\n- b\n",
            ),
            ("l:\n-\tx\n-   'a'\n", &[0], "l:\n-   'a'\n"),
            ("l:\n- a\n-\n  x\n- b\n", &[1], "l:\n- a\n- b\n"),
            ("l:\n- a\n- # c\n  &x x\n- b\n", &[1], "l:\n- a\n- b\n"),
            ("l:\n- |\n  x\n\n- a\n", &[0], "l:\n\n- a\n"),
            ("é: ü\nl:\n- ö\n- x\n- 日本\n", &[1], "é: ü\nl:\n- ö\n- 日本\n"),
            (
                "l:\n- a: [b,\n    c]\n  d:\n- x: y\n  z: |\n    q\n  # inside\n# outside\n",
                &[1],
                "l:\n- a: [b,\n    c]\n  d:\n# outside\n",
            ),
        ] {
            assert_eq!(without(before, which, CommentsAbove::Stay), after, "{before}");
        }
    }

    #[test]
    fn comments_above_go_where_they_belong_to_what_goes() {
        for (before, which, after) in [
            ("l:\n# x\n- x: y\n# a\n- a: b\n", &[0][..], "l:\n# a\n- a: b\n"),
            ("l:\n- a: b\n  # of a\n# one\n# two\n- x: y\n\n# end\n", &[1], "l:\n- a: b\n  # of a\n\n# end\n"),
            ("l:\n- a: b\n# apart\n\n- x: y\n", &[1], "l:\n- a: b\n# apart\n\n"),
        ] {
            assert_eq!(without(before, which, CommentsAbove::Go), after, "{before}");
        }
    }

    #[test]
    fn what_is_not_understood_is_not_edited() {
        for text in ["l: [a]\n", "l: b\n", "? l\n: - a\n  - b\n"] {
            let trees = parse(text);
            assert_eq!(remove(field(&trees[0], "l").1, &BTreeSet::from([0]), CommentsAbove::Go), None, "{text}");
        }
    }

    #[test]
    fn a_list_that_loses_everything_is_an_empty_one() {
        for (before, after) in [
            ("l: # c\n# of a\n- a: b\n- c: d # e\nm: n\n", "l: [] # c\nm: n\n"),
            ("l: [ a, b ] # c\n", "l: [] # c\n"),
            ("\"l\":\n  - a\n  - b", "\"l\": []"),
        ] {
            let trees = parse(before);
            let (key, list) = field(&trees[0], "l");
            assert_eq!(applied(before, clear(key, list, CommentsAbove::Go).unwrap()), after, "{before}");
        }
    }

    fn value(name: &str) -> Value {
        Value::map([("k", Value::text(name)), ("o", Value::texts(["p", "q"]))])
    }

    #[test]
    fn values_are_put_behind_and_instead_of_items() {
        for (before, at, behind, instead) in [
            (
                "l:\n  - a: [b] # c\n    # d\n  - e: f\n",
                0,
                "l:\n  - a: [b] # c\n    # d\n  - k: x\n    o: [p, q]\n  - e: f\n",
                "l:\n  - k: x\n    o: [p, q] # c\n    # d\n  - e: f\n",
            ),
            (
                "l:\r\n- a:\r\n  - b\r\n  c: d",
                0,
                "l:\r\n- a:\r\n  - b\r\n  c: d\r\n- k: x\r\n  o:\r\n  - p\r\n  - q",
                "l:\r\n- k: x\r\n  o:\r\n  - p\r\n  - q",
            ),
            (
                "l: [{a: [b]}, {c: d}] # e\n",
                0,
                "l: [{a: [b]}, {k: x, o: [p, q]}, {c: d}] # e\n",
                "l: [{k: x, o: [p, q]}, {c: d}] # e\n",
            ),
            (
                "l: [\n  {a: ['b']}\n]\n",
                0,
                "l: [\n  {a: ['b']},\n  {k: x, o: ['p', 'q']}\n]\n",
                "l: [\n  {k: x, o: ['p', 'q']}\n]\n",
            ),
        ] {
            let trees = parse(before);
            let form = Form::Yaml(Style::of(trees[0].root().unwrap()));
            let list = field(&trees[0], "l").1;
            assert_eq!(applied(before, insert_after(list, at, &[value("x")], &form).unwrap()), behind);
            assert_eq!(applied(before, replace(list, at, &[value("x")], &form).unwrap()), instead);
        }
        let before = "{\n  \"l\": [\n    {\n      \"a\": [\"b\"]\n    }\n  ]\n}\n";
        let trees = parse(before);
        let form = Form::Json(JsonStyle::of(trees[0].root().unwrap()));
        let list = field(&trees[0], "l").1;
        assert_eq!(
            applied(before, insert_after(list, 0, &[value("x")], &form).unwrap()),
            "{\n  \"l\": [\n    {\n      \"a\": [\"b\"]\n    },\n    {\n      \"k\": \"x\",\n      \"o\": [\"p\", \"q\"]\n    }\n  ]\n}\n"
        );
    }

    /// Removes the only document of the text.
    fn removed(text: &str, base: usize, extent: Extent) -> String {
        let (trees, error) = parse_documents(text, base, 1);
        assert_eq!(error, None);
        let edits = remove_document(trees[0].root().unwrap(), extent).unwrap();
        let padding = " ".repeat(base);
        let after = apply(format!("{padding}{text}").as_bytes(), edits).unwrap();
        String::from_utf8(after).unwrap().split_off(base)
    }

    #[test]
    fn documents_go_with_their_separator_and_comments() {
        for (text, base, whole, but_comments) in [
            ("a: b\n", 0, "", ""),
            ("\u{feff}a: b\n", 0, "\u{feff}", "\u{feff}"),
            ("# c\na: b\n# d\n", 0, "", "# c\n# d\n"),
            ("# licence\n\n# c\na: b\n", 0, "# licence\n", "# licence\n\n# c\n"),
            ("---\n# c\n\na: b\n", 7, "", "# c\n\n"),
            ("--- # c\na:\n- b # c\n...\n", 7, "", ""),
            ("---\r\na: |\r\n  b\r\n\r\n# next\r\n", 7, "# next\r\n", "\r\n# next\r\n"),
            ("--- {a: b}\n", 7, "", ""),
            ("---\na: b\n\n\n", 7, "", "\n\n"),
        ] {
            assert_eq!(removed(text, base, Extent::Whole), whole, "{text:?}");
            assert_eq!(removed(text, base, Extent::ButComments), but_comments, "{text:?}");
        }
    }

    #[test]
    fn documents_are_added_behind_a_separator() {
        for (text, after) in [
            ("a: b\n", "a: b\n---\nx: y\n---\nz: q\n"),
            ("a: b", "a: b\n---\nx: y\n---\nz: q\n"),
            ("a: b\r\n", "a: b\r\n---\r\nx: y\n---\r\nz: q\n"),
            ("a: b\n---\n", "a: b\n---\nx: y\n---\nz: q\n"),
            ("# c\n", "# c\nx: y\n---\nz: q\n"),
            ("", "x: y\n---\nz: q\n"),
        ] {
            let edit = append_documents(text, &["x: y\n".to_owned(), "z: q\n".to_owned()]);
            let result = apply(text.as_bytes(), edit.into_iter().collect()).unwrap();
            assert_eq!(String::from_utf8(result).unwrap(), after, "{text:?}");
        }
    }

    #[test]
    fn edits_of_the_same_bytes_are_refused() {
        let edit = |range: Range<usize>, text: &str| Edit::new(range, text);
        assert_eq!(apply(b"abcd", vec![edit(1..3, "x"), edit(2..4, "y")]), Err(Overlap { at: 2 }));
        assert_eq!(apply(b"abcd", vec![edit(2..4, ""), edit(1..3, "")]), Ok(b"a".to_vec()));
        assert_eq!(apply(b"abcd", vec![edit(3..4, "y"), edit(1..3, "x"), edit(1..3, "x")]), Ok(b"axy".to_vec()));
        assert!(apply(b"ab", vec![edit(1..5, "")]).is_err());
    }
}
