//! Regular expressions in Go's syntax.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::{Regex, RegexBuilder};

use super::super::text::Marked;
use super::super::value::Value;
use super::{Arguments, Outcome};

/// How large a compiled expression may be.
const MAX_SIZE: usize = 1 << 20;

/// How many expressions are kept.
const MAX_KEPT: usize = 200;

thread_local! {
    static KNOWN: RefCell<HashMap<String, Option<Regex>>> = RefCell::default();
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let found = KNOWN.with_borrow_mut(|known| {
        if known.len() > MAX_KEPT {
            known.clear();
        }
        known.entry(pattern.to_owned()).or_insert_with(|| build(pattern)).clone()
    });
    found.ok_or_else(|| format!("error parsing regexp: `{pattern}`"))
}

/// Go's `\d`, `\w`, `\s` and `\b` know ASCII only, and its braces may stand for themselves.
fn build(pattern: &str) -> Option<Regex> {
    let mut translated = String::new();
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('d') => translated.push_str(if in_class { "0-9" } else { "[0-9]" }),
                Some('w') => translated.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
                Some('s') => translated.push_str(if in_class { r"\t\n\f\r " } else { r"[\t\n\f\r ]" }),
                Some('D') if !in_class => translated.push_str("[^0-9]"),
                Some('W') if !in_class => translated.push_str("[^0-9A-Za-z_]"),
                Some('S') if !in_class => translated.push_str(r"[^\t\n\f\r ]"),
                Some('b') => translated.push_str(r"(?-u:\b)"),
                Some('B') => translated.push_str(r"(?-u:\B)"),
                Some('Q') => {
                    let mut literal = String::new();
                    while let Some(c) = chars.next() {
                        if c == '\\' && chars.peek() == Some(&'E') {
                            chars.next();
                            break;
                        }
                        literal.push(c);
                    }
                    translated.push_str(&regex::escape(&literal));
                }
                Some(c) if c.is_ascii_punctuation() => {
                    translated.push('\\');
                    translated.push(c);
                }
                Some(c) => {
                    translated.push('\\');
                    translated.push(c);
                }
                None => return None,
            },
            '[' if in_class => {
                if chars.peek() == Some(&':') {
                    translated.push('[');
                    for c in chars.by_ref() {
                        translated.push(c);
                        if c == ']' {
                            break;
                        }
                    }
                } else {
                    translated.push_str(r"\[");
                }
            }
            '[' => {
                in_class = true;
                translated.push('[');
                if chars.peek() == Some(&'^') {
                    translated.push('^');
                    chars.next();
                }
                if chars.peek() == Some(&']') {
                    translated.push_str(r"\]");
                    chars.next();
                }
            }
            ']' if in_class => {
                in_class = false;
                translated.push(']');
            }
            '&' | '~' if in_class => {
                translated.push('\\');
                translated.push(c);
            }
            '{' if !in_class => {
                let rest: String = chars.clone().take_while(|c| *c != '}').collect();
                let is_count = rest.starts_with(|c: char| c.is_ascii_digit())
                    && rest.bytes().all(|b| b.is_ascii_digit() || b == b',')
                    && chars.clone().any(|c| c == '}');
                translated.push_str(if is_count { "{" } else { r"\{" });
            }
            '}' if !in_class => {
                // Either it ends a count, or it stands for itself.
                let opened = translated.rfind('{').is_some_and(|at| {
                    !translated[..at].ends_with('\\')
                        && translated[at + 1..].bytes().all(|b| b.is_ascii_digit() || b == b',')
                });
                translated.push_str(if opened { "}" } else { r"\}" });
            }
            c => translated.push(c),
        }
    }
    RegexBuilder::new(&translated).size_limit(MAX_SIZE).build().ok()
}

/// Replacements in Go write `$1` and `${1}`; a name takes as many letters as follow, which is so here, too.
fn expand(replacement: &str) -> String {
    replacement.to_owned()
}

pub(super) fn is_match(arguments: &Arguments<'_>) -> Outcome {
    Ok(compiled(arguments.str(0)?).is_ok_and(|regex| regex.is_match(arguments.str(1).unwrap_or_default())).into())
}

pub(super) fn must_match(arguments: &Arguments<'_>) -> Outcome {
    Ok(compiled(arguments.str(0)?)?.is_match(arguments.str(1)?).into())
}

pub(super) fn find(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.marked(1)?;
    let regex = compiled(arguments.str(0)?)?;
    let mut found = Marked::default();
    if let Some(hit) = regex.find(&text.text) {
        found.append_range(&text, hit.range());
    }
    Ok(found.into())
}

pub(super) fn find_all(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.marked(1)?;
    let regex = compiled(arguments.str(0)?)?;
    let most = usize::try_from(arguments.int(2)?).unwrap_or(usize::MAX);
    let found = regex.find_iter(&text.text).take(most).map(|hit| {
        let mut found = Marked::default();
        found.append_range(&text, hit.range());
        Value::from(found)
    });
    Ok(Value::texts(found))
}

pub(super) fn replace_all(arguments: &Arguments<'_>) -> Outcome {
    let regex = compiled(arguments.str(0)?)?;
    let replacement = expand(arguments.str(2)?);
    Ok(regex.replace_all(arguments.str(1)?, replacement.as_str()).as_ref().into())
}

pub(super) fn replace_all_literal(arguments: &Arguments<'_>) -> Outcome {
    let regex = compiled(arguments.str(0)?)?;
    Ok(regex.replace_all(arguments.str(1)?, regex::NoExpand(arguments.str(2)?)).as_ref().into())
}

pub(super) fn split(arguments: &Arguments<'_>) -> Outcome {
    let text = arguments.marked(1)?;
    let regex = compiled(arguments.str(0)?)?;
    let most = arguments.int(2)?;
    if most == 0 {
        return Ok(Value::texts([]));
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    let mut at = 0;
    for hit in regex.find_iter(&text.text) {
        if found.len() + 1 >= most {
            break;
        }
        // Go takes no empty piece at the beginning for an empty match.
        if hit.is_empty() && hit.start() == 0 {
            continue;
        }
        let mut piece = Marked::default();
        piece.append_range(&text, at..hit.start());
        found.push(piece.into());
        at = hit.end();
    }
    let mut piece = Marked::default();
    piece.append_range(&text, at..text.text.len());
    found.push(piece.into());
    Ok(Value::texts(found))
}

pub(super) fn quote_meta(arguments: &Arguments<'_>) -> Outcome {
    let mut result = String::new();
    for c in arguments.str(0)?.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            result.push('\\');
        }
        result.push(c);
    }
    Ok(result.into())
}
