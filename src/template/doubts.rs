//! What of a template may not be what it looks like: text that may be more than a value, and lines of which nobody knows
//! what they are. Whoever reads the tree lists it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::changes::{MERGERS, SETTERS};
use super::expression::{Token, given_to_blocks, is_path, texts_in, tokens};
use super::lex::{Action, Block, Directive, directives};
use super::scope::Guard;
use super::{MAX_VARIABLES, SEPARATOR, Template, line_before};
use crate::source::TemplateLanguage;

/// With these, and where a line ends, text that is written into a line may end the value there.
const BRACKETS: [char; 4] = ['[', ']', '{', '}'];
/// With these, a line ends.
pub(super) const LINE_BREAKS: [char; 5] = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
const MARKS: &str = "what is written here holds marks of YAML, and may be more than a value";
pub(super) const IN_COMMENT: &str = "what is written into a comment may be more than a comment";
/// How many directives are looked up for what they may write, in one part.
const MAX_LOOKED_UP: usize = 2_000;
/// How many values that a variable is given are looked at, and how many blocks that are made into something else.
pub(super) const MAX_GIVEN: usize = 64;
/// How many blocks around an assignment may say what is assigned.
const MAX_AROUND: usize = 8;
/// How many pieces of code are followed from one, through variables.
const MAX_REACHED: usize = 1_000;

impl<'t> Template<'t> {
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
        let within = written.filter(|(_, it)| self.hole_at(it.range.start).is_none());
        let has_marks = |text: &str| text.contains(BRACKETS) || text.contains(LINE_BREAKS);
        let writes = move |index: usize, body: &str| match self.literal(index) {
            Some(literal) => literal.text().is_some_and(|text| has_marks(&text)),
            None => texts_in(body).iter().any(|text| has_marks(text)),
        };
        let within = within.filter(|(_, it)| !is_in_comment(self.text, it));
        within.filter(move |(index, it)| writes(*index, it.body)).map(|(_, it)| it.range.start)
    }

    /// Whether a directive writes into a comment what may be more than a word.
    pub(super) fn writes_in_comment(&self, index: usize, directive: &Directive<'_>) -> bool {
        let written = || match self.literal(index) {
            Some(literal) => literal.text(),
            // Of what is no value, such as the name of a release, nobody makes lines.
            None => (!directive.body.contains(".Values")).then(String::new),
        };
        let ends_line = || written().is_none_or(|text| text.contains(LINE_BREAKS));
        is_in_comment(self.text, directive) && (!is_named(directive.body) || ends_line())
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

    /// Lines in a document that are made of blocks, and of which it is not known what is made: where, of which block, and as
    /// they are shown.
    pub(crate) fn altered_blocks(&self, document: Range<usize>) -> Vec<(usize, String, String)> {
        let written = self.directives_in(document).filter(|(_, it)| it.action == Action::Output);
        let lines = written.filter(|(_, it)| self.hole_at(it.range.start).is_some());
        lines
            .take(MAX_LOOKED_UP)
            .flat_map(|(index, directive)| {
                self.changed_blocks(directive.body)
                    .into_iter()
                    .map(move |block| (directive.range.start, block, self.shown(index)))
            })
            .collect()
    }

    /// The blocks that code includes, in variables too, if it does more with them than to indent them.
    fn changed_blocks(&self, code: &'t str) -> BTreeSet<String> {
        let (mut blocks, mut is_altered) = (BTreeSet::new(), false);
        let codes = self.reached_by(code);
        is_altered |= codes.is_none();
        for tokens in codes.unwrap_or_else(|| vec![code]).into_iter().filter_map(tokens) {
            // What a block is given alters nothing.
            for (at, (token, is_given)) in tokens.iter().zip(given_to_blocks(&tokens)).enumerate() {
                let Token::Word(word) = token else { continue };
                if let ("include", Some(Token::Text(name))) = (*word, tokens.get(at + 1))
                    && blocks.len() < MAX_GIVEN
                {
                    blocks.insert(name.clone());
                }
                is_altered |= !is_given && alters(word);
            }
        }
        if is_altered { blocks } else { BTreeSet::new() }
    }

    /// Some code, and all that it may stand for: what the variables are given that it names, and those that these name. None if
    /// that is too much.
    pub(super) fn reached_by(&self, code: &'t str) -> Option<Vec<&'t str>> {
        let (mut codes, mut seen, mut at) = (vec![code], BTreeSet::new(), 0);
        while let Some(code) = codes.get(at).copied() {
            at += 1;
            for word in words(code) {
                let name = word.split('.').next().unwrap_or_default();
                if let Some((name, given)) = self.given.get_key_value(name)
                    && seen.insert(name)
                {
                    codes.extend(given);
                    if given.len() >= MAX_GIVEN || codes.len() > MAX_REACHED {
                        return None;
                    }
                }
            }
        }
        Some(codes)
    }
}

/// What variables are given, as code, some of each; what is put into them, too.
pub(super) fn given<'t>(directives: &[Directive<'t>]) -> BTreeMap<&'t str, Vec<&'t str>> {
    let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut give = |name: &'t str, value: &'t str| {
        let values = given.entry(name).or_default();
        if values.len() < MAX_GIVEN && !values.contains(&value) {
            values.push(value);
        }
    };
    // What `.` is, the blocks around say.
    let mut around: Vec<Option<&str>> = Vec::new();
    let mut defines = 0usize;
    for directive in directives {
        match directive.action {
            Action::Open(Block::With(code) | Block::Each(code)) => around.push(Some(code)),
            Action::Open(block) => {
                defines += usize::from(defines > 0 || matches!(block, Block::Define(_)));
                around.push(None);
            }
            Action::Close => {
                // All that is open in a block is counted.
                defines = defines.saturating_sub(usize::from(around.pop() == Some(None)));
            }
            _ => {}
        }
        let assigned = directive.body.split_once('=').filter(|_| directive.action != Action::Output);
        if let Some((names, value)) = assigned {
            let names = names.split(|c: char| c.is_whitespace() || ",:".contains(c)).filter(|it| it.starts_with('$'));
            // The names of files are words.
            let files = value.trim().strip_prefix('(').unwrap_or(value).trim();
            let is_files = files.starts_with(".Files.Glob ") || files.starts_with("$.Files.Glob ");
            let names_files = names.clone().count() == 2 && is_files && !files.contains(['|', '(']);
            let names = names.skip(usize::from(names_files));
            let is_dot = |word: &str| word.starts_with('.') && !word.starts_with(".Values");
            let names_dot = words(value).any(is_dot);
            for name in names {
                give(name, value);
                // Whoever goes over all that a template gets meets the files, too.
                let is_each = matches!(directive.action, Action::Open(Block::Each(_)));
                let is_root = around.iter().flatten().count() == 1 || value.trim() == "$";
                if is_each && defines == 0 && is_root && matches!(value.trim(), "." | "$") {
                    give(name, ".Files");
                }
                let outer = around.iter().rev().flatten().take(if names_dot { MAX_AROUND } else { 0 });
                outer.for_each(|code| give(name, code));
            }
        }
        let code = assigned.map_or(directive.body, |(_, value)| value);
        let targets = put_into(code).filter_map(|(_, target)| target.split('.').next());
        targets.filter(|it| it.starts_with('$')).for_each(|name| give(name, code));
    }
    given
}

/// The words of code: functions, paths and variables, and what strings have of these.
pub(super) fn words(code: &str) -> impl Iterator<Item = &str> + Clone {
    code.split(|c: char| c.is_whitespace() || "(),|=".contains(c)).filter(|word| !word.is_empty())
}

/// The functions that put something into a mapping, each with the word behind it: the mapping, or a function that finds it.
pub(super) fn put_into(code: &str) -> impl Iterator<Item = (&str, &str)> {
    let puts = |word: &&str| SETTERS.contains(word) || MERGERS.contains(word);
    words(code).zip(words(code).skip(1)).filter(move |(function, _)| puts(function))
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
