//! Values that the code of a chart changes: what `values.yaml` says of them is not what a template finds there.
//!
//! Which of them that is, is told by the names of their keys alone: a value is known only if no key on the way to it is
//! changed anywhere in the chart, in the charts in it, or in those around it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use walkdir::{DirEntry, WalkDir};

use super::chart::{Literal, VALUES, literal};
use super::expression::{Token, last_command, tokens};
use super::lex::{Action, Block, directives};
use crate::source::TemplateLanguage;

/// How many files of a chart are searched, and how many bytes of them. In a larger one, any value may be changed.
const MAX_FILES: usize = 5_000;
const MAX_BYTES: u64 = 64 << 20;
/// How often variables of a file are looked up, and how many that stand for each other, one behind the other.
const MAX_LOOKUPS: usize = 10_000;
const MAX_STEPS: usize = 8;
/// How many values one variable may have that is known to be a mapping of its own.
const MAX_VALUES: usize = 64;

/// Where code stands in a chart, values that become templates included.
const PLACES: [&str; 3] = ["templates", "charts", VALUES];

/// Functions that change a key of a mapping.
pub(super) const SETTERS: [&str; 2] = ["set", "unset"];
/// Functions that change a mapping into which they put others.
pub(super) const MERGERS: [&str; 4] = ["merge", "mergeOverwrite", "mustMerge", "mustMergeOverwrite"];
/// Functions of which the result is nobody else's, nor anything in it.
const COPIERS: [&str; 9] = [
    "deepCopy",
    "mustDeepCopy",
    "fromYaml",
    "fromJson",
    "fromYamlArray",
    "fromJsonArray",
    "lookup",
    "include",
    "print",
];
/// Functions that make a mapping of its own, with what others have in it.
const MAKERS: [&str; 3] = ["dict", "omit", "pick"];
/// Functions that make a list, with what others have in it.
const LISTERS: [&str; 2] = ["list", "tuple"];
/// Functions that pass text on to `tpl`, and make no directives of it, beside those that make mappings and lists.
const PASSING: [&str; 20] = [
    "deepCopy",
    "mustDeepCopy",
    "tpl",
    "toYaml",
    "toJson",
    "toString",
    "default",
    "quote",
    "squote",
    "indent",
    "nindent",
    "trim",
    "trimSuffix",
    "trimPrefix",
    "required",
    "coalesce",
    "ternary",
    "index",
    "get",
    "dig",
];

/// The keys that are changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    keys: BTreeSet<String>,
    /// The last keys on the way to mappings that get more of them.
    grown: BTreeSet<String>,
    /// Whether any may be.
    any: bool,
}

impl Changes {
    /// Those that the files below a chart's directory make.
    pub(super) fn below(directory: &Path) -> Self {
        let mut changes = Self::default();
        let (mut files, mut bytes) = (MAX_FILES, MAX_BYTES);
        // What else a chart holds is no code.
        let is_code = |entry: &DirEntry| entry.depth() != 1 || PLACES.iter().any(|place| entry.file_name() == *place);
        for entry in WalkDir::new(directory).into_iter().filter_entry(is_code) {
            let Ok(entry) = entry else { return Self::unknown() };
            let is_link = entry.file_type().is_symlink();
            // A link may lead anywhere.
            let inside = || entry.path().canonicalize().is_ok_and(|real| real.starts_with(directory) && real.is_file());
            if !(entry.file_type().is_file() || is_link && inside()) {
                changes.any |= is_link && entry.path().exists();
                continue;
            }
            let mut text = Vec::new();
            let read = std::fs::File::open(entry.path()).and_then(|file| file.take(bytes + 1).read_to_end(&mut text));
            let left = bytes.checked_sub(text.len() as u64).zip(files.checked_sub(1));
            let (Ok(_), Some(left)) = (read, left) else { return Self::unknown() };
            (bytes, files) = left;
            let text = String::from_utf8_lossy(&text);
            changes.add(&text);
            // What is written in values may be made a template, whatever quotes and escapes hide of it.
            if entry.file_name() == VALUES {
                literal(&text).iter().for_each(|values| values.visit_texts(&mut |text| changes.add(text)));
            }
            if changes.any {
                break;
            }
        }
        changes
    }

    /// Those that the code in a text makes.
    pub(super) fn of(text: &str) -> Self {
        let mut changes = Self::default();
        changes.add(text);
        changes
    }

    fn unknown() -> Self {
        Self { any: true, ..Self::default() }
    }

    /// Whether the value behind these keys may be another one.
    pub(super) fn touch(&self, path: &[&str]) -> bool {
        self.any || path.iter().any(|key| self.keys.contains(*key))
    }

    /// Whether keys may be put into what stands behind a key.
    pub(super) fn add_to(&self, key: &str) -> bool {
        self.any || self.grown.contains(key)
    }

    /// A value, of which the parts are unknown that may be others.
    pub(super) fn applied_to(&self, value: &Literal) -> Literal {
        match value {
            Literal::Map(map) if !self.keys.is_empty() => {
                let value = |(key, value): (&String, &Literal)| {
                    let value = if self.touch(&[key]) { Literal::Unknown } else { self.applied_to(value) };
                    (key.clone(), value)
                };
                Literal::Map(std::sync::Arc::new(map.iter().map(value).collect()))
            }
            Literal::List(list) if !self.keys.is_empty() => {
                Literal::List(list.iter().map(|item| self.applied_to(item)).collect())
            }
            other => other.clone(),
        }
    }

    /// Adds what a text changes.
    fn add(&mut self, text: &str) {
        // Who looks for nothing else finds out quickly.
        if !text.contains("{{") || !["set", "merge", "Merge", "tpl"].iter().any(|word| text.contains(word)) {
            return;
        }
        let Ok(directives) = directives(text, TemplateLanguage::DoubleBraces) else {
            // Values hold pieces of templates, in whatever quotes.
            self.any |= text.split("{{").skip(1).any(|rest| may_change(rest.split("}}").next().unwrap_or_default()));
            return;
        };
        let code: Vec<(&str, Option<Vec<Token<'_>>>, bool)> = directives
            .iter()
            .filter(|directive| directive.action != Action::Comment)
            .map(|directive| {
                let code = match directive.action {
                    Action::Open(Block::If(code) | Block::With(code) | Block::Each(code))
                    | Action::Else(Some(code)) => code,
                    _ => directive.body,
                };
                (code, tokens(code), matches!(directive.action, Action::Open(Block::Each(_))))
            })
            .collect();
        let mut variables = Variables { values: BTreeMap::new(), held: BTreeMap::new(), lookups: MAX_LOOKUPS };
        for (_, tokens, is_each) in &code {
            for (name, value) in tokens.as_deref().and_then(assigned).into_iter().flatten() {
                variables.values.entry(name).or_default().push((value, *is_each));
            }
            for (name, value) in tokens.as_deref().into_iter().flat_map(put) {
                variables.held.entry(name).or_default().push(value);
            }
        }
        for (body, tokens, _) in &code {
            let Some(tokens) = tokens else {
                self.any |= may_change(body);
                continue;
            };
            self.add_calls(tokens, &mut variables);
        }
    }

    fn add_calls(&mut self, tokens: &[Token<'_>], variables: &mut Variables<'_>) {
        for (at, token) in tokens.iter().enumerate() {
            let Token::Word(function) = token else { continue };
            let rest = tokens.get(at + 1..).unwrap_or_default();
            // Text that is made a template may hold code.
            self.any |= *function == "tpl" && !variables.passes_on(&rest[..argument(rest)], MAX_STEPS);
            if SETTERS.contains(function) {
                let (target, rest) = rest.split_at(argument(rest));
                if variables.is_own(target) {
                    continue;
                }
                match (rest.first(), variables.changed_in(target, MAX_STEPS)) {
                    (_, Some(keys)) if keys.is_empty() => {}
                    (Some(Token::Text(key)), into) => {
                        self.keys.insert(key.clone());
                        self.grown.extend(into.unwrap_or_default());
                    }
                    (_, Some(keys)) => self.keys.extend(keys),
                    (_, None) => self.any = true,
                }
            } else if MERGERS.contains(function) {
                self.add_merge(rest, at > 0 && tokens.get(at - 1) == Some(&Token::Mark('|')), variables);
            }
        }
    }

    /// A merge changes its first argument, and mappings in all the others but the last, since it does not copy them.
    fn add_merge(&mut self, mut rest: &[Token<'_>], is_piped: bool, variables: &mut Variables<'_>) {
        let mut arguments = Vec::new();
        while !rest.is_empty() && !matches!(rest.first(), Some(Token::Mark('|' | ')'))) {
            let (argument, behind) = rest.split_at(argument(rest));
            arguments.push(argument);
            rest = behind;
        }
        let last = if is_piped { arguments.len() } else { arguments.len().saturating_sub(1) };
        for argument in arguments.iter().take(last.max(1)) {
            match variables.changed_in(argument, MAX_STEPS) {
                Some(keys) => self.keys.extend(keys),
                None => self.any = true,
            }
        }
    }
}

/// Whether code that is not understood may change something.
fn may_change(code: &str) -> bool {
    let mut words = code.split(|c: char| !c.is_alphanumeric());
    words.any(|word| SETTERS.contains(&word) || MERGERS.contains(&word) || word == "tpl")
}

/// How many tokens the first argument has.
fn argument(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Mark('(') => depth += 1,
            Token::Mark(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

/// The variables that are given a value, each with that: `$a := …`, `$a = …`, `$a, $b := …`.
fn assigned<'a, 't>(tokens: &'a [Token<'t>]) -> Option<impl Iterator<Item = (&'t str, &'a [Token<'t>])> + use<'a, 't>> {
    let at = tokens.iter().position(|token| matches!(token, Token::Word(":=" | "=")))?;
    let value = tokens.get(at + 1..)?;
    Some(tokens.get(..at)?.iter().filter_map(move |token| match token {
        Token::Word(name) => Some((name.trim_end_matches(','), value)),
        _ => None,
    }))
}

/// What is put into variables: `set $a "key" …`.
fn put<'a, 't>(tokens: &'a [Token<'t>]) -> impl Iterator<Item = (&'t str, &'a [Token<'t>])> {
    let sets = tokens.iter().enumerate().filter(|(_, token)| **token == Token::Word("set"));
    sets.filter_map(|(at, _)| {
        let [Token::Word(name), rest @ ..] = tokens.get(at + 1..)? else { return None };
        let value = rest.get(argument(rest)..)?;
        Some((*name, value.get(..argument(value))?)).filter(|(_, value)| !value.is_empty())
    })
}

/// The variables of a file, each with what it is given anywhere in it, and whether that is each element of something.
struct Variables<'a> {
    values: BTreeMap<&'a str, Vec<(&'a [Token<'a>], bool)>>,
    /// What is put into them.
    held: BTreeMap<&'a str, Vec<&'a [Token<'a>]>>,
    /// How many more are looked up.
    lookups: usize,
}

impl Variables<'_> {
    /// Whether an expression is a mapping that was made for it, whatever that holds.
    fn is_own(&self, code: &[Token<'_>]) -> bool {
        let is_made =
            |code: &[Token<'_>]| maker(code).is_some_and(|made| MAKERS.contains(&made) || COPIERS.contains(&made));
        match code {
            [Token::Word(name)] if name.starts_with('$') => {
                let values = self.values.get(name).map(Vec::as_slice).unwrap_or_default();
                (1..=MAX_VALUES).contains(&values.len())
                    && values.iter().all(|(value, is_each)| !is_each && is_made(value))
            }
            _ => is_made(code),
        }
    }

    /// Whether an expression passes on what is written in values or in it, and makes nothing of that.
    fn passes_on(&mut self, code: &[Token<'_>], steps: usize) -> bool {
        let Some(steps) = steps.checked_sub(1) else { return false };
        self.lookups = self.lookups.saturating_sub(1);
        self.lookups > 0
            && code.iter().all(|token| match token {
                Token::Word(word) => match word.split_once('.').unwrap_or((word, "")) {
                    ("" | "$", path) => !path.starts_with("Files") && !path.starts_with("Chart"),
                    (name, _) if name.starts_with('$') => {
                        let values = self.values.get(name).cloned().unwrap_or_default();
                        values.iter().all(|(value, _)| self.passes_on(value, steps))
                    }
                    _ => {
                        let known = MAKERS.iter().chain(&LISTERS).chain(&PASSING);
                        known.into_iter().any(|known| known == word) || word.parse::<u32>().is_ok()
                    }
                },
                Token::Text(text) => !text.contains('{'),
                Token::Mark(_) => true,
            })
    }

    /// The keys below which something is changed if the value of an expression is, or something in it: none if that is
    /// nobody else's. None if that cannot be told.
    fn changed_in(&mut self, code: &[Token<'_>], steps: usize) -> Option<Vec<String>> {
        let steps = steps.checked_sub(1)?;
        self.lookups = self.lookups.checked_sub(1)?;
        let made = maker(code);
        if made.is_some_and(|made| COPIERS.contains(&made)) {
            return Some(Vec::new());
        }
        let mut keys = Vec::new();
        let mut any = made.is_some_and(|made| MAKERS.contains(&made) || LISTERS.contains(&made));
        for token in code {
            let Token::Word(word) = token else { continue };
            let (name, path) = word.split_once('.').unwrap_or((word, ""));
            match name {
                "" | "$" if path.starts_with("Values.") => {}
                "" | "$" if word.starts_with(['.', '$']) => return None,
                name if name.starts_with('$') => {
                    for (value, _) in self.values.get(name)?.clone() {
                        keys.extend(self.changed_in(value, steps)?);
                    }
                    for value in self.held.get(name).cloned().unwrap_or_default() {
                        let is_plain = match value {
                            [Token::Text(_)] => true,
                            [Token::Word(word)] => !word.starts_with(['.', '$']),
                            _ => false,
                        };
                        keys.extend(if is_plain { Vec::new() } else { self.changed_in(value, steps)? });
                    }
                }
                _ => continue,
            }
            // What a variable holds may be somebody else's, whatever made it.
            keys.extend(path.rsplit('.').next().filter(|key| !key.is_empty()).map(str::to_owned));
            any = true;
        }
        any.then_some(keys)
    }
}

/// The function of which an expression is the result.
fn maker<'t>(mut code: &[Token<'t>]) -> Option<&'t str> {
    while let [Token::Mark('('), inner @ .., Token::Mark(')')] = code
        && argument(code) == code.len()
    {
        code = inner;
    }
    match last_command(code).first()? {
        Token::Word(function) if !function.starts_with(['.', '$']) => Some(function),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> (Vec<String>, bool) {
        let changes = Changes::of(text);
        (changes.keys.into_iter().collect(), changes.any)
    }

    #[test]
    fn what_is_changed_is_told_by_its_keys() {
        for (text, keys) in [
            ("{{ $_ := set .Values \"verb\" \"x\" }}", &["verb"][..]),
            ("{{ $d := .Values.m }}{{ $_ := set $d \"verb\" \"x\" }}", &["verb"]),
            ("{{ if set .Values.a.b .k \"x\" }}{{ end }}", &["b"]),
            ("{{ range $k, $v := .Values.all }}{{ $_ := merge $v (dict) }}{{ end }}", &["all"]),
            ("{{ $d := dict \"m\" .Values.m }}{{ $_ := set $d.m $k \"x\" }}", &["m"]),
            ("{{ $_ := unset (index .Values.a \"b\") \"c\" }}", &["c"]),
            ("{{$_:=set .Values \"verb\" \"*\"}}", &["verb"]),
            ("{{ $_ := set (first (.Values.a | list)) .k 1 }}", &["a"]),
            ("{{ range $m := list .Values.a }}{{ $_ := set $m .k 1 }}{{ end }}", &["a"]),
            ("{{ $c := dict \"r\" .Values.a }}{{ $_ := set (get $c \"r\") .k 1 }}", &["a"]),
            ("{{ $_ := mergeOverwrite (dict \"r\" .Values.a) (dict \"r\" 1) }}", &["a"]),
            ("{{ $_ := merge (dict) .Values.a .Values.b }}", &["a"]),
            ("{{ $d := dict }}{{ $_ := set $d \"r\" .Values.a }}{{ $_ := merge $d (dict) }}", &["a"]),
            ("{{ $_ := .Values.b | merge (dict) .Values.a }}", &["a"]),
        ] {
            assert_eq!(changes(text), (keys.iter().map(|key| (*key).to_owned()).collect(), false), "{text}");
        }
        for text in [
            "{{ $d := dict }}{{ $_ := set $d $k \"x\" }}",
            "{{ $d := .Values.a | deepCopy }}{{ $_ := merge $d .Values.b }}",
            "{{ $_ := merge (dict) .Values }}",
            "{{/* set .Values $k */}}",
            "set .Values \"a\"",
            "{{ .Values.offset }}",
            "{{ tpl (toYaml .Values.a | nindent 4) . | upper | print }}",
            "{{ range $k, $v := .Values.a }}{{ tpl $v . }}{{ end }}",
            "{{ $d := dict \"a\" .Values.a }}{{ $_ := set $d .k 1 }}",
        ] {
            assert_eq!(changes(text), (Vec::new(), false), "{text}");
        }
        for text in [
            "{{ $_ := set .Values $k \"x\" }}",
            "{{ $_ := merge . (dict \"Values\" (dict)) }}",
            "{{ $d := $e }}{{ $e := $d }}{{ $_ := set $d $k 1 }}",
            "{{ $_ := set $e $k 1 }}",
            "{{ (set .Values \"a\" 1).b }}",
            "{{ tpl \"{{ set }}\" . }}",
            "{{ tpl (.Files.Get .a) . }}",
            "{{ $f := .Files.Get .a }}{{ tpl $f . }}",
            "{{ tpl .Chart.Description . }}",
            "{{ tpl (.a | b64dec) . }}",
            "{{ tpl \"\\x7b\\x7b\" . }}",
            "{{ $d := .x }}{{ $_ := mergeOverwrite $d .y }}",
        ] {
            assert!(changes(text).1, "{text}");
        }
    }
}
