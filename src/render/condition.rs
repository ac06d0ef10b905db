//! Finds out which values lead into a branch.

use smol_str::SmolStr;

use super::ast::{Command, Expression, ExpressionKind, Pipe};
use super::source::Source;
use super::text::Origin;

/// An assumption beyond the chart's values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumption {
    /// A user sets a value.
    Value {
        /// Its path below `.Values`.
        path: Vec<SmolStr>,
        /// The assumed value.
        to: Assumed,
    },
    /// The condition with this key has the opposite result.
    Condition(SmolStr),
    /// A dependency is enabled that the values disable.
    Enabled(SmolStr),
}

impl Assumption {
    /// Reports whether both cannot hold at once.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Value { path: a, to: x }, Self::Value { path: b, to: y }) => a == b && x != y,
            _ => false,
        }
    }
}

/// An assumed value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assumed {
    /// Any value that counts as true.
    Set,
    /// Any value that counts as false.
    Unset,
    /// This text.
    Text(SmolStr),
}

/// Returns the key of a condition: its text if that means the same everywhere in a chart, otherwise its place.
pub(super) fn key(pipe: &Pipe, text: &str, origin: Origin) -> SmolStr {
    if is_global(pipe) {
        let words: Vec<&str> = pipe.value_span().slice(text).split_whitespace().collect();
        return SmolStr::new(words.join(" ").replace("$.", "."));
    }
    key_of_place(origin)
}

/// Returns the key of a condition that has a meaning at its place only.
pub(super) fn key_of_place(origin: Origin) -> SmolStr {
    smol_str::format_smolstr!("{}:{}", origin.file, origin.start)
}

/// Reports whether a condition depends on values, release, capabilities and chart only, not on variables or the dot.
pub(super) fn is_global(pipe: &Pipe) -> bool {
    pipe.commands.iter().flat_map(|command| &command.words).all(is_global_word)
}

fn is_global_word(word: &Expression) -> bool {
    match &word.kind {
        ExpressionKind::Field(names) => names.first().is_some_and(is_root_field),
        ExpressionKind::Variable(names) => {
            names.first().is_some_and(|name| name == "$") && names.get(1).is_some_and(is_root_field)
        }
        ExpressionKind::Pipe(pipe) => is_global(pipe),
        ExpressionKind::Function(function) => !matches!(function.name, "include" | "tpl" | "lookup"),
        ExpressionKind::Dot | ExpressionKind::Chain(..) => false,
        _ => true,
    }
}

fn is_root_field(name: &SmolStr) -> bool {
    matches!(name.as_str(), "Values" | "Release" | "Capabilities" | "Chart")
}

/// Assumptions with the template code that they are about.
pub(super) type Requirements = Vec<(Assumption, Origin)>;

/// Returns what makes a condition true or false; empty if unknown.
pub(super) fn requirements(pipe: &Pipe, holds: bool, source: &Source) -> Requirements {
    let mut requirements = Vec::new();
    if of_pipe(pipe, holds, source, &mut requirements).is_none() {
        requirements.clear();
    }
    requirements
}

/// Returns the assumption that every value named in a pipeline is set.
pub(super) fn values(pipe: &Pipe, source: &Source) -> Requirements {
    let mut requirements = Vec::new();
    for word in pipe.commands.iter().flat_map(|command| &command.words) {
        if let ExpressionKind::Pipe(inner) = &word.kind {
            requirements.extend(values(inner, source));
        } else if let Some(path) = path_of(word) {
            requirements.push((Assumption::Value { path, to: Assumed::Set }, source.origin(word.span)));
        }
    }
    requirements
}

fn of_pipe(pipe: &Pipe, holds: bool, source: &Source, requirements: &mut Requirements) -> Option<()> {
    match &pipe.commands[..] {
        [command] => of_command(command, holds, source, requirements),
        // `a | not`
        [first, Command { words, .. }] => match &words[..] {
            [Expression { kind: ExpressionKind::Function(function), .. }] if function.name == "not" => {
                of_command(first, !holds, source, requirements)
            }
            _ => None,
        },
        _ => None,
    }
}

fn of_command(command: &Command, holds: bool, source: &Source, requirements: &mut Requirements) -> Option<()> {
    let (first, arguments) = command.words.split_first()?;
    let ExpressionKind::Function(function) = &first.kind else {
        return if arguments.is_empty() { of_word(first, holds, source, requirements) } else { None };
    };
    match (function.name, holds) {
        ("not" | "empty", _) => of_word(arguments.first()?, !holds, source, requirements),
        ("and", true) | ("or", false) => {
            arguments.iter().try_for_each(|argument| of_word(argument, holds, source, requirements))
        }
        ("and", false) | ("or", true) => arguments.iter().find_map(|argument| {
            let mut own = Vec::new();
            of_word(argument, holds, source, &mut own)?;
            requirements.append(&mut own);
            Some(())
        }),
        ("eq", true) | ("ne", false) => {
            let [a, b] = arguments else { return None };
            let (path, text) = value_and_text(a, b).or_else(|| value_and_text(b, a))?;
            let to = Assumed::Text(text);
            requirements.push((Assumption::Value { path, to }, source.origin(a.span)));
            Some(())
        }
        ("eq", false) | ("ne", true) => {
            let [a, b] = arguments else { return None };
            let (path, _) = value_and_text(a, b).or_else(|| value_and_text(b, a))?;
            requirements.push((Assumption::Value { path, to: Assumed::Unset }, source.origin(a.span)));
            Some(())
        }
        _ => None,
    }
}

fn value_and_text(value: &Expression, text: &Expression) -> Option<(Vec<SmolStr>, SmolStr)> {
    match &text.kind {
        ExpressionKind::Text(text, _) => Some((path_of(value)?, text.clone())),
        _ => None,
    }
}

fn of_word(word: &Expression, holds: bool, source: &Source, requirements: &mut Requirements) -> Option<()> {
    if let ExpressionKind::Pipe(pipe) = &word.kind {
        return of_pipe(pipe, holds, source, requirements);
    }
    let to = if holds { Assumed::Set } else { Assumed::Unset };
    requirements.push((Assumption::Value { path: path_of(word)?, to }, source.origin(word.span)));
    Some(())
}

/// Returns the path below `.Values` that a word names.
fn path_of(word: &Expression) -> Option<Vec<SmolStr>> {
    let names = match &word.kind {
        ExpressionKind::Field(names) => &names[..],
        ExpressionKind::Variable(names) if names.first().is_some_and(|name| name == "$") => names.get(1..)?,
        _ => return None,
    };
    let (first, path) = names.split_first()?;
    (first == "Values" && !path.is_empty()).then(|| path.to_vec())
}
