//! What directives write that stands nowhere in the text: whether RBAC may be written, where nobody has read it.
//!
//! What a template writes comes from its text, which is read; from values, which are known or are not; and from code that
//! puts text together or takes it from elsewhere. What code writes is not looked for. It is enough where it stands: where a
//! document begins or one of its own keys does, all that code makes may be an object; within a line, only what ends that line.

use std::collections::BTreeSet;
use std::ops::Range;

use super::chart::Literal;
use super::doubts::{LINE_BREAKS, MAX_GIVEN};
use super::expression::{Token, last_command, tokens, with_blanks_before_fields};
use super::lex::{Action, Directive, directives};
use super::mask::indentation;
use super::outline::Outline;
use super::scope::GuardKind;
use super::{MAX_BESIDE, Part, SEPARATOR, Template, block_name, line_before, value_of};
use crate::source::{TemplateLanguage, may_hold_rbac};

/// How many directives are looked up for what they may write, in one part.
const MAX_LOOKED_UP: usize = 5_000;

/// How deep values are followed of which each names the next one in its code.
const MAX_DEPTH: usize = 8;
/// How long a key may be that stands on one line (YAML 1.2.2, section 7.4.2).
const MAX_KEY: usize = 1024;
/// Functions that pass on what they are given, lines and keys as they are.
const KEEPING: [&str; 22] = [
    "toYaml",
    "mustToYaml",
    "tpl",
    "indent",
    "nindent",
    "trim",
    "toString",
    "default",
    "coalesce",
    "required",
    "ternary",
    "index",
    "get",
    "dig",
    "first",
    "last",
    "deepCopy",
    "and",
    "or",
    "not",
    "dict",
    "list",
];
/// Functions of which some arguments are keys or messages.
const KEYED: [&str; 5] = ["index", "get", "dig", "required", "hasKey"];
/// Functions that may end a line though nothing that they are given does, of those that Helm 4.3 has.
const MAKING_LINES: [&str; 7] = ["b64dec", "b32dec", "decryptAES", "urlParse", "wrap", "wrapWith", "shuffle"];
/// Those that do if there are escapes in what they are given.
const PARSING: [&str; 6] = ["fromYaml", "fromYamlArray", "fromJson", "fromJsonArray", "mustFromJson", "fromToml"];
/// Functions of which the first argument is looked for, and not written.
const LOOKING: [&str; 21] = [
    "replace",
    "split",
    "splitList",
    "splitn",
    "trimSuffix",
    "trimPrefix",
    "trimAll",
    "contains",
    "hasPrefix",
    "hasSuffix",
    "has",
    "eq",
    "ne",
    "regexMatch",
    "regexFind",
    "regexFindAll",
    "regexSplit",
    "regexReplaceAll",
    "regexReplaceAllLiteral",
    "mustRegexReplaceAll",
    "mustRegexReplaceAllLiteral",
];
/// Those that write a line for each key of a mapping, and those that make one.
const DUMPING: [&str; 7] =
    ["toYaml", "mustToYaml", "toYamlPretty", "toPrettyJson", "mustToPrettyJson", "toToml", "mustToToml"];
const MAKERS: [&str; 2] = ["dict", "set"];
/// Functions of which the result has no ends of lines, whatever they are given, or that write nothing.
const ENCODING: [&str; 17] = [
    "fail",
    "quote",
    "toJson",
    "mustToJson",
    "toRawJson",
    "mustToRawJson",
    "b64enc",
    "b32enc",
    "sha256sum",
    "sha1sum",
    "sha512sum",
    "adler32sum",
    "len",
    "int",
    "int64",
    "float64",
    "urlquery",
];
/// What files of a chart are asked for.
const FILES: [&str; 6] = ["Get", "GetBytes", "Glob", "Lines", "AsConfig", "AsSecrets"];
/// What of `Chart.yaml` is a word.
const CHART_WORDS: [&str; 6] = ["Name", "Version", "AppVersion", "Type", "ApiVersion", "IsRoot"];

/// What that which stands at a place may become of what is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A part of a line, unless it ends the line.
    Line,
    /// A document, or keys of one.
    Document,
}

/// A directive that may write RBAC which nobody has read.
#[derive(Debug)]
pub(crate) struct Unseen {
    /// Where it stands.
    pub offset: usize,
    /// The directive, as it is shown.
    pub shown: String,
    /// As what it may, where the block in which it stands is called; none if it may wherever.
    pub level: Option<Level>,
}

/// A block that is called.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where.
    pub offset: usize,
    /// The directive, as it is shown.
    pub shown: String,
    /// The block.
    pub block: String,
    /// What its lines may become.
    pub level: Level,
    /// Whether what it writes is parsed, and put together anew.
    pub is_parsed: bool,
    /// Whether what it writes is written.
    pub is_written: bool,
}

impl<'t> Template<'t> {
    /// Directives in a part that may write RBAC which nobody has read, and the blocks that are called there, as far as it matters
    /// what those write.
    pub(crate) fn unseen(&self, part: &Part<'_>) -> (Vec<Unseen>, Vec<Call>) {
        let outline = Outline::new(&part.masked, part.range.start);
        let asked = self.asked.borrow();
        let own = self.directives_in(part.range.clone());
        let own = own.filter(|(index, it)| self.block_around(it.range.start) == part.block && !asked.contains(index));
        let (mut unseen, mut calls, mut said) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (at, (index, directive)) in own.enumerate() {
            let offset = directive.range.start;
            if at == MAX_LOOKED_UP {
                let shown = format!("{} and what stands behind it", self.shown(index));
                unseen.push(Unseen { offset, shown, level: None });
                break;
            }
            // Keys are put together out of what stands on both sides.
            let is_key = || self.column_of_key(&outline, directive.range.clone());
            let is_own_key = || is_key().is_some_and(|column| !outline.is_below_a_key(offset, column));
            let joins = self.splits_word(index) && is_own_key();
            let mut say = |level| unseen.push(Unseen { offset, shown: self.shown(index), level });
            if joins && said.insert(self.shown(index)) {
                say(Some(Level::Document));
            }
            if directive.action != Action::Output {
                if self.overlays_document(directive) {
                    say(None);
                }
                continue;
            }
            let level = self.level(&outline, index).filter(|level| !self.is_for_nothing(*level, offset));
            // What ends a line does wherever the block is called.
            let ends_line = || part.block.is_some() && Reader::new(self, Level::Line, part).directive(index);
            let level = level.map(|level| if ends_line() { Level::Line } else { level });
            let mut reader = Reader::new(self, level.unwrap_or(Level::Line), part);
            let composes = level.is_some() && reader.directive(index);
            if level.is_some() {
                calls.extend(reader.calls(index));
            }
            // Nothing is known of what functions of ytt's return.
            let is_ytt_document = self.language == TemplateLanguage::Ytt && self.begins_document(offset);
            if is_ytt_document || self.has_lines(index) && self.may_write_rbac(index) {
                say(None);
            } else if composes && said.insert(self.shown(index)) {
                // Of what code writes several times, the first place is said.
                say(level);
            }
        }
        (unseen, calls)
    }

    /// Whether something is written behind a directive on its last line, or before it on the first one of a document.
    fn is_glued(&self, directive: &Directive<'_>, level: Level) -> bool {
        let behind = self.text.get(directive.range.end..).unwrap_or_default().lines().next().unwrap_or_default();
        let before = || line_before(self.text, directive.range.start).trim_ascii();
        !behind.trim().is_empty()
            || level == Level::Document && (directive.trims_left || directive.trims_right || !before().is_empty())
    }

    /// Whether a function of ytt's says what becomes of a document of another file.
    fn overlays_document(&self, directive: &Directive<'_>) -> bool {
        let behind = self.text.get(directive.range.end..).unwrap_or_default().lines().map(str::trim);
        let mut behind = behind.take(MAX_BESIDE);
        self.language == TemplateLanguage::Ytt
            && directive.body.starts_with("overlay/")
            && directive.body.contains("via=")
            && behind.find(|line| !line.is_empty() && !line.starts_with("#@")) == Some(SEPARATOR)
    }

    /// The block in which a place stands, if that is called from elsewhere.
    fn block_around(&self, offset: usize) -> Option<&'t str> {
        self.scopes.around(offset).find_map(|(_, guard)| match guard.kind {
            GuardKind::Define(name) => Some(block_name(name)),
            _ => None,
        })
    }

    /// Whether a directive writes lines of its own, as far as that is known.
    fn has_lines(&self, index: usize) -> bool {
        let start = self.start_of(index);
        !self.holes(start..start + 1).is_empty()
            || self.begins_document(start)
            || self.literal(index).and_then(|literal| literal.text()).is_some_and(|text| text.contains('\n'))
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

    /// What a directive may become; none if all its lines belong to a key above them.
    fn level(&self, outline: &Outline<'_>, index: usize) -> Option<Level> {
        let directive = self.directives.get(index)?;
        let start = directive.range.start;
        let last = tokens(&with_blanks_before_fields(directive.body)).and_then(|tokens| match last_command(&tokens) {
            [Token::Word(function), ..] => ENCODING.iter().find(|known| *known == function),
            _ => None,
        });
        let hole = self.holes(start..start + 1).first();
        let indentation = indentation(directive);
        let before = line_before(&self.masked, start);
        let column = match (hole, &indentation) {
            (Some(hole), _) => Some(hole.column),
            (None, Some(indentation)) if indentation.on_new_line => Some(indentation.by),
            _ if self.begins_document(start) => Some(0),
            (None, Some(indentation)) if before.trim_ascii().is_empty() => Some(before.len() + indentation.by),
            _ => self.column_of_key(outline, directive.range.clone()),
        };
        if last != Some(&"fail") && column.is_some_and(|column| column == 0 || !outline.is_below_a_key(start, column)) {
            return Some(Level::Document);
        }
        let is_indented = indentation.is_some_and(|indentation| indentation.by > 0);
        (!is_indented && last.is_none()).then_some(Level::Line)
    }

    /// Whether what a part writes goes on in the first column of another line.
    pub(crate) fn ends_line(&self, part: &Part<'_>) -> bool {
        let mut at = part.range.start;
        part.masked.split_inclusive('\n').any(|line| {
            let start = at;
            at += line.len();
            // The end of the line before is eaten by what stands on either side.
            let eats = |directive: &Directive<'_>| {
                let between = self.text.get(directive.range.end..start).unwrap_or("?");
                directive.trims_left && directive.range.start == start
                    || directive.trims_right && between.trim().is_empty()
            };
            let before = self.directives.partition_point(|it| it.range.start <= start);
            let is_eaten = self.directives.get(before.saturating_sub(2)..before).unwrap_or_default().iter().any(eats);
            let is_blank = line.starts_with(|c: char| c.is_whitespace()) || line.is_empty();
            !is_blank && !is_eaten && self.text.get(..start).is_some_and(|before| before.ends_with('\n'))
        })
    }

    /// The column of the key in which something stands.
    fn column_of_key(&self, outline: &Outline<'_>, range: Range<usize>) -> Option<usize> {
        let start = self.lines.partition_point(|start| *start as usize <= range.start).checked_sub(1)?;
        let start =
            self.lines.get(start).map(|start| *start as usize).filter(|start| range.start - start <= MAX_KEY)?;
        let line = self.masked.get(start..range.start)?.as_bytes();
        let before = line.trim_ascii_start();
        let mut key = before;
        while let Some(rest) = key.strip_prefix(b"- ") {
            key = rest.trim_ascii_start();
        }
        if outline.is_flow() {
            // Other directives beside it are letters.
            let mut behind = self.masked.get(range.end..)?.bytes();
            let next = behind.find(|byte| !byte.is_ascii_alphanumeric() && !b"\"' ".contains(byte));
            return (next == Some(b':')).then_some(0);
        }
        let has_value = memchr::memmem::find(key, b": ").is_some();
        (!has_value && !key.starts_with(b"#")).then_some(line.len() - key.len())
    }

    /// Whether RBAC may be written by a directive, from what the chart says by default: in the directive itself or in those
    /// around it some value is named that looks like it, or that is not known.
    fn may_write_rbac(&self, index: usize) -> bool {
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
            && std::iter::once(directive.body).chain(around).any(|code| self.names_rbac(code, &mut BTreeSet::new()))
    }

    /// Whether code names values of which RBAC may be written, or that are not known.
    fn names_rbac(&self, code: &str, seen: &mut BTreeSet<&'t str>) -> bool {
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
            let Some((name, given)) = self.given.get_key_value(name).filter(|_| name.len() > 1) else { return false };
            seen.insert(name) && (given.len() >= MAX_GIVEN || given.iter().any(|value| self.names_rbac(value, seen)))
        })
    }
}

/// What is found out about the code of a directive.
struct Reader<'r, 't> {
    template: &'r Template<'t>,
    level: Level,
    /// The block in which it stands: what `.` is there, its callers say.
    block: Option<&'r str>,
    /// Variables of which the values were looked at.
    seen: BTreeSet<(&'t str, Level)>,
    /// What is made of `.`, if it is named: blocks around it may say what that is.
    dot: Option<Level>,
    makes_mapping: bool,
    dumps: bool,
    parses: bool,
    has_escapes: bool,
    /// Whether a value that it names holds code of which the same is to be said, and whether that may be executed.
    names_code: bool,
    executes: bool,
    /// How many values deep such code stands.
    depth: usize,
    /// Whether a part of a value that it names is more than it looks.
    names_text: bool,
    /// Blocks that it writes.
    calls: BTreeSet<String>,
    /// Blocks that it passes on to those.
    passed: BTreeSet<String>,
}

impl<'r, 't> Reader<'r, 't> {
    fn new(template: &'r Template<'t>, level: Level, part: &Part<'r>) -> Self {
        Self {
            template,
            level,
            block: part.block,
            seen: BTreeSet::new(),
            dot: None,
            makes_mapping: false,
            dumps: false,
            parses: false,
            has_escapes: false,
            names_code: false,
            executes: false,
            depth: 0,
            names_text: false,
            calls: BTreeSet::new(),
            passed: BTreeSet::new(),
        }
    }

    /// Whether a directive may write, on its level, what nobody has read.
    fn directive(&mut self, index: usize) -> bool {
        let Some(directive) = self.template.directives.get(index) else { return false };
        match self.template.literal(index) {
            Some(Literal::Text(text)) => {
                let is_glued = || self.template.is_glued(directive, self.level);
                return is_more(&text, self.level) || text.contains(LINE_BREAKS) && is_glued();
            }
            Some(_) => return false,
            None => {}
        }
        let mut composes = self.composes(directive.body, self.level, false);
        if let Some(level) = self.dot {
            let guards = self.template.scopes.around(directive.range.start).map(|(_, guard)| guard.kind.clone());
            for kind in guards.take_while(|kind| !matches!(kind, GuardKind::Define(_))) {
                if let GuardKind::Each(code) | GuardKind::Only { holds: Some(code), with: true, .. } = kind {
                    composes |= self.composes(value_of(code), level, false);
                }
            }
        }
        composes
            || self.makes_mapping && self.dumps
            || self.parses && self.has_escapes
            || self.names_code && self.executes
            || self.names_text && !self.dumps
    }

    /// The blocks that a directive calls, once it is read.
    fn calls(self, index: usize) -> impl Iterator<Item = Call> {
        let (offset, shown) = (self.template.start_of(index), self.template.shown(index));
        let (level, is_parsed) = (self.level, self.parses);
        let is_written = !is_parsed;
        let passed = self.passed.into_iter().map(|block| (block, Level::Line, false));
        let calls = self.calls.into_iter().map(move |block| (block, level, is_written)).chain(passed);
        calls.map(move |(block, level, is_written)| Call {
            offset,
            shown: shown.clone(),
            block,
            level,
            is_parsed,
            is_written,
        })
    }

    /// Whether code makes text, or takes it from where nobody looks, so that it may be more than it looks; or passes that on
    /// to a block.
    fn composes(&mut self, code: &str, written: Level, is_passed: bool) -> bool {
        let code = with_blanks_before_fields(code);
        let Some(tokens) = tokens(&code) else { return true };
        let mut composes = false;
        let (mut functions, mut depth) = (vec![""], 0usize);
        // In the arguments of a block: what is made of them is told where that is defined.
        let mut passed_from = is_passed.then_some(0);
        for (at, token) in tokens.iter().enumerate() {
            let level = if passed_from.is_some() { Level::Line } else { written };
            match token {
                Token::Mark('(') => {
                    depth += 1;
                    functions.push("");
                }
                Token::Mark(mark) => {
                    depth -= usize::from(*mark == ')' && depth > 0);
                    functions.truncate(depth + usize::from(*mark == ')'));
                    functions.resize(depth + 1, "");
                    if passed_from.is_some_and(|from| !is_passed && (depth < from || depth == from && *mark == '|')) {
                        passed_from = None;
                    }
                }
                Token::Text(name) if is_name(&tokens, at) => {
                    let calls = if passed_from.is_some() { &mut self.passed } else { &mut self.calls };
                    calls.insert(name.clone());
                    passed_from = passed_from.or(Some(depth));
                }
                Token::Text(text) => {
                    self.has_escapes |= text.contains('\\');
                    composes |= text == "Files";
                    let is_key = level == Level::Document && KEYED.iter().any(|it| functions.last() == Some(it));
                    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
                    let is_looked_for = matches!(before, Some(Token::Word(word)) if LOOKING.contains(word));
                    composes |= !(is_key || level == Level::Line && is_looked_for) && makes(text, level);
                }
                Token::Word(word) if word.starts_with(['.', '$']) => {
                    composes |= self.names_unread(word, level, passed_from.is_some());
                }
                Token::Word(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    if let Some(function) = functions.last_mut() {
                        *function = word;
                    }
                    let is_call = matches!(*word, "include" | "template");
                    self.makes_mapping |= MAKERS.contains(word);
                    self.dumps |= DUMPING.contains(word);
                    self.parses |= PARSING.contains(word);
                    self.executes |= is_call || *word == "tpl";
                    composes |= match level {
                        _ if is_call => !matches!(tokens.get(at + 1), Some(Token::Text(_))),
                        // No host of an URL has line breaks.
                        Level::Line if *word == "urlParse" => !code.ends_with(".host"),
                        Level::Line => MAKING_LINES.contains(word),
                        Level::Document => !KEEPING.contains(word) && !matches!(*word, "true" | "false" | "nil"),
                    };
                }
                Token::Word(_) => {}
            }
        }
        composes
    }

    /// Whether a value is more than it looks where it is written. Of those with parts it depends on what is done with them.
    fn is_more(&mut self, value: &Literal, level: Level, is_passed: bool) -> bool {
        let is_text = matches!(value, Literal::Text(_));
        let mut found = false;
        value.visit_texts(&mut |text| {
            // Values may name each other, and a short directive a long list.
            let left = self.template.texts_left.get();
            self.template.texts_left.set(left.saturating_sub(1));
            found |= left == 0 || is_more(text, level);
            if text.contains("{{") && !self.names_code {
                self.depth += 1;
                let code = directives(text, TemplateLanguage::DoubleBraces).ok().filter(|_| self.depth < MAX_DEPTH);
                self.names_code |=
                    code.is_none_or(|code| code.iter().any(|it| self.composes(it.body, level, is_passed)));
                self.depth -= 1;
            }
        });
        self.names_text |= found && !is_text && !is_passed;
        found && is_text
    }

    /// Whether a path or a variable stands for what nobody has read.
    fn names_unread(&mut self, word: &str, level: Level, is_passed: bool) -> bool {
        let (name, path) = word.split_once('.').unwrap_or((word, ""));
        let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
        if let Some(at) = steps.iter().position(|step| *step == "Values") {
            let value = self.template.chart.as_ref().and_then(|chart| chart.default(steps.get(at + 1..)?));
            return value.is_some_and(|value| self.is_more(&value, level, is_passed));
        }
        match steps.as_slice() {
            [.., "Files"] | ["Files", ..] => return true,
            [.., last] if FILES.contains(last) => return true,
            ["Chart", field, ..] => return !CHART_WORDS.contains(field),
            ["Release" | "Capabilities" | "Template" | "Chart", ..] => return false,
            _ => {}
        }
        if name.len() > 1 {
            let Some((name, values)) = self.template.given.get_key_value(name) else { return false };
            return self.seen.insert((name, level))
                && (values.len() >= MAX_GIVEN || values.iter().any(|value| self.composes(value, level, is_passed)));
        }
        if name.is_empty() {
            self.dot = self.dot.max(Some(level));
        }
        level == Level::Document && self.block.is_some()
    }
}

/// Whether known text is more than it looks where it is written: keys, or several lines.
fn is_more(text: &str, level: Level) -> bool {
    let text = text.trim();
    if text.contains(LINE_BREAKS) {
        let mut more = text.split(LINE_BREAKS).skip(1);
        let begins_key = |line: &str| !line.is_empty() && !line.starts_with(' ');
        return may_hold_rbac(text.as_bytes()) || level == Level::Line && more.any(begins_key);
    }
    level == Level::Document && !text.is_empty() && !text.starts_with('#')
}

/// Whether a string of code is the name of the block that is called.
fn is_name(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| tokens.get(before));
    matches!(before, Some(Token::Word("include" | "template")))
}

/// Whether a string of code may be more than a part of a line, or anything where a document may begin.
fn makes(text: &str, level: Level) -> bool {
    // `%c` writes any character.
    let writes_character =
        |rest: &str| rest.trim_start_matches(|c: char| "+-# .*[]".contains(c) || c.is_ascii_digit()).starts_with('c');
    text.contains(LINE_BREAKS)
        || text.split('%').skip(1).any(writes_character)
        || level == Level::Document && !text.trim().is_empty()
}
