//! Unrendered templates, read where they stand. Nothing is rendered and nothing executed: directives are masked, so that
//! the YAML parser reads the rest at its own bytes, and what was masked is kept beside it: expressions, the conditions
//! under which something is there, the places at which lines are missing.
//!
//! All branches of a condition are read as if they were there. What that makes of two branches, whoever reads the tree
//! has to say ([`Template::apart`]).

mod branches;
mod changes;
mod chart;
mod code;
mod doubts;
mod expression;
mod lex;
mod mask;
mod outline;
mod scope;
mod written;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

pub(crate) use branches::{Apart, Condition};
use changes::Changes;
pub(crate) use chart::{Chart, Charts, Literal, chart_file, chart_root, granting_word, may_grant};
use code::has_escapes;
pub(crate) use code::{CallKind, Level};
pub(crate) use doubts::written_in_comments;
use doubts::{IN_COMMENT, given};
use expression::{Bound, Scope, Variable, canonical, evaluate, texts_in};
use lex::{Action, Block, Directive, directives, has_ytt_code};
pub(crate) use mask::Hole;
use mask::mask;
use scope::{Guard, GuardKind, Scopes};
pub(crate) use written::{Call, Unseen};

use crate::source::{TemplateLanguage, split_documents};
use crate::syntax::{Place, SyntaxError, Tree, parse_documents, parse_masked, to_u32};

/// How much of an expression is shown.
const MAX_SHOWN: usize = 120;
/// Stands for what is not known of a text.
const UNKNOWN: &str = "{{}}";
/// What begins a document.
const SEPARATOR: &str = "---";
/// How many variables are remembered.
const MAX_VARIABLES: usize = 200;
/// How many bytes of values are looked at, all in all: a second's work.
const MAX_TEXT: usize = 64 << 20;
/// How many elements of lists are written out, all in all.
const MAX_ELEMENTS: usize = 100_000;

/// A text with directives in it.
#[derive(Debug)]
pub(crate) struct Template<'t> {
    text: &'t str,
    language: TemplateLanguage,
    masked: String,
    directives: Vec<Directive<'t>>,
    scopes: Scopes<'t>,
    holes: Vec<Hole>,
    /// Where what is read is not what would be rendered, and why.
    troubles: Vec<(usize, &'static str)>,
    /// Where Helm begins documents, and YAML does not.
    glued: Vec<usize>,
    /// Bodies of blocks that stand where they are called.
    defines: Vec<Range<usize>>,
    /// What variables are that have one value only in the whole text, and from where on.
    variables: Vec<Variable<'t>>,
    /// The chart that it belongs to.
    chart: Option<Arc<Chart>>,
    /// What variables are given, as code.
    given: BTreeMap<&'t str, Vec<&'t str>>,
    /// What its own code changes of the values, where there is no chart.
    changes: OnceCell<Changes>,
    lines: Vec<u32>,
    /// Directives with nothing between them. Few ask.
    runs: OnceCell<Vec<Range<usize>>>,
    /// How many more elements of lists are written out. A short directive may stand for a long list.
    elements_left: Cell<usize>,
    /// How many more bytes of values are looked at.
    text_left: Cell<usize>,
    /// Directives of which somebody has read what they write.
    asked: RefCell<BTreeSet<usize>>,
    /// A place that was asked for, and how many characters stand before it on its line.
    position: Cell<(usize, usize)>,
}

/// A document of a template.
#[derive(Debug)]
pub(crate) struct Part<'p> {
    /// Where it stands.
    pub range: Range<usize>,
    /// As many bytes, masked.
    masked: Cow<'p, str>,
    /// The block that it is in, if that stands where it is called.
    pub block: Option<&'p str>,
    /// Whether that block stands where it is defined, too.
    pub in_place: bool,
}

impl<'t> Template<'t> {
    /// Reads a text.
    ///
    /// # Errors
    /// When a directive does not end; its place.
    pub(crate) fn new(text: &'t str, language: TemplateLanguage, chart: Option<Arc<Chart>>) -> Result<Self, usize> {
        let directives = directives(text, language).map_err(|unclosed| unclosed.offset)?;
        let scopes = Scopes::new(&directives, text.len());
        let mut masked = mask(text, &directives, &scopes);
        let glued: Vec<usize> = if chart.is_some() { glued_separators(text).collect() } else { Vec::new() };
        for at in &glued {
            // Lines are counted in the text itself.
            masked.text.replace_range(*at..at + SEPARATOR.len(), "\n\n\n");
        }
        let troubles: Vec<(usize, &'static str)> =
            scopes.misfits.iter().chain(&masked.troubles).map(|misfit| (misfit.offset, misfit.what)).collect();
        let defines = scopes.all().iter().filter(|guard| matches!(guard.kind, GuardKind::Define(_)));
        let defines = defines.map(|guard| guard.range.clone()).collect();
        let mut lines = vec![0];
        lines.extend(line_starts(text.as_bytes()));
        let mut template = Self {
            text,
            language,
            masked: masked.text,
            holes: masked.holes,
            given: given(&directives),
            directives,
            scopes,
            troubles,
            glued,
            defines,
            variables: Vec::new(),
            chart,
            changes: OnceCell::new(),
            lines,
            runs: OnceCell::new(),
            elements_left: Cell::new(MAX_ELEMENTS),
            text_left: Cell::new(MAX_TEXT),
            asked: RefCell::default(),
            position: Cell::default(),
        };
        template.find_variables();
        let written =
            template.directives.iter().enumerate().filter(|(index, it)| template.writes_in_comment(*index, it));
        let written = written.take(MAX_VARIABLES).map(|(_, it)| (it.range.start, IN_COMMENT)).collect::<Vec<_>>();
        template.troubles.extend(written);
        template.troubles.sort_unstable();
        Ok(template)
    }

    /// The documents: those of the text without the blocks that are called from elsewhere, and those of these blocks.
    pub(crate) fn parts(&self) -> Vec<Part<'_>> {
        let mut main = self.masked.clone().into_bytes();
        for range in &self.defines {
            for byte in main.get_mut(range.clone()).unwrap_or_default() {
                if !matches!(byte, b'\n' | b'\r') {
                    *byte = b' ';
                }
            }
        }
        let main = String::from_utf8(main).unwrap_or_default();
        let mut parts: Vec<Part<'_>> = split_documents(main.as_bytes())
            .into_iter()
            .flat_map(|piece| self.unglued(piece.range))
            .filter_map(|range| {
                Some(Part {
                    masked: Cow::Owned(main.get(range.clone())?.to_owned()),
                    range,
                    block: None,
                    in_place: false,
                })
            })
            .collect();
        // Blocks in blocks are read by themselves too.
        let defines = self.defines.iter().map(|body| (body.clone(), self.block_around(body.start), false));
        let called = self.directives.iter().filter_map(|it| Some((called_block(it)?, it.range.end)));
        let in_place = called.filter_map(|(block, start)| {
            let (_, guard) = self.scopes.around(start).next()?;
            Some((guard.range.clone(), Some(block), true))
        });
        for (body, block, in_place) in defines.chain(in_place) {
            let text = self.masked.get(body.clone()).unwrap_or_default();
            parts.extend(split_documents(text.as_bytes()).into_iter().filter_map(|piece| {
                let range = body.start + piece.range.start..body.start + piece.range.end;
                Some(Part { masked: Cow::Borrowed(self.masked.get(range.clone())?), range, block, in_place })
            }));
        }
        parts
    }

    /// A stretch of the text, cut where Helm begins a document.
    fn unglued(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let from = self.glued.partition_point(|at| *at <= range.start);
        let within = self.glued.iter().skip(from).copied().take_while(|at| *at < range.end);
        let cuts: Vec<usize> = std::iter::once(range.start).chain(within).chain([range.end]).collect();
        cuts.windows(2).map(|cut| cut[0]..cut[1]).collect()
    }

    /// The documents in the text of a block scalar: as they stand there, further right than in a file of their own.
    pub(crate) fn parts_in(&self, scalar: Range<usize>) -> Vec<Part<'_>> {
        let start = scalar.start - line_before(self.text, scalar.start).len();
        let masked = self.masked.get(start..scalar.end).unwrap_or_default();
        let mut parts = Vec::new();
        let (mut from, mut at) = (start, start);
        for line in masked.split_inclusive('\n') {
            if line
                .trim_start()
                .strip_prefix("---")
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
            {
                parts.push(from..at);
                from = at + line.len();
            }
            at += line.len();
        }
        parts.push(from..at);
        let part = |range: Range<usize>| {
            Some(Part { masked: Cow::Borrowed(self.masked.get(range.clone())?), range, block: None, in_place: false })
        };
        parts.into_iter().filter_map(part).collect()
    }

    /// The language of its directives.
    pub(crate) fn language(&self) -> TemplateLanguage {
        self.language
    }

    /// The text of a part as it stands.
    pub(crate) fn text_of(&self, part: &Part<'_>) -> &'t str {
        self.text.get(part.range.clone()).unwrap_or_default()
    }

    /// Whether a part is a manifest as it stands: nothing in it is filled in, and no condition is around it.
    pub(crate) fn is_manifest(&self, part: &Part<'_>) -> bool {
        let is_conditional = self.scopes.around(part.range.start).next().is_some();
        !is_conditional
            && self.glued.binary_search(&part.range.start).is_err()
            && self.directives_in(part.range.clone()).next().is_none()
    }

    /// Whether the kind of an object in a part may be filled in, so that its text need not name it.
    pub(crate) fn may_hold_kind(&self, part: &Part<'_>) -> bool {
        self.directives_in(part.range.clone()).any(|(index, directive)| {
            let start = directive.range.start;
            let line = line_before(self.text, start);
            let above = line_before(self.text, start.saturating_sub(line.len() + 1));
            let is_letter =
                |at: Option<usize>| at.and_then(|at| self.text.as_bytes().get(at)).is_some_and(u8::is_ascii_alphabetic);
            let names_kind = |line: &[u8]| memchr::memmem::find(line, b"kind").is_some();
            let splits_word = is_letter(start.checked_sub(1)) && is_letter(Some(directive.range.end));
            let writes = || directive.action == Action::Output || self.splits_word(index);
            splits_word || (names_kind(line) || names_kind(above)) && writes()
        })
    }

    /// Whether a directive stands within a word, others and what they eat left out.
    fn splits_word(&self, index: usize) -> bool {
        let runs = self.runs.get_or_init(|| self.find_runs());
        let run = runs.get(runs.partition_point(|run| run.end <= index));
        let ends = run.and_then(|run| Some((self.directives.get(run.start)?, self.directives.get(run.end - 1)?)));
        let Some((first, last)) = ends else { return false };
        let left = self.text.get(..first.range.start).unwrap_or_default();
        let left = if first.trims_left { left.trim_end() } else { left };
        let right = self.text.get(last.range.end..).unwrap_or_default();
        let right = if last.trims_right { right.trim_start() } else { right };
        left.ends_with(|c: char| c.is_ascii_alphabetic()) && right.starts_with(|c: char| c.is_ascii_alphabetic())
    }

    /// Directives with nothing between them, once blanks are eaten; their indices.
    fn find_runs(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for (index, pair) in self.directives.windows(2).enumerate() {
            let between = self.text.get(pair[0].range.end..pair[1].range.start).unwrap_or("?");
            let eaten = pair[0].trims_right || pair[1].trims_left;
            if !(between.is_empty() || eaten && between.trim().is_empty()) {
                runs.push(start..index + 1);
                start = index + 1;
            }
        }
        runs.push(start..self.directives.len());
        runs
    }

    /// Whether something in a part is written with escapes.
    pub(crate) fn has_escapes(&self, part: &Part<'_>) -> bool {
        let code = self.directives_in(part.range.clone()).flat_map(|(_, it)| texts_in(it.body));
        has_escapes(&part.masked) || code.into_iter().any(|text| has_escapes(&text))
    }

    /// Parses a part.
    pub(crate) fn parse(&self, part: &Part<'_>) -> (Vec<Tree<'t>>, Option<SyntaxError>) {
        let base = part.range.start;
        let text = self.text_of(part);
        let mut reveal = |range: Range<usize>, is_tagged: bool| {
            // What a tag makes of what is filled in is not known.
            let mut value = self.reveal(base + range.start..base + range.end)?;
            value.push_str(if is_tagged { UNKNOWN } else { "" });
            Some(value)
        };
        parse_masked(text, &part.masked, base, &mut reveal, &|offset| self.position(base + offset))
    }

    /// Line and column of a byte, both from 1. Places mostly come in their order, and a line may be very long.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|start| *start as usize <= offset).max(1);
        let start = self.lines.get(line - 1).map_or(0, |start| *start as usize);
        let (known, column) = self.position.get();
        let (from, before) = if (start..=offset).contains(&known) { (known, column) } else { (start, 0) };
        let column = before + self.text.get(from..offset).unwrap_or_default().chars().count();
        self.position.set((offset, column));
        (to_u32(line), to_u32(column) + 1)
    }

    fn directives_in(&self, range: Range<usize>) -> impl Iterator<Item = (usize, &Directive<'t>)> {
        let from = self.directives.partition_point(|directive| directive.range.end <= range.start);
        let directives = self.directives.get(from..).unwrap_or_default().iter().enumerate();
        directives
            .take_while(move |(_, directive)| directive.range.start < range.end)
            .map(move |(index, directive)| (from + index, directive))
    }

    /// The value of a scalar of which some is masked; none if nothing is. What is not known of it keeps its marks.
    fn reveal(&self, range: Range<usize>) -> Option<String> {
        self.directives_in(range.clone()).next()?;
        let source = self.text.get(range.clone()).unwrap_or_default();
        let quote =
            source.chars().next().filter(|c| matches!(c, '"' | '\'') && source.len() > 1 && source.ends_with(*c));
        let inner = if quote.is_some() { range.start + 1..range.end - 1 } else { range };
        // An escape beside a directive is not undone; what it is part of is not known then.
        let known = quote != Some('"') || !source.contains('\\') || source.contains("{{");
        let mut value = self.filled_in(inner, known);
        if quote == Some('"') && value.contains('\\') && !is_templated(&value) {
            // Not known, and it must not look so.
            value.push_str(UNKNOWN);
        }
        // Nor is what is done with the ends of lines.
        if quote.is_none() && source.contains('\n') && !is_templated(&value) {
            value.push_str(UNKNOWN);
        }
        Some(value)
    }

    /// A stretch of the text with what its directives write, as far as that is known.
    fn filled_in(&self, range: Range<usize>, known: bool) -> String {
        let mut value = String::new();
        let mut at = range.start;
        let mut eats = false;
        let push = |value: &mut String, literal: &str, left: bool, right: bool| {
            let literal = if left { literal.trim_start() } else { literal };
            value.push_str(if right { literal.trim_end() } else { literal });
        };
        for (index, directive) in self.directives_in(range.clone()) {
            let literal = self.text.get(at..directive.range.start).unwrap_or_default();
            push(&mut value, literal, eats, directive.trims_left);
            match directive.action {
                Action::Comment | Action::Silent => {}
                Action::Output => match self.word(index).filter(|text| known && !text.is_empty()) {
                    Some(text) => value.push_str(&text),
                    None => value.push_str(&self.spelled(directive)),
                },
                _ => value.push_str(&self.spelled(directive)),
            }
            at = directive.range.end;
            eats = directive.trims_right;
        }
        push(&mut value, self.text.get(at..range.end).unwrap_or_default(), eats, false);
        value
    }

    /// A directive in the spelling that it shares with all that say the same.
    fn spelled(&self, directive: &Directive<'_>) -> String {
        let body = canonical(directive.body);
        match self.language {
            TemplateLanguage::DoubleBraces => format!("{{{{ {body} }}}}"),
            TemplateLanguage::Jinja if directive.action == Action::Output => format!("{{{{ {body} }}}}"),
            TemplateLanguage::Jinja => format!("{{% {body} %}}"),
            TemplateLanguage::Ytt => format!("(@ {body} @)"),
            TemplateLanguage::Erb => format!("<% {body} %>"),
            TemplateLanguage::Substitution => format!("${{{body}}}"),
        }
    }

    /// The directive at an index as messages show it.
    pub(crate) fn shown(&self, index: usize) -> String {
        self.directives.get(index).map_or_else(String::new, |directive| shorten(&self.spelled(directive)))
    }

    /// Whether a place is in a comment of the template's language.
    pub(crate) fn is_in_comment(&self, offset: usize) -> bool {
        let mut around = self.directives_in(offset..offset + 1);
        around.any(|(_, directive)| directive.action == Action::Comment)
    }

    /// The names of the blocks that are defined there.
    pub(crate) fn block_names(&self) -> impl Iterator<Item = &str> {
        let defined = self.scopes.all().iter().filter_map(|guard| match guard.kind {
            GuardKind::Define(name) => Some(block_name(name)),
            _ => None,
        });
        defined.chain(self.directives.iter().filter_map(called_block))
    }

    /// Whether documents there change others, as ytt's overlays do.
    pub(crate) fn has_overlays(&self) -> bool {
        self.language == TemplateLanguage::Ytt && self.text.contains("#@overlay")
    }

    /// The blocks in a document that are defined where they are called, each with its place.
    pub(crate) fn blocks_in(&self, document: Range<usize>) -> impl Iterator<Item = (usize, &str)> {
        let directives = self.directives_in(document);
        directives.filter_map(|(_, it)| Some((it.range.start, called_block(it)?)))
    }

    /// Whether the verb begins at a place.
    pub(crate) fn has_word_at(&self, offset: usize) -> bool {
        self.text.get(offset..).is_some_and(|rest| rest.starts_with("impersonate"))
    }

    /// The block that a directive calls, if it does nothing else.
    pub(crate) fn called(&self, index: usize) -> Option<String> {
        let body = canonical(self.directives.get(index)?.body);
        let (name, rest) = body.strip_prefix("include \"")?.split_once('"')?;
        // What else is done with it may change it.
        (!rest.contains('|')).then(|| name.to_owned())
    }

    /// The directive that is all there is of a scalar in this range.
    pub(crate) fn only(&self, range: Range<usize>) -> Option<usize> {
        let mut found = self.directives_in(range.clone());
        let (index, directive) = found.next()?;
        let alone = found.next().is_none() && directive.range.start <= range.start && directive.range.end >= range.end;
        (alone && directive.action == Action::Output).then_some(index)
    }

    /// The texts that a scalar may be, if a condition in it chooses among them. Of several conditions, each stretch of text
    /// by itself, and all of them in one. Each with the branch that says it, if it is one.
    pub(crate) fn alternatives(&self, range: Range<usize>) -> Option<Vec<(String, Option<Place>)>> {
        let is_block = |action: &Action<'_>| matches!(action, Action::Open(_) | Action::Else(_) | Action::Close);
        let blocks: Vec<&Directive<'_>> =
            self.directives_in(range.clone()).map(|(_, it)| it).filter(|it| is_block(&it.action)).collect();
        let first = blocks.first()?;
        let mut stretches = Vec::new();
        let mut places = Vec::new();
        let (mut at, mut eats) = (range.start, false);
        let mut push = |range: Range<usize>, left: bool, right: bool| {
            places.push(self.place_of_word(range.clone()));
            let text = self.filled_in(range, true);
            let text = if left { text.trim_start() } else { &text };
            stretches.push(if right { text.trim_end() } else { text }.to_owned());
        };
        for block in &blocks {
            push(at..block.range.start, eats, block.trims_left);
            (at, eats) = (block.range.end, block.trims_right);
        }
        push(at..range.end, eats, false);
        // The scalar may begin or end within the condition: what stands outside of it is the same for all branches then.
        let opens = matches!(first.action, Action::Open(_));
        let closes = blocks.last().is_some_and(|last| last.action == Action::Close);
        let inner = blocks.get(usize::from(opens)..blocks.len() - usize::from(closes)).unwrap_or_default();
        let mut texts: Vec<(String, Option<Place>)> = if inner.iter().all(|it| matches!(it.action, Action::Else(_))) {
            let before = if opens { stretches.remove(0) } else { String::new() };
            let branches = places.into_iter().skip(usize::from(opens)).map(Some).chain(std::iter::repeat(None));
            let behind = if closes { stretches.pop().unwrap_or_default() } else { String::new() };
            if !inner.iter().any(|it| it.action == Action::Else(None)) {
                stretches.push(String::new());
            }
            // It may be there several times.
            let repeats = blocks.iter().any(|it| matches!(it.action, Action::Open(Block::Each(_))));
            let texts = stretches.iter().map(|branch| format!("{before}{branch}{behind}"));
            let texts = texts.zip(branches);
            texts.chain(repeats.then(|| (UNKNOWN.to_owned(), None))).collect()
        } else {
            // Any of them may be there with any other, or several times.
            let whole = stretches.concat();
            stretches.into_iter().chain([whole, UNKNOWN.to_owned()]).map(|text| (text, None)).collect()
        };
        for (text, _) in &mut texts {
            *text = text.trim_matches(['"', '\'', ' ', '\n']).to_owned();
        }
        texts.retain(|(text, _)| !text.is_empty());
        texts.dedup_by(|(a, _), (b, _)| a == b);
        Some(texts)
    }

    /// The place of what is written in a range, without blanks and quotes around it.
    fn place_of_word(&self, range: Range<usize>) -> Place {
        let text = self.text.get(range.clone()).unwrap_or_default();
        let around = ['"', '\'', ' ', '\n'];
        let start = range.start + text.len() - text.trim_start_matches(around).len();
        let (line, column) = self.position(start);
        Place::of_text(text.trim_matches(around), to_u32(start), line, column)
    }

    /// What a directive writes by default; none if that cannot be told.
    pub(crate) fn evaluate(&self, index: usize) -> Option<Literal> {
        self.asked.borrow_mut().insert(index);
        self.literal(index)
    }

    /// The same, for those who do not read what is written there.
    pub(crate) fn literal(&self, index: usize) -> Option<Literal> {
        let directive = self.directives.get(index)?;
        if self.language != TemplateLanguage::DoubleBraces {
            return None;
        }
        // A loop writes it for each element.
        let scope = self.scope(directive.range.start);
        evaluate(directive.body, &scope)
    }

    /// What a directive writes by default, if it is a word: text with marks of YAML may be anything once it is written.
    pub(crate) fn word(&self, index: usize) -> Option<String> {
        let text = self.literal(index)?.text()?;
        let is_word = !text.contains(['\n', '\r', ',', '[', ']', '{', '}', '#', '"', '\'', '&', '|', '>', '\\']);
        let is_plain = !text.starts_with(['!', '%', '@', '`', '?', '-']) && (text == "*" || !text.starts_with('*'));
        (is_word && is_plain && text.trim() == text && !text.contains(": ") && !text.ends_with(':')).then_some(text)
    }

    /// The elements for each of which a directive is written, if it is written in a loop that goes over a known list and
    /// writes nothing but the element.
    pub(crate) fn elements(&self, index: usize) -> Option<Vec<String>> {
        let directive = self.directives.get(index)?;
        let (_, guard) = self.scopes.around(directive.range.start).next()?;
        let GuardKind::Each(list) = guard.kind else { return None };
        let names = list.split_once(":=").map_or("", |(names, _)| names);
        let element = canonical(directive.body);
        let element = element.trim_matches('"');
        let is_element = element == "." && names.is_empty()
            || names.split(',').next_back().is_some_and(|name| !name.is_empty() && name.trim() == element);
        if is_element { self.texts_of(&self.default_of(guard, list)?) } else { None }
    }

    /// The texts of a list of texts, as long as not too many have been asked for.
    pub(crate) fn texts_of(&self, literal: &Literal) -> Option<Vec<String>> {
        let Literal::List(list) = literal else { return None };
        let left = self.elements_left.get().checked_sub(list.len())?;
        self.elements_left.set(left);
        literal.texts()
    }

    /// What `.` and variables are at a place.
    fn scope(&self, offset: usize) -> Scope<'_> {
        let chart = self.chart.as_deref();
        let (mut root, mut dot) = (Bound::Root, Bound::Root);
        let mut guards: Vec<_> = self.scopes.around(offset).collect();
        guards.reverse();
        for (_, guard) in guards {
            match guard.kind {
                // Where the element has a name, `.` is the element all the same.
                GuardKind::Each(_) | GuardKind::Other => dot = Bound::Unknown,
                // Whoever calls the block says what both are.
                GuardKind::Define(_) => (root, dot) = (Bound::Unknown, Bound::Unknown),
                GuardKind::Only { holds: Some(holds), with: true, .. } => {
                    let scope = Scope { chart, root: root.clone(), dot, variables: self.variables_before(offset) };
                    dot = evaluate(value_of(holds), &scope).map_or(Bound::Unknown, Bound::Value);
                }
                GuardKind::Only { .. } => {}
            }
        }
        Scope { chart, root, dot, variables: self.variables_before(offset) }
    }

    fn variables_before(&self, offset: usize) -> &[Variable<'t>] {
        let known = self.variables.partition_point(|variable| variable.offset < offset);
        self.variables.get(..known).unwrap_or_default()
    }

    /// What an expression about the block that begins at a guard is; the block itself is not in its own scope.
    fn default_of(&self, guard: &Guard<'_>, code: &str) -> Option<Literal> {
        let around = guard.parent.and_then(|parent| self.scopes.all().get(parent));
        let offset = around.map_or(0, |around| around.range.start);
        let mut scope = self.scope(offset);
        scope.variables = self.variables_before(guard.range.start);
        evaluate(value_of(code), &scope)
    }

    /// Finds the variables that have one value only.
    fn find_variables(&mut self) {
        let assigned = self.directives.iter().filter(|it| it.action == Action::Silent && it.body.starts_with('$'));
        let mut assigned: Vec<(usize, &str)> =
            assigned.take(MAX_VARIABLES + 1).map(|it| (it.range.start, it.body)).collect();
        if assigned.len() > MAX_VARIABLES {
            // One that is not looked at may change any of them.
            assigned.clear();
        }
        let name = |body: &str| body.split('=').next().map(|name| name.trim_end_matches([':', ' ']).len());
        // Where a value is given in the middle of something else.
        let nested = |body: &&str| body.contains("($") && body.contains('=');
        let nested: Vec<&str> = self.directives.iter().map(|it| it.body).filter(nested).take(MAX_VARIABLES).collect();
        let in_brackets = |name: &str| nested.iter().any(|body| body.contains(&format!("({name}")));
        for (offset, body) in &assigned {
            let Some(name) = name(body).and_then(|end| body.get(..end)) else { continue };
            let once = assigned.iter().filter(|(_, other)| name_is(other, name)).count() == 1;
            let value = evaluate(value_of(body), &self.scope(*offset)).filter(|_| once && !in_brackets(name));
            let bound = value.map_or(Bound::Unknown, Bound::Value);
            self.variables.push(Variable { name, offset: *offset, bound });
        }
        for guard in self.scopes.all() {
            // A block that names what it is about.
            if let GuardKind::Each(code) | GuardKind::Only { holds: Some(code), .. } = guard.kind
                && let Some((names, _)) = code.split_once('=')
            {
                let names = names.trim_end_matches(':');
                for variable in &mut self.variables {
                    if names.split(',').any(|name| name.trim() == variable.name) {
                        variable.bound = Bound::Unknown;
                    }
                }
            }
        }
    }

    /// Where a directive stands.
    pub(crate) fn start_of(&self, index: usize) -> usize {
        self.directives.get(index).map_or(0, |directive| directive.range.start)
    }

    /// Where lines are missing in a range.
    pub(crate) fn holes(&self, range: Range<usize>) -> &[Hole] {
        let from = self.holes.partition_point(|hole| hole.offset < range.start);
        let until = self.holes.partition_point(|hole| hole.offset < range.end);
        self.holes.get(from..until).unwrap_or_default()
    }
}

/// The names of blocks that are defined in a text of which no more is looked at.
pub(crate) fn defined_in(bytes: &[u8]) -> impl Iterator<Item = String> {
    let names = ["define", "block"].into_iter().flat_map(move |word| {
        memchr::memmem::find_iter(bytes, word).filter_map(move |at| {
            let rest = bytes.get(at + word.len()..)?.trim_ascii_start();
            let rest = rest.split(|byte| b" \t\r\n}".contains(byte)).next()?;
            Some(block_name(str::from_utf8(rest).ok()?).to_owned())
        })
    });
    names.filter(|name| !name.is_empty())
}

/// Whether a text is one of ytt's templates, whatever else reads it takes its directives for comments. With marks of other
/// languages it is one if it parses.
pub(crate) fn is_ytt(text: &str) -> bool {
    let parses = || parse_documents(text, 0, 1).1.is_none();
    has_ytt_code(text) && (!text.contains("{{") || parses())
}

/// Whether some text holds marks of a template: something is filled in there.
pub(crate) fn is_templated(text: &str) -> bool {
    ["{{", "${", "(@", "<%", "{%"].iter().any(|mark| text.contains(mark)) || text.starts_with("#@")
}

/// Whether more than what is written of a text is not known.
pub(crate) fn is_open(text: &str) -> bool {
    text.ends_with(UNKNOWN)
}

/// Where Helm begins a document, and YAML does not: it needs no blank behind `---`.
fn glued_separators(text: &str) -> impl Iterator<Item = usize> {
    let begins = |at: &usize| *at == 0 || text.as_bytes().get(at - 1) == Some(&b'\n');
    let next = |at: &usize| text.as_bytes().get(at + SEPARATOR.len());
    let is_glued = move |at: &usize| next(at).is_some_and(|next| !next.is_ascii_whitespace() && *next != b'-');
    memchr::memmem::find_iter(text.as_bytes(), SEPARATOR).filter(begins).filter(is_glued)
}

/// Whether Helm would read a text otherwise than those who take it for YAML: it holds directives, or documents that only
/// Helm tells apart.
pub(crate) fn is_rendered_otherwise(text: &str) -> bool {
    text.contains("{{") || glued_separators(text).next().is_some()
}

/// What stands before a place on its line. A line may be very long, and have very many directives.
fn line_before(text: &str, offset: usize) -> &[u8] {
    let before = text.as_bytes().get(offset.saturating_sub(1 << 10)..offset).unwrap_or_default();
    before.rsplit(|byte| *byte == b'\n').next().unwrap_or_default()
}

fn line_starts(bytes: &[u8]) -> impl Iterator<Item = u32> {
    memchr::memchr2_iter(b'\n', b'\r', bytes).filter_map(|at| {
        let in_pair = bytes.get(at) == Some(&b'\r') && bytes.get(at + 1) == Some(&b'\n');
        (!in_pair).then(|| to_u32(at + 1))
    })
}

/// The block that a directive defines and calls.
fn called_block<'t>(directive: &Directive<'t>) -> Option<&'t str> {
    let name = directive.body.strip_prefix("block")?;
    name.starts_with(char::is_whitespace).then(|| block_name(name))
}

/// The name of a block, without quotes.
fn block_name(code: &str) -> &str {
    code.split_whitespace().next().unwrap_or_default().trim_matches(['"', '`'])
}

/// What stands behind `$name :=`; all of it if nothing of that kind does.
fn value_of(code: &str) -> &str {
    let assigned = if code.starts_with('$') { code.split_once('=') } else { None };
    assigned.filter(|(name, _)| name.ends_with([':', ' '])).map_or(code, |(_, value)| value).trim()
}

fn name_is(body: &str, name: &str) -> bool {
    body.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with([':', '=']))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}
