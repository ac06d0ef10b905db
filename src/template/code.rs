//! What code writes: text that stands somewhere and is read there, or text that it makes itself or takes from where nobody
//! looks. Nothing is executed: it is told by the functions that are called and by what they are given.

use std::collections::BTreeSet;

use super::chart::{Literal, METHODS};
use super::doubts::{LINE_BREAKS, MAX_GIVEN};
use super::expression::{Token, given_to_blocks, tokens, with_blanks_before_fields};
use super::lex::directives;
use super::scope::GuardKind;
use super::{Part, Template, value_of};
use crate::source::{TemplateLanguage, may_hold_rbac};

/// How many variables and values are followed of which each names the next one. Those of real charts are a few.
const MAX_STEPS: usize = 32;

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
/// Functions of which the texts that they are given are keys or messages.
const KEYED: [&str; 4] = ["index", "get", "required", "hasKey"];
/// Functions that may end a line though nothing that they are given does, of those that Helm 4.3 has; beside `printf`, `nindent`
/// and `urlParse`, for which it depends.
const MAKING_LINES: [&str; 7] = ["b64dec", "b32dec", "decryptAES", "wrap", "wrapWith", "shuffle", "println"];
/// Those that do if there are escapes or tags in what they are given; and that make mappings.
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
/// Functions that take a piece of text.
const CUTTING: [&str; 8] =
    ["substr", "trunc", "regexFind", "regexFindAll", "regexSplit", "split", "splitList", "splitn"];
/// Functions that write a line for each key of a mapping, those that write a mapping on one line, and those that make one.
const DUMPING: [&str; 7] =
    ["toYaml", "mustToYaml", "toYamlPretty", "toPrettyJson", "mustToPrettyJson", "toToml", "mustToToml"];
const DUMPING_IN_LINE: [&str; 4] = ["toJson", "mustToJson", "toRawJson", "mustToRawJson"];
const MAKERS: [&str; 2] = ["dict", "set"];
/// Functions of which the result has no ends of lines, whatever they are given, beside those that write on one line.
const ENCODING: [&str; 12] = [
    "quote",
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
const OF_FILES: [&str; 6] = ["Get", "GetBytes", "Glob", "Lines", "AsConfig", "AsSecrets"];
/// What of `Chart.yaml` is text, whatever the name is under which a block gets it.
const OF_CHART: [&str; 9] =
    ["Annotations", "Description", "Keywords", "Sources", "Home", "Icon", "Maintainers", "Condition", "Tags"];
/// Where the context keeps what is not told by names alone.
const ROOTS: [&str; 3] = ["Files", "Values", "Chart"];

/// What that which is written at a place may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// A part of a line; more only if it ends the line.
    Line,
    /// A document, or keys of one.
    Document,
}

/// What becomes of what code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// It is written.
    Written,
    /// A part of it is.
    Part,
    /// A block gets it. What is made of it there is told where the block is defined.
    Passed,
}

/// How a block is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallKind {
    /// Its lines are written.
    Written,
    /// Its lines are parsed, and parts of what they say are written.
    Parsed,
    /// Another block gets them.
    Passed,
}

/// What reading code finds.
#[derive(Debug, Default)]
struct Found {
    /// What is made of `.`, if it is named: blocks around it may say what that is.
    dot: Option<Level>,
    makes_mapping: bool,
    dumps: bool,
    dumps_in_line: bool,
    parses: bool,
    has_escapes: bool,
    /// Whether a part of a value that is named is more than it looks.
    names_text: bool,
    /// Whether a value with parts is named, or one of several lines, and whether functions change what is written.
    names_parts: bool,
    names_lines: bool,
    changes: bool,
    indents: bool,
    /// Whether a line ends where indenting does not see it.
    ends_lines_oddly: bool,
    /// Texts of values with code in them, and whether such code may be executed.
    code_in_values: BTreeSet<(String, Level)>,
    executes: bool,
    /// Blocks that are written, and those that others get.
    calls: BTreeSet<(String, bool)>,
}

/// Reads the code of a directive.
pub(super) struct Reader<'r, 't> {
    template: &'r Template<'t>,
    level: Level,
    /// The block in which it stands: what `.` is there, its callers say.
    block: Option<&'r str>,
    /// Variables of which the values were looked at.
    seen: BTreeSet<(&'t str, Level, Use)>,
    steps: usize,
    found: Found,
}

impl<'r, 't> Reader<'r, 't> {
    pub(super) fn new(template: &'r Template<'t>, level: Level, part: &Part<'r>) -> Self {
        Self { template, level, block: part.block, seen: BTreeSet::new(), steps: 0, found: Found::default() }
    }

    /// Whether code at a place may write, on its level, what nobody has read; `literal` is what it is known to write.
    pub(super) fn may_write(&mut self, code: &str, offset: usize, literal: Option<&Literal>) -> bool {
        match literal {
            Some(Literal::Text(text)) => {
                self.found.ends_lines_oddly |= ends_oddly(text);
                return self.template.take_text(text.len()) || is_more(text, self.level);
            }
            Some(Literal::Null | Literal::Bool(_) | Literal::Number(_)) => return false,
            _ => {}
        }
        let mut composes = self.composes(code, self.level, Use::Written);
        if let Some(level) = self.found.dot {
            let guards = self.template.scopes.around(offset).map(|(_, guard)| guard.kind.clone());
            let mut is_named = self.block.is_some();
            for kind in guards.take_while(|kind| !matches!(kind, GuardKind::Define(_))) {
                is_named |= !matches!(kind, GuardKind::Only { with: false, .. });
                if let GuardKind::Each(code) | GuardKind::Only { holds: Some(code), with: true, .. } = kind {
                    composes |= self.composes(value_of(code), level, Use::Part);
                }
            }
            // Code may put anything into the context.
            composes |= level == Level::Document && !is_named;
        }
        let found = &mut self.found;
        let code_in_values = if found.executes { std::mem::take(&mut found.code_in_values) } else { BTreeSet::new() };
        composes
            || found.makes_mapping && found.dumps
            || found.parses && found.has_escapes
            || found.names_text && !found.dumps && !found.dumps_in_line
            || self.level == Level::Line && found.names_lines && found.changes
            || code_in_values.into_iter().any(|(code, level)| self.executes(&code, level))
    }

    /// Whether a value with parts is written line by line.
    pub(super) fn writes_parts(&self) -> bool {
        self.found.names_parts && self.found.dumps && !self.found.indents
    }

    /// Whether parts of what is written are replaced or taken away.
    pub(super) fn changes(&self) -> bool {
        self.found.changes
    }

    /// Whether a line may end where indenting does not see it: it looks for line feeds.
    pub(super) fn ends_lines_oddly(&self) -> bool {
        self.found.ends_lines_oddly
    }

    /// The blocks that are called, once code is read that stands on a level.
    pub(super) fn calls(self, level: Level) -> impl Iterator<Item = (String, Level, CallKind)> {
        let parses = self.found.parses;
        self.found.calls.into_iter().map(move |(block, is_passed)| match is_passed {
            true => (block, Level::Line, CallKind::Passed),
            false => (block, level, if parses { CallKind::Parsed } else { CallKind::Written }),
        })
    }

    /// Whether code in a value may write what nobody has read. Calls of blocks there are calls all the same.
    fn executes(&mut self, text: &str, level: Level) -> bool {
        let Ok(code) = directives(text, TemplateLanguage::DoubleBraces) else { return true };
        let mut composes = false;
        for directive in code {
            composes |= self.composes(directive.body, level, Use::Written);
        }
        // What that names in its turn is not followed.
        composes || !self.found.code_in_values.is_empty()
    }

    /// Whether code makes text or takes it from where nobody looks, so that it may be more than it looks.
    fn composes(&mut self, code: &str, written: Level, usage: Use) -> bool {
        let code = with_blanks_before_fields(code);
        let Some(tokens) = tokens(&code) else { return true };
        let is_function =
            |is: &dyn Fn(&str) -> bool| tokens.iter().any(|it| matches!(it, Token::Word(word) if is(word)));
        // A piece of what has lines may be the end of one.
        let has_lines = |word: &str| DUMPING.contains(&word) || word.starts_with("gen");
        let cuts = written == Level::Line && is_function(&|word| CUTTING.contains(&word)) && is_function(&has_lines);
        let mut composes = cuts && usage != Use::Passed;
        // The functions of which the arguments are read, by brackets.
        let mut functions = vec![""];
        let given = given_to_blocks(&tokens);
        let is_passed = |at: usize| usage == Use::Passed || given.get(at) == Some(&true);
        for (at, token) in tokens.iter().enumerate() {
            let (level, usage) = if is_passed(at) { (Level::Line, Use::Passed) } else { (written, usage) };
            let before = at.checked_sub(1).and_then(|before| tokens.get(before));
            match token {
                Token::Mark('(') => functions.push(""),
                Token::Mark(')') if functions.len() > 1 => drop(functions.pop()),
                Token::Mark(_) => functions.last_mut().into_iter().for_each(|function| *function = ""),
                Token::Text(name) if matches!(before, Some(Token::Word("include" | "template"))) => {
                    self.found.calls.insert((name.clone(), is_passed(at - 1)));
                    // Each file is a block of its own name, and what `tpl` gets is code.
                    composes |= name.contains("/templates/") || functions.contains(&"tpl");
                }
                Token::Text(text) => {
                    self.found.ends_lines_oddly |= ends_oddly(text);
                    self.found.has_escapes |= has_escapes(text);
                    let is_key = level == Level::Document && KEYED.iter().any(|it| functions.last() == Some(it));
                    let is_looked_for = matches!(before, Some(Token::Word(word)) if LOOKING.contains(word));
                    composes |= ROOTS.contains(&text.as_str());
                    if text.contains("{{") {
                        self.found.code_in_values.insert((text.clone(), level));
                    }
                    composes |= !(is_key || level == Level::Line && is_looked_for) && makes(text, level);
                }
                Token::Word(word) if word.starts_with(['.', '$']) => {
                    let behind = tokens.get(at + 1..).unwrap_or_default().iter();
                    // `index .Values "a" "b"`
                    let keys =
                        behind.map_while(|token| if let Token::Text(key) = token { Some(key.as_str()) } else { None });
                    let keys: Vec<&str> = if word.ends_with(".Values") { keys.collect() } else { Vec::new() };
                    composes |= self.names_unread(word, &keys, level, usage);
                }
                Token::Word(word) if word.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                    if let Some(function) = functions.last_mut() {
                        *function = word;
                    }
                    let around = functions.iter().rev().skip(1);
                    composes |= self.calls_unread(word, level, &tokens, at, around.copied().find(|it| !it.is_empty()));
                }
                Token::Word(_) => {}
            }
        }
        composes
    }

    /// Whether a function makes text that nobody has read, of whatever it is given; where it stands among the tokens, and
    /// which function gets that.
    fn calls_unread(
        &mut self,
        function: &str,
        level: Level,
        tokens: &[Token<'_>],
        at: usize,
        around: Option<&str>,
    ) -> bool {
        let found = &mut self.found;
        let is_call = matches!(function, "include" | "template");
        found.parses |= PARSING.contains(&function);
        found.makes_mapping |= MAKERS.contains(&function) || PARSING.contains(&function);
        found.dumps |= DUMPING.contains(&function);
        found.dumps_in_line |= DUMPING_IN_LINE.contains(&function);
        found.changes |= LOOKING.contains(&function);
        found.indents |= matches!(function, "indent" | "nindent");
        found.executes |= is_call || function == "tpl";
        let behind = tokens.get(at + 1..).unwrap_or_default();
        let is_text = matches!(behind.first(), Some(Token::Text(_)));
        let is_root = matches!(behind.first(), Some(Token::Word("." | "$")));
        match (level, function) {
            _ if is_call => !is_text,
            // What is put together is executed.
            _ if around == Some("tpl") && !KEEPING.contains(&function) => true,
            // The context has files, too.
            (_, "index" | "get") if is_root && !matches!(behind.get(1), Some(Token::Text(_))) => true,
            (Level::Document, "true" | "false" | "nil") => false,
            (Level::Document, _) => !KEEPING.contains(&function),
            // What it writes is told by its format.
            (Level::Line, "printf") => !is_text,
            // More lines are indented, unless something is made of them.
            (Level::Line, "nindent") => {
                let by =
                    behind.first().and_then(|it| if let Token::Word(by) = it { by.parse::<u32>().ok() } else { None });
                let is_last = !behind.iter().any(|token| matches!(token, Token::Mark(_)));
                let is_indented = by.is_some_and(|by| by > 0);
                let is_made_of = behind.contains(&Token::Mark(')')) && around != Some("tpl");
                !is_last && (!is_indented || is_made_of)
            }
            // A host has no line breaks.
            (Level::Line, "urlParse") => {
                let fields = behind.iter().filter(|token| matches!(token, Token::Word(word) if word.starts_with('.')));
                behind.last() != Some(&Token::Word(".host"))
                    || tokens.first() != Some(&Token::Mark('('))
                    || fields.count() > 2
            }
            (Level::Line, _) => MAKING_LINES.contains(&function),
        }
    }

    /// Whether a path or a variable stands for what nobody has read.
    fn names_unread(&mut self, word: &str, keys: &[&str], level: Level, usage: Use) -> bool {
        let (name, path) = word.split_once('.').unwrap_or((word, ""));
        let steps: Vec<&str> = path.split('.').filter(|step| !step.is_empty()).collect();
        if let Some(at) = steps.iter().position(|step| *step == "Values") {
            let path = [steps.get(at + 1..).unwrap_or_default(), keys].concat();
            let Some(chart) = self.template.chart.clone() else { return false };
            let is_method = path.first().is_some_and(|step| METHODS.contains(step));
            let is_other = steps.contains(&"Subcharts");
            // Where code changes a value, that is looked at where it does.
            let value = chart.default(&path).or_else(|| chart.written(&path).filter(|_| level == Level::Line));
            return is_method
                || is_other
                || match value {
                    Some(value) => self.is_more(&value, level, usage),
                    // Within a line, what is not known is taken for a word.
                    None => level == Level::Document,
                };
        }
        if steps.iter().any(|step| *step == "Files" || OF_FILES.contains(step) || OF_CHART.contains(step)) {
            return true;
        }
        match steps.as_slice() {
            ["Chart"] => return usage != Use::Passed,
            // In brackets, a word may be anything.
            ["Chart", ..] if level == Level::Document => return true,
            ["Release" | "Capabilities" | "Template" | "Chart", ..] => return false,
            _ => {}
        }
        if name.len() > 1 {
            let Some((name, values)) = self.template.given.get_key_value(name) else { return false };
            let usage = if usage == Use::Written { Use::Part } else { usage };
            if !self.seen.insert((name, level, usage)) {
                return false;
            }
            if values.len() >= MAX_GIVEN || self.steps >= MAX_STEPS {
                return true;
            }
            self.steps += 1;
            let mut composes = false;
            for value in values {
                composes |= self.composes(value, level, usage);
            }
            self.steps -= 1;
            return composes;
        }
        if name.is_empty() {
            self.found.dot = self.found.dot.max(Some(level));
        }
        // Code may put anything into the context.
        level == Level::Document && (self.block.is_some() || name == "$" && !steps.is_empty())
    }

    /// Whether a value is more than it looks where it is written. Of those with parts it depends on what is done with them.
    fn is_more(&mut self, value: &Literal, level: Level, usage: Use) -> bool {
        let is_text = matches!(value, Literal::Text(_));
        let mut is_any_more = false;
        value.visit_texts(&mut |text| {
            if self.template.take_text(text.len()) {
                is_any_more = true;
                return;
            }
            is_any_more |= is_more(text, level);
            self.found.ends_lines_oddly |= ends_oddly(text);
            self.found.names_lines |= usage != Use::Passed && text.trim().contains(LINE_BREAKS);
            self.found.has_escapes |= has_escapes(text);
            if text.contains("{{") {
                self.found.code_in_values.insert((text.to_owned(), level));
            }
        });
        if is_text {
            return is_any_more;
        }
        self.found.names_text |= is_any_more && usage != Use::Passed;
        self.found.names_parts |=
            value.is_true() && usage == Use::Written && matches!(value, Literal::Map(_) | Literal::List(_));
        usage == Use::Written && value.may_grant()
    }
}

impl Template<'_> {
    /// Takes a text of a value to look at; whether too much has been looked at. A short directive may name a long list, and
    /// there may be many.
    fn take_text(&self, length: usize) -> bool {
        let left = self.text_left.get().saturating_sub(length + 1);
        self.text_left.set(left);
        left == 0
    }
}

/// Whether known text is more than it looks where it is written: keys, or several lines.
fn is_more(text: &str, level: Level) -> bool {
    let (text, whole) = (text.trim(), text);
    if text.is_empty() {
        return level == Level::Line && whole.contains(LINE_BREAKS);
    }
    if text.contains(LINE_BREAKS) {
        let mut more = text.split(LINE_BREAKS).skip(1);
        let begins_key = |line: &str| !line.is_empty() && !line.starts_with(' ');
        return may_hold_rbac(text.as_bytes()) || level == Level::Line && more.any(begins_key);
    }
    level == Level::Document && !text.starts_with('#')
}

/// Whether what a function writes has no ends of lines, whatever it is given.
pub(super) fn is_encoding(function: &str) -> bool {
    ENCODING.contains(&function) || DUMPING_IN_LINE.contains(&function)
}

/// Whether a line ends in some text where Helm sees no end of one.
fn ends_oddly(text: &str) -> bool {
    text.trim_end().contains(|c| c != '\n' && LINE_BREAKS.contains(&c))
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

/// Whether a reader of YAML or JSON may find other text in some than is written.
pub(super) fn has_escapes(text: &str) -> bool {
    text.contains('\\') || ["!!", "!<"].iter().any(|tag| text.contains(tag))
}
