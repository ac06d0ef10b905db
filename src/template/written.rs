//! What directives write that stands nowhere in the text, and whether it may be RBAC, where nobody has read it.
//!
//! What a template writes comes from its text, which is read; from values, which are known or are not; and from code that
//! makes text or takes it from elsewhere ([`super::code`]). What code writes is not looked for. It is enough where it stands:
//! where a document begins or one of its own keys does, all that code makes may be an object; within a line, only what ends
//! that line.

use std::collections::BTreeSet;
use std::ops::Range;

use super::changes::SETTERS;
use super::chart::Literal;
use super::code::{CallKind, Level, Reader, is_encoding};
use super::doubts::{LINE_BREAKS, put_into, words};
use super::expression::last_call;
use super::lex::{Action, Directive};
use super::mask::{Hole, indentation};
use super::outline::Outline;
use super::scope::GuardKind;
use super::{Part, SEPARATOR, Template, block_name, line_before};
use crate::source::TemplateLanguage;

/// How many directives of one part are read. The rest is said to be unread; parts of real charts have a few hundred.
const MAX_DIRECTIVES: usize = 5_000;
/// How long a key may be that stands on one line (YAML 1.2.2, section 7.4.2).
const MAX_KEY: usize = 1024;
/// How many lines between an annotation of ytt's and its document are passed over.
const MAX_ANNOTATIONS: usize = 1_000;
/// Kinds of objects in which nothing is RBAC but their own keys, whatever stands below these.
const CLOSED_KINDS: [&str; 17] = [
    "CronJob",
    "DaemonSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "ReplicaSet",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "StatefulSet",
    "StorageClass",
    "VerticalPodAutoscaler",
];

/// A directive that may write RBAC which nobody has read.
#[derive(Debug)]
pub(crate) struct Unseen {
    /// Where it stands.
    pub offset: usize,
    /// The directive, as it is shown.
    pub shown: String,
    /// In a block, the level on which that must be called for it; none if it may wherever that is called.
    pub level: Option<Level>,
}

/// A call of a block.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where.
    pub offset: usize,
    /// The directive, as it is shown.
    pub shown: String,
    /// The block.
    pub block: String,
    /// The level on which its lines stand.
    pub level: Level,
    /// What becomes of them.
    pub kind: CallKind,
    /// Whether text stands behind the call on its line, or what it writes is changed: then its last line matters, too.
    pub goes_on: bool,
}

impl<'t> Template<'t> {
    /// Directives in a part that may write RBAC which nobody has read, and the blocks that are called there, as far as it matters
    /// what those write.
    pub(crate) fn unseen(&self, part: &Part<'_>) -> (Vec<Unseen>, Vec<Call>) {
        let outline = Outline::new(&part.masked, part.range.start);
        let mut kinds = part.masked.lines().filter_map(|line| line.strip_prefix("kind:"));
        let is_closed = kinds.next().is_some_and(|kind| CLOSED_KINDS.contains(&kind.trim())) && kinds.next().is_none();
        let asked = self.asked.borrow();
        let around = self.block_around(part.range.start);
        let own = self.directives_in(part.range.clone());
        let own = own.filter(|(index, it)| self.block_around(it.range.start) == around && !asked.contains(index));
        let call = |index: usize, block, level, kind, changes: bool| {
            let (offset, shown) = (self.start_of(index), self.shown(index));
            let goes_on = changes || self.directives.get(index).is_some_and(|it| self.has_text_behind(it));
            Call { offset, shown, block, level, kind, goes_on }
        };
        let (mut unseen, mut calls, mut said) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (at, (index, directive)) in own.enumerate() {
            let offset = directive.range.start;
            let shown = || self.shown(index);
            if at == MAX_DIRECTIVES {
                let shown = format!("{} and what stands behind it", shown());
                unseen.push(Unseen { offset, shown, level: None });
                break;
            }
            // Of what code writes several times, the first place is said; what values say may be something else each time.
            let mut say = |level: Option<Level>| {
                if level.is_none() || said.insert((level, directive.body)) {
                    unseen.push(Unseen { offset, shown: shown(), level });
                }
            };
            let joins = self.language != TemplateLanguage::Ytt && self.splits_word(index);
            if joins && self.is_own_key(&outline, &directive.range) {
                say(Some(Level::Document));
            }
            if directive.action != Action::Output {
                if self.overlays_document(directive) {
                    say(None);
                } else if self.language == TemplateLanguage::DoubleBraces && self.puts_elsewhere(directive.body) {
                    let mut reader = Reader::new(self, Level::Line, part);
                    if reader.may_write(directive.body, offset, None) {
                        say(None);
                    }
                    let changes = reader.changes();
                    let called = reader.calls(Level::Line);
                    calls.extend(called.map(|(block, level, kind)| call(index, block, level, kind, changes)));
                }
                continue;
            }
            let literal = self.literal(index);
            // Nothing is known of what functions of ytt's return.
            let is_ytt_document = self.language == TemplateLanguage::Ytt && self.begins_document(offset);
            let last = last_call(directive.body).map(|(function, _)| function).unwrap_or_default();
            let level = self.level(&outline, directive, &last);
            let may_be_rbac = !is_closed || level == Some(Level::Document);
            if is_ytt_document
                || may_be_rbac
                    && self.has_lines(offset, literal.as_ref())
                    && self.may_write_rbac(index, literal.as_ref())
            {
                say(None);
            }
            let read = |level| {
                let mut reader = Reader::new(self, level, part);
                (reader.may_write(directive.body, offset, literal.as_ref()), reader)
            };
            let Some(level) = level else {
                if !is_encoding(&last) && read(Level::Line).1.ends_lines_oddly() {
                    say(Some(Level::Line));
                }
                continue;
            };
            if self.is_for_nothing(level, offset) {
                continue;
            }
            // What ends a line does on any level.
            let (ends_line, mut reader) = read(Level::Line);
            let mut may_write = ends_line
                || self.is_glued(directive, level, literal.as_ref())
                || level == Level::Line && reader.writes_parts();
            if level > Level::Line && !may_write {
                (may_write, reader) = read(level);
            }
            if may_write {
                say(Some(if ends_line { Level::Line } else { level }));
            }
            let changes = reader.changes();
            let called = reader.calls(level);
            calls.extend(called.map(|(block, level, kind)| call(index, block, level, kind, changes)));
        }
        (unseen, calls)
    }

    /// Whether code puts something into what is no variable: values, or what another function finds.
    fn puts_elsewhere(&self, code: &str) -> bool {
        // A variable may be another name for a part of something.
        let is_own =
            |name: &str| self.given.get(name).is_some_and(|values| values.iter().all(|it| it.contains("dict")));
        put_into(code).any(|(function, target)| {
            let is_found = || target.starts_with(|c: char| c.is_ascii_alphabetic()) && target != "dict";
            let name = target.split('.').next().unwrap_or_default();
            let is_context = target.starts_with('.') || target.starts_with('$') && !is_own(name);
            is_context || SETTERS.contains(&function) && is_found()
        })
    }

    /// Whether known text of several lines is written beside other text: behind it on its last line, or before it on the
    /// first one of a document.
    fn is_glued(&self, directive: &Directive<'_>, level: Level, literal: Option<&Literal>) -> bool {
        if !matches!(literal, Some(Literal::Text(text)) if text.contains(LINE_BREAKS)) {
            return false;
        }
        let before = || line_before(self.text, directive.range.start).trim_ascii();
        self.has_text_behind(directive)
            || level == Level::Document && (directive.trims_left || directive.trims_right || !before().is_empty())
    }

    /// Whether something stands behind a directive on its last line.
    fn has_text_behind(&self, directive: &Directive<'_>) -> bool {
        let mut behind = self.text.get(directive.range.end..).unwrap_or_default().chars();
        let next = behind.find(|c| !c.is_whitespace() || LINE_BREAKS.contains(c));
        next.is_some_and(|c| !LINE_BREAKS.contains(&c))
    }

    /// Where a part writes the end of a line: one that nothing on either side of it eats.
    fn line_breaks(&self, part: &Part<'_>) -> impl Iterator<Item = usize> {
        let start = part.range.start;
        let breaks = memchr::memchr_iter(b'\n', self.text_of(part).as_bytes()).map(move |at| start + at);
        breaks.filter(|at| {
            let next = self.directives.partition_point(|it| it.range.end <= *at);
            let is_blank = |range: Range<usize>| self.text.get(range).is_some_and(|text| text.trim().is_empty());
            let eats_behind = |it: &Directive<'_>| it.trims_right && is_blank(it.range.end..*at);
            let eats_before =
                |it: &Directive<'_>| it.range.start <= *at || it.trims_left && is_blank(*at..it.range.start);
            let before = next.checked_sub(1).and_then(|index| self.directives.get(index));
            !before.is_some_and(eats_behind) && !self.directives.get(next).is_some_and(eats_before)
        })
    }

    /// Whether a part writes the end of a line.
    pub(crate) fn writes_line_break(&self, part: &Part<'_>) -> bool {
        self.line_breaks(part).next().is_some()
    }

    /// Whether what a part writes goes on in the first column of another line.
    pub(crate) fn ends_line(&self, part: &Part<'_>) -> bool {
        self.line_breaks(part).any(|at| {
            let behind = self.directives.partition_point(|it| it.range.start <= at);
            let next = self.directives.get(behind).filter(|it| it.range.start == at + 1);
            let text = self.masked.get(at + 1..part.range.end).unwrap_or_default();
            next.is_some_and(|it| it.action == Action::Output) || text.starts_with(|c: char| !c.is_whitespace())
        })
    }

    /// Whether a function of ytt's says what becomes of a document of another file.
    fn overlays_document(&self, directive: &Directive<'_>) -> bool {
        let has_function = || {
            let mut arguments = directive.body.split("via").skip(1);
            arguments.any(|rest| rest.trim_start().starts_with('='))
        };
        let behind = self.text.get(directive.range.end..).unwrap_or_default().lines();
        let mut behind =
            behind.map(str::trim).take(MAX_ANNOTATIONS).skip_while(|it| it.is_empty() || it.starts_with('#'));
        self.language == TemplateLanguage::Ytt
            && directive.body.starts_with("overlay/")
            && has_function()
            && behind.next().is_none_or(|line| line.starts_with(SEPARATOR))
    }

    /// The block in which a place stands, if that is called from elsewhere.
    pub(super) fn block_around(&self, offset: usize) -> Option<&'t str> {
        self.scopes.around(offset).find_map(|(_, guard)| match guard.kind {
            GuardKind::Define(name) => Some(block_name(name)),
            _ => None,
        })
    }

    /// Where lines are missing that a directive writes, if it writes lines of its own.
    pub(super) fn hole_at(&self, start: usize) -> Option<&Hole> {
        self.holes(start..start + 1).first()
    }

    /// Whether a directive writes lines of its own, as far as that is known.
    fn has_lines(&self, start: usize, literal: Option<&Literal>) -> bool {
        self.hole_at(start).is_some()
            || self.begins_document(start)
            || matches!(literal, Some(Literal::Text(text)) if text.contains('\n'))
    }

    fn begins_document(&self, start: usize) -> bool {
        line_before(self.text, start).trim_ascii() == SEPARATOR.as_bytes()
    }

    /// Whether a document is there for each element, or for a value, of which there is none by default.
    fn is_for_nothing(&self, level: Level, offset: usize) -> bool {
        level == Level::Document
            && self.scopes.around(offset).any(|(_, guard)| match guard.kind {
                GuardKind::Each(code) | GuardKind::Only { holds: Some(code), with: true, .. } => {
                    self.default_of(guard, code).is_some_and(|value| !value.is_true())
                }
                _ => false,
            })
    }

    /// What a directive may become; none if all its lines belong to a key above them, or it has none. `last` is the function
    /// that is called last.
    fn level(&self, outline: &Outline<'_>, directive: &Directive<'_>, last: &str) -> Option<Level> {
        let start = directive.range.start;
        // It writes nothing.
        if last == "fail" {
            return None;
        }
        // In brackets, a comma is enough.
        if outline.merges || self.line_start(start).is_some_and(|line| outline.is_flow(line)) {
            return Some(Level::Document);
        }
        let indentation = indentation(directive);
        let before = line_before(&self.masked, start);
        let column = match (self.hole_at(start), &indentation) {
            (Some(hole), _) => Some(hole.column),
            (None, Some(indentation)) if indentation.on_new_line => Some(indentation.by),
            _ if self.begins_document(start) => Some(0),
            (None, Some(indentation)) if before.trim_ascii().is_empty() => Some(before.len() + indentation.by),
            _ => self.column_of_key(outline, &directive.range),
        };
        if column.is_some_and(|column| !outline.is_below_a_key(start, column)) {
            return Some(Level::Document);
        }
        // The lines behind the first one are indented from the first column on.
        let is_below = indentation.is_some_and(|it| outline.is_below_a_key(start, it.by));
        (!is_below && !is_encoding(last)).then_some(Level::Line)
    }

    /// Whether a place is in a key of an object.
    fn is_own_key(&self, outline: &Outline<'_>, range: &Range<usize>) -> bool {
        self.column_of_key(outline, range).is_some_and(|column| !outline.is_below_a_key(range.start, column))
    }

    /// The column of the key in which something stands. Where objects are written in brackets, all that stands there may be
    /// keys of theirs.
    fn column_of_key(&self, outline: &Outline<'_>, range: &Range<usize>) -> Option<usize> {
        let start = self.line_start(range.start)?;
        if outline.is_flow(start) {
            return Some(0);
        }
        let line = self.masked.get(start..range.start)?;
        // No key is longer.
        let line = line.as_bytes().get(..MAX_KEY).unwrap_or(line.as_bytes());
        let mut key = line.strip_prefix(b"--- ").unwrap_or(line).trim_ascii_start();
        let column = line.len() - key.len();
        let is_document = line.starts_with(b"--- ");
        while let Some(rest) = key.strip_prefix(b"- ") {
            key = rest.trim_ascii_start();
        }
        let has_value = memchr::memmem::find(key, b": ").is_some();
        let column = if is_document { 0 } else { column.max(line.len() - key.len()) };
        (!has_value && !key.starts_with(b"#") || key.starts_with(b"<<")).then_some(column)
    }

    /// Where the line of a place begins.
    fn line_start(&self, place: usize) -> Option<usize> {
        let line = self.lines.partition_point(|start| *start as usize <= place).checked_sub(1)?;
        self.lines.get(line).map(|start| *start as usize)
    }

    /// Whether RBAC may be written by a directive, from what the chart says by default: in the directive itself or in those
    /// around it some value is named that looks like it, or that is not known. `literal` is what it is known to write.
    fn may_write_rbac(&self, index: usize, literal: Option<&Literal>) -> bool {
        let Some(directive) = self.directives.get(index) else { return false };
        if let Some(literal) = literal {
            return literal.may_grant();
        }
        let around = self.scopes.around(directive.range.start).map(|(_, guard)| match &guard.kind {
            GuardKind::Only { holds, .. } => holds.unwrap_or_default(),
            GuardKind::Each(list) => list,
            GuardKind::Define(_) | GuardKind::Other => "",
        });
        self.chart.as_ref().is_some_and(|chart| chart.may_grant())
            && std::iter::once(directive.body).chain(around).any(|code| self.names_rbac(code))
    }

    /// Whether code names values of which RBAC may be written, or that are not known.
    fn names_rbac(&self, code: &'t str) -> bool {
        const VALUES: &str = ".Values";
        let Some(codes) = self.reached_by(code) else { return true };
        let mut paths =
            codes.into_iter().flat_map(words).filter_map(|word| word.get(word.find(VALUES)? + VALUES.len()..));
        paths.any(|path| {
            let path: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
            let value = self.chart.as_ref().and_then(|chart| chart.default(&path));
            value.is_none_or(|value| value.may_grant())
        })
    }
}
