//! Unrendered templates, read where they stand. Nothing is rendered and nothing executed: directives are masked, so that
//! the YAML parser reads the rest at its own bytes, and what was masked is kept beside it: expressions, the conditions
//! under which something is there, the places at which lines are missing.
//!
//! All branches of a condition are read as if they were there. What that makes of two branches, whoever reads the tree
//! has to say ([`Template::apart`]).

mod changes;
mod chart;
mod expression;
mod lex;
mod mask;
mod scope;

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use changes::Changes;
pub(crate) use chart::{Chart, Charts, Literal, chart_root, granting_word, may_grant};
use expression::{Bound, Scope, Token, Variable, canonical, evaluate, is_path, texts_in, tokens};
use lex::{Action, Block, Directive, directives, has_ytt_code};
pub(crate) use mask::Hole;
use mask::mask;
use scope::{Guard, GuardKind, MAX_FAILS, Scopes};

use crate::source::{TemplateLanguage, split_documents};
use crate::syntax::{Place, SyntaxError, Tree, parse_documents, parse_masked, to_u32};

/// How much of an expression is shown.
const MAX_SHOWN: usize = 120;
/// With these, text that is written into a line may end the value there.
const MARKS_OF_YAML: [char; 9] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}', '[', ']', '{', '}'];
/// With these, a line ends.
const LINE_BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
const MARKS: &str = "what is written here holds marks of YAML, and may be more than a value";
const IN_COMMENT: &str = "what is written into a comment may be more than a comment";
/// How many directives are looked up for what they may write, in one part.
const MAX_LOOKED_UP: usize = 2_000;
/// Stands for what is not known of a text.
const UNKNOWN: &str = "{{}}";
/// What begins a document.
const SEPARATOR: &str = "---";
/// How much code is looked at before and behind a word, in bytes.
const MAX_CODE: usize = 512;
/// How many variables stand for each other, one behind the other, and how often one is given a value that is looked at.
const MAX_STEPS: usize = 4;
const MAX_GIVEN: usize = 4;
/// How many branches a condition may have that is compared with others.
const MAX_BRANCHES: usize = 8;
/// How many variables are remembered.
const MAX_VARIABLES: usize = 200;
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
    /// How many more elements of lists are written out. A short directive may stand for a long list.
    elements_left: Cell<usize>,
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
}

/// A condition around a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Where it holds.
    pub range: Range<usize>,
    /// In words: `only if .Values.rbac.create (true by default)`.
    pub words: String,
}

/// How two places can be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Apart {
    /// They stand in these branches of one condition, which decides the same wherever it has this name.
    Branches { condition: String, branches: [usize; 2] },
    /// They may both be there.
    Not,
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
            elements_left: Cell::new(MAX_ELEMENTS),
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
                Some(Part { masked: Cow::Owned(main.get(range.clone())?.to_owned()), range, block: None })
            })
            .collect();
        for define in &self.defines {
            // Blocks in blocks are read by themselves too.
            let block = self.scopes.around(define.start).find_map(|(_, guard)| match guard.kind {
                GuardKind::Define(name) => Some(block_name(name)),
                _ => None,
            });
            let body = self.masked.get(define.clone()).unwrap_or_default();
            parts.extend(split_documents(body.as_bytes()).into_iter().filter_map(|piece| {
                let range = define.start + piece.range.start..define.start + piece.range.end;
                Some(Part { masked: Cow::Borrowed(self.masked.get(range.clone())?), range, block })
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
            Some(Part { masked: Cow::Borrowed(self.masked.get(range.clone())?), range, block: None })
        };
        parts.into_iter().filter_map(part).collect()
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
        self.directives_in(part.range.clone()).any(|(_, directive)| {
            let start = directive.range.start;
            let line = line_before(self.text, start);
            let above = line_before(self.text, start.saturating_sub(line.len() + 1));
            let names_kind = |line: &[u8]| memchr::memmem::find(line, b"kind").is_some();
            let is_letter =
                |at: Option<usize>| at.and_then(|at| self.text.as_bytes().get(at)).is_some_and(u8::is_ascii_alphabetic);
            let splits_word = is_letter(start.checked_sub(1)) && is_letter(Some(directive.range.end));
            splits_word || directive.action == Action::Output && (names_kind(line) || names_kind(above))
        })
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

    /// Lines in a document that are made of blocks, and of which it is not known what is made: where, of which block, and as
    /// they are shown.
    pub(crate) fn altered_blocks(&self, document: Range<usize>) -> Vec<(usize, String, String)> {
        let written = self.directives_in(document).filter(|(_, it)| it.action == Action::Output);
        let lines = written.filter(|(_, it)| !self.holes(it.range.start..it.range.start + 1).is_empty());
        lines
            .take(MAX_LOOKED_UP)
            .flat_map(|(index, directive)| {
                let mut blocks = BTreeSet::new();
                let is_altered = self.find_blocks(directive.body, &mut blocks, MAX_STEPS);
                blocks.retain(|_| is_altered);
                blocks.into_iter().map(move |block| (directive.range.start, block, self.shown(index)))
            })
            .collect()
    }

    /// Finds the blocks that code includes, in variables too, and tells whether it does more with them than to indent them.
    fn find_blocks(&self, code: &str, blocks: &mut BTreeSet<String>, steps: usize) -> bool {
        let Some(tokens) = tokens(code) else { return false };
        let mut is_altered = false;
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(word) = token else { continue };
            if let ("include", Some(Token::Text(name))) = (*word, tokens.get(at + 1))
                && blocks.len() < MAX_GIVEN
            {
                blocks.insert(name.clone());
            }
            let name = word.split('.').next().unwrap_or_default();
            if let Some(steps) = steps.checked_sub(1)
                && let Some(values) = self.given.get(name)
            {
                for value in values {
                    is_altered |= self.find_blocks(value, blocks, steps);
                }
            }
            is_altered |= alters(word);
        }
        is_altered
    }

    /// The directive that is all there is of a scalar in this range.
    pub(crate) fn only(&self, range: Range<usize>) -> Option<usize> {
        let mut found = self.directives_in(range.clone());
        let (index, directive) = found.next()?;
        let alone = found.next().is_none() && directive.range.start <= range.start && directive.range.end >= range.end;
        (alone && directive.action == Action::Output).then_some(index)
    }

    /// Whether RBAC may be written by a directive, from what the chart says by default: in the directive itself or in those
    /// around it some value is named that looks like it, or that is not known.
    pub(crate) fn may_write_rbac(&self, index: usize) -> bool {
        let Some(directive) = self.directives.get(index) else { return false };
        if let Some(literal) = self.literal(index) {
            return literal.may_grant();
        }
        let around = self.scopes.around(directive.range.start).map(|(_, guard)| match &guard.kind {
            GuardKind::Only { holds, .. } => holds.unwrap_or_default(),
            GuardKind::Each(list) => list,
            GuardKind::Define(_) | GuardKind::Other => "",
        });
        self.chart.as_ref().is_some_and(|chart| chart.may_grant())
            && std::iter::once(directive.body).chain(around).any(|code| self.names_rbac(code, MAX_STEPS))
    }

    /// Whether code names values of which RBAC may be written, or that are not known.
    fn names_rbac(&self, code: &str, steps: usize) -> bool {
        const VALUES: &str = ".Values";
        let mut words = code.split(|c: char| c.is_whitespace() || "(),|=".contains(c));
        words.any(|word| {
            if let Some(at) = word.find(VALUES) {
                let rest = word.get(at + VALUES.len()..).unwrap_or_default();
                let path: Vec<&str> = rest.split('.').filter(|step| !step.is_empty()).collect();
                let value = self.chart.as_ref().and_then(|chart| chart.default(&path));
                return value.is_none_or(|value| value.may_grant());
            }
            // What a variable was given.
            let name = word.split('.').next().unwrap_or_default();
            let Some(steps) = steps.checked_sub(1).filter(|_| name.len() > 1 && name.starts_with('$')) else {
                return false;
            };
            let given = self.given.get(name).map(Vec::as_slice).unwrap_or_default();
            given.iter().any(|value| self.names_rbac(value, steps))
        })
    }

    /// Directives in a part that write lines which nobody has read, and may write RBAC; where they stand, and as they are
    /// shown.
    pub(crate) fn unread_lines(&self, part: &Part<'_>) -> Vec<(usize, String)> {
        let asked = self.asked.borrow();
        let written = self.directives_in(part.range.clone()).filter(|(_, it)| it.action == Action::Output);
        let mut left = MAX_LOOKED_UP;
        let mut may_write = |index: usize| {
            left = left.saturating_sub(1);
            left == 0 || self.may_write_rbac(index)
        };
        let is_document = |start: usize| line_before(self.text, start).trim_ascii() == SEPARATOR.as_bytes();
        let has_lines = |index: usize, start: usize| {
            !self.holes(start..start + 1).is_empty()
                || is_document(start)
                || self.literal(index).and_then(|literal| literal.text()).is_some_and(|text| text.contains('\n'))
        };
        written
            .filter(|(index, directive)| !asked.contains(index) && has_lines(*index, directive.range.start))
            // Nothing is known of what functions of ytt's return.
            .filter(|(index, it)| {
                may_write(*index) || self.language == TemplateLanguage::Ytt && is_document(it.range.start)
            })
            .map(|(index, directive)| (directive.range.start, self.shown(index)))
            .collect()
    }

    /// Whether all branches in which a scalar begins hold all of it, and those that begin in it end there. The lines of a
    /// block begin with the mark before them.
    pub(crate) fn is_in_one_branch(&self, scalar: Range<usize>, is_block: bool) -> bool {
        let last = |until: usize| self.masked.get(..until).unwrap_or_default().trim_end().len().saturating_sub(1);
        let first = if is_block { last(scalar.start) } else { scalar.start };
        let end = last(scalar.end);
        let around: Vec<usize> = self.scopes.around(first).map(|(index, _)| index).collect();
        let (outer, inner): (Vec<_>, Vec<_>) = self.scopes.around(end).partition(|(index, _)| around.contains(index));
        let ends_with_it = |guard: &Guard<'_>| self.is_blank(end + 1..guard.range.end);
        outer.len() == around.len() && inner.iter().all(|(_, guard)| ends_with_it(guard))
    }

    /// Whether something is written into a range.
    pub(crate) fn is_filled_in(&self, range: Range<usize>) -> bool {
        self.directives_in(range).any(|(_, directive)| directive.action == Action::Output)
    }

    /// Whether nothing is written in a range but comments and directives that have their lines for themselves.
    fn is_blank(&self, range: Range<usize>) -> bool {
        let mut lines = self.masked.get(range).unwrap_or_default().lines();
        lines.all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
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

    /// The conditions around a place and those that begin in a range, the outermost first.
    pub(crate) fn conditions(&self, range: Range<usize>) -> Vec<Condition> {
        let around = self.scopes.around(range.start).map(|(_, guard)| guard);
        let mut guards: Vec<_> = around.chain(self.scopes.beginning_in(range.start + 1..range.end)).collect();
        guards.sort_by_key(|guard| guard.range.start);
        guards
            .into_iter()
            .filter_map(|guard| {
                let default = |code: &str| self.default_of(guard, code);
                let words = match &guard.kind {
                    GuardKind::Only { holds, fails, .. } => {
                        let mut parts: Vec<String> = holds.iter().map(|holds| shorten(&condition(holds))).collect();
                        parts.extend(fails.iter().take(4).map(|fails| format!("not {}", grouped(&condition(fails)))));
                        let truth = |code: &str| default(code).map(|value| value.is_true());
                        let all = holds
                            .iter()
                            .map(|holds| truth(holds))
                            .chain(fails.iter().map(|fails| truth(fails).map(|value| !value)));
                        let all: Vec<Option<bool>> = all.collect();
                        let known = if all.contains(&Some(false)) {
                            " (false by default)"
                        } else if fails.len() < MAX_FAILS && all.iter().all(|value| *value == Some(true)) {
                            " (true by default)"
                        } else {
                            ""
                        };
                        format!("only if {}{known}", parts.join(" and "))
                    }
                    GuardKind::Each(list) => {
                        let known = match default(list) {
                            Some(Literal::List(list)) => format!(" ({} by default)", number(list.len())),
                            Some(Literal::Map(map)) => format!(" ({} by default)", number(map.len())),
                            Some(Literal::Null) => " (none by default)".to_owned(),
                            _ => String::new(),
                        };
                        format!("for each of {}{known}", shorten(&condition(list)))
                    }
                    GuardKind::Define(name) => format!("where {} is called", shorten(name)),
                    GuardKind::Other => return None,
                };
                Some(Condition { range: guard.range.clone(), words })
            })
            .collect()
    }

    /// Whether what stands at a place is certainly there wherever what stands around it at another place is: no condition
    /// lies between them, or the chart's defaults fulfil it; or it is one of these, of which the branch is taken.
    pub(crate) fn is_certain(&self, inner: usize, outer: usize, taken: &[(String, usize)]) -> bool {
        let around: Vec<usize> = self.scopes.around(outer).map(|(index, _)| index).collect();
        let between = self.scopes.around(inner).filter(|(index, _)| !around.contains(index));
        between.map(|(_, guard)| guard).all(|guard| {
            let truth = |code: &str| self.default_of(guard, code).map(|value| value.is_true());
            let is_taken = |(condition, branch): &(String, usize)| {
                *branch == guard.branch && *condition == self.name_of_chain(guard.chain)
            };
            match &guard.kind {
                GuardKind::Only { .. } if taken.iter().any(is_taken) => true,
                GuardKind::Only { holds, fails, .. } => {
                    fails.len() < MAX_FAILS
                        && holds.is_none_or(|holds| truth(holds) == Some(true))
                        && fails.iter().all(|fails| truth(fails) == Some(false))
                }
                GuardKind::Each(list) => truth(list) == Some(true) && !self.is_left_early(guard),
                GuardKind::Define(_) | GuardKind::Other => false,
            }
        })
    }

    /// Whether some directive in a loop goes on to the next element, or ends it.
    fn is_left_early(&self, guard: &Guard<'_>) -> bool {
        let mut within = self.directives_in(guard.range.clone());
        within.any(|(_, directive)| matches!(directive.body, "break" | "continue"))
    }

    /// The branches in which a place stands and another one around it does not: of which condition, by the name that it
    /// shares only with those that decide the same, and which branch of it.
    pub(crate) fn branches(&self, inner: usize, outer: usize) -> Vec<(String, usize)> {
        let around: Vec<usize> = self.scopes.around(outer).map(|(index, _)| index).collect();
        let between = self.scopes.around(inner).filter(|(index, _)| !around.contains(index));
        between.map(|(_, guard)| (self.name_of_chain(guard.chain), guard.branch)).collect()
    }

    /// Where a directive stands.
    pub(crate) fn start_of(&self, index: usize) -> usize {
        self.directives.get(index).map_or(0, |directive| directive.range.start)
    }

    /// How two places can be told apart.
    pub(crate) fn apart(&self, a: usize, b: usize) -> Apart {
        let of_a: Vec<_> = self.scopes.around(a).map(|(_, guard)| guard).collect();
        for (_, guard) in self.scopes.around(b) {
            if let Some(other) = of_a.iter().find(|other| other.chain == guard.chain && other.branch != guard.branch) {
                return Apart::Branches {
                    condition: self.name_of_chain(guard.chain),
                    branches: [other.branch, guard.branch],
                };
            }
        }
        Apart::Not
    }

    /// A name that two conditions share only if they decide the same: all that their branches ask, in order.
    fn name_of_chain(&self, chain: usize) -> String {
        let branches = self.scopes.branches_of(chain);
        // In a longer one, each would name all the others.
        let names = branches.take(MAX_BRANCHES + 1).map(|guard| self.name_of_branch(guard)).collect::<Option<Vec<_>>>();
        let names = names.filter(|names| names.len() <= MAX_BRANCHES);
        // What is left needs no name.
        let names =
            names.unwrap_or_default().into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" / ");
        if names.is_empty() { format!("#{chain}") } else { names }
    }

    /// What a branch asks, if that is the same wherever it is asked; empty for what is left.
    fn name_of_branch(&self, guard: &Guard<'_>) -> Option<String> {
        let GuardKind::Only { holds, .. } = guard.kind else { return None };
        let Some(holds) = holds else { return Some(String::new()) };
        let is_fixed = |word: &str| {
            let word = word.trim_matches(['(', ')']);
            let path = word.strip_prefix('$').unwrap_or(word).strip_prefix(".Values.");
            path.is_some_and(|path| is_path(word) && !self.may_change(path))
                || matches!(word, "not" | "and" | "or" | "eq" | "ne")
                || word.len() > 1 && word.starts_with('"') && word.ends_with('"')
        };
        // What a variable or `.` is may differ from place to place.
        let moves = |guard: &Guard<'_>| match guard.kind {
            GuardKind::Each(_) | GuardKind::Other | GuardKind::Define(_) => true,
            GuardKind::Only { with, .. } => with,
        };
        let around = self.scopes.around(guard.range.start).skip(1);
        (holds.split_whitespace().all(is_fixed) && !around.map(|(_, guard)| guard).any(moves)).then(|| canonical(holds))
    }

    /// Whether code may change a value on the way to `.Values.a.b`, given the path behind `.Values`.
    fn may_change(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('.').collect();
        match &self.chart {
            Some(chart) => chart.may_change(&path),
            None => self.changes.get_or_init(|| Changes::of(self.text)).touch(&path),
        }
    }

    /// Whether a directive writes into a comment what may be more than a word.
    fn writes_in_comment(&self, index: usize, directive: &Directive<'_>) -> bool {
        let written = || match self.literal(index) {
            Some(literal) => literal.text(),
            // Of what is no value, such as the name of a release, nobody makes lines.
            None => (!directive.body.contains(".Values")).then(String::new),
        };
        let ends_line = || written().is_none_or(|text| text.contains(LINE_BREAKS));
        is_in_comment(self.text, directive) && (!is_named(directive.body) || ends_line())
    }

    /// Where lines are missing in a range.
    pub(crate) fn holes(&self, range: Range<usize>) -> &[Hole] {
        let from = self.holes.partition_point(|hole| hole.offset < range.start);
        let until = self.holes.partition_point(|hole| hole.offset < range.end);
        self.holes.get(from..until).unwrap_or_default()
    }

    /// Where what is read in a document is not what would be rendered, and why.
    pub(crate) fn troubles(&self, document: Range<usize>) -> Vec<(usize, &'static str)> {
        let known = self.troubles.iter().copied().filter(|(offset, _)| document.contains(offset));
        let begins = self.goes_on_without_its_beginning(&document);
        let anchor = self.anchor_in_branches(&document);
        let written = self.marks_written_in(document.clone()).map(|at| (at, MARKS));
        known.chain(begins).chain(anchor).chain(written).collect()
    }

    /// Whether a document begins in a branch that ends before the document does: without that branch, the rest of it belongs
    /// to the one before.
    fn goes_on_without_its_beginning(&self, document: &Range<usize>) -> Option<(usize, &'static str)> {
        let (_, guard) = self.scopes.around(document.start).next()?;
        let separator = if self.masked.get(document.clone())?.starts_with(SEPARATOR) { SEPARATOR.len() } else { 0 };
        let begins = !self.is_blank(document.start + separator..guard.range.end.min(document.end));
        let goes_on = guard.range.end < document.end && !self.is_blank(guard.range.end..document.end);
        (begins && goes_on).then_some((document.start, "a document begins in a branch that ends within it"))
    }

    /// An anchor that several nodes of a document have, not all in one branch: which of them an alias stands for depends.
    fn anchor_in_branches(&self, document: &Range<usize>) -> Option<(usize, &'static str)> {
        let text = self.masked.get(document.clone())?;
        let named = |mark: u8| {
            memchr::memchr_iter(mark, text.as_bytes()).filter_map(|at| {
                let begins = text.get(..at)?.ends_with(|c: char| c.is_whitespace() || "[{,".contains(c));
                let name = text.get(at + 1..)?.split(|c: char| c.is_whitespace() || ",[]{}".contains(c)).next()?;
                (begins && !name.is_empty()).then_some((at, name))
            })
        };
        let aliases: BTreeSet<&str> = named(b'*').map(|(_, name)| name).collect();
        let mut known: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for (at, name) in named(b'&').filter(|(_, name)| aliases.contains(name)) {
            let innermost = self.scopes.around(document.start + at).next().map(|(index, _)| index);
            let first = *known.entry(name).or_insert(innermost);
            if first != innermost {
                return Some((document.start + at, "an anchor stands in several branches"));
            }
        }
        None
    }

    /// Directives within lines of a document that write marks of YAML, so that what they write may be more than a value.
    fn marks_written_in(&self, document: Range<usize>) -> impl Iterator<Item = usize> {
        let written = self.directives_in(document).filter(|(_, it)| it.action == Action::Output);
        let within = written.filter(|(_, it)| self.holes(it.range.start..it.range.start + 1).is_empty());
        let writes = |index: usize, body: &str| match self.literal(index) {
            Some(literal) => literal.text().is_some_and(|text| text.contains(MARKS_OF_YAML)),
            None => texts_in(body).iter().any(|text| text.contains(MARKS_OF_YAML)),
        };
        let within = within.filter(|(_, it)| !is_in_comment(self.text, it));
        within.filter(move |(index, it)| writes(*index, it.body)).map(|(_, it)| it.range.start)
    }
}

/// What variables are given, as code, some of each.
fn given<'t>(directives: &[Directive<'t>]) -> BTreeMap<&'t str, Vec<&'t str>> {
    let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let assigning = directives.iter().filter(|it| it.action != Action::Output);
    for (names, value) in assigning.filter_map(|it| it.body.split_once('=')) {
        for name in names.split(|c: char| c.is_whitespace() || ",:".contains(c)).filter(|it| it.starts_with('$')) {
            let values = given.entry(name).or_default();
            if values.len() < MAX_GIVEN {
                values.push(value);
            }
        }
    }
    given
}

/// Whether a directive writes into a comment.
fn is_in_comment(text: &str, directive: &Directive<'_>) -> bool {
    let line = line_before(text, directive.range.start);
    let begins = |at: usize| at.checked_sub(1).is_none_or(|at| line.get(at).is_some_and(u8::is_ascii_whitespace));
    let in_comment = || memchr::memchr_iter(b'#', line).any(begins);
    directive.action == Action::Output && in_comment()
}

/// Whether code is a path from the root that names something: what `.` and variables are depends.
fn is_named(body: &str) -> bool {
    let path = body.strip_prefix('$').unwrap_or(body);
    is_path(body) && [".Values.", ".Release.", ".Capabilities."].iter().any(|root| path.starts_with(root))
}

/// Where directives stand in comments of a text that parses, and may write more than a comment.
pub(crate) fn written_in_comments(text: &str, language: TemplateLanguage) -> Vec<(usize, &'static str)> {
    let directives = directives(text, language).unwrap_or_default();
    let written = directives.iter().filter(|it| is_in_comment(text, it) && !is_path(it.body));
    written.take(MAX_VARIABLES).map(|it| (it.range.start, IN_COMMENT)).collect()
}

/// Whether a word is a function that makes something else of text.
fn alters(word: &str) -> bool {
    const KEEPING: [&str; 7] = ["include", "template", "indent", "nindent", "trim", "tpl", "toString"];
    word.starts_with(|c: char| c.is_ascii_alphabetic()) && !KEEPING.contains(&word)
}

/// Whether a text includes a block to make something else of it.
pub(crate) fn alters_blocks(bytes: &[u8]) -> bool {
    memchr::memmem::find_iter(bytes, "include").any(|at| {
        let before = bytes.get(at.saturating_sub(MAX_CODE)..at).unwrap_or_default();
        let behind = bytes.get(at..bytes.len().min(at + MAX_CODE)).unwrap_or_default();
        let start = memchr::memmem::rfind(before, b"{{").map_or(0, |at| at + 2);
        let end = memchr::memmem::find(behind, b"}}").unwrap_or(behind.len());
        let code = [before.get(start..).unwrap_or_default(), behind.get(..end).unwrap_or_default()].concat();
        tokens(&String::from_utf8_lossy(&code))
            .is_none_or(|tokens| tokens.iter().any(|token| matches!(token, Token::Word(word) if alters(word))))
    })
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

/// A condition in its common spelling.
fn condition(code: &str) -> String {
    let code = canonical(value_of(code));
    let inner = code.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    // One pair around all of it says nothing.
    inner.filter(|inner| is_balanced(inner)).map_or(code.clone(), str::to_owned)
}

/// Whether no bracket closes that was not opened before.
fn is_balanced(code: &str) -> bool {
    let depth = code.chars().try_fold(0usize, |depth, c| match c {
        '(' => Some(depth + 1),
        ')' => depth.checked_sub(1),
        _ => Some(depth),
    });
    depth == Some(0)
}

/// What stands behind `$name :=`; all of it if nothing of that kind does.
fn value_of(code: &str) -> &str {
    let assigned = if code.starts_with('$') { code.split_once('=') } else { None };
    assigned.filter(|(name, _)| name.ends_with([':', ' '])).map_or(code, |(_, value)| value).trim()
}

fn name_is(body: &str, name: &str) -> bool {
    body.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with([':', '=']))
}

/// In brackets, if it is more than one word.
fn grouped(code: &str) -> String {
    let code = shorten(code);
    if code.contains(' ') { format!("({code})") } else { code }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

fn number(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { count.to_string() }
}
