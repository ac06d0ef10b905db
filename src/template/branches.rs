//! What stands under which condition, and what can be there together.

use std::ops::Range;

use super::changes::Changes;
use super::chart::Literal;
use super::expression::{canonical, is_path};
use super::scope::{Guard, GuardKind, MAX_FAILS};
use super::{Template, shorten, value_of};

/// How many branches a condition may have that is compared with others.
const MAX_BRANCHES: usize = 8;

/// A condition around a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Where it holds.
    pub range: Range<usize>,
    /// In words: `only if .Values.rbac.create (true by default)`.
    pub words: String,
    /// Whether it holds by default, if known.
    pub by_default: Option<bool>,
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
    /// The conditions around a place and those that begin in a range, the outermost first.
    pub(crate) fn conditions(&self, range: Range<usize>) -> Vec<Condition> {
        let around = self.scopes.around(range.start).map(|(_, guard)| guard);
        let mut guards: Vec<_> = around.chain(self.scopes.beginning_in(range.start + 1..range.end)).collect();
        guards.sort_by_key(|guard| guard.range.start);
        guards
            .into_iter()
            .filter_map(|guard| {
                let default = |code: &str| self.default_of(guard, code);
                let mut by_default = None;
                let words = match &guard.kind {
                    GuardKind::Only { holds, fails, .. } => {
                        let mut parts: Vec<String> = holds.iter().map(|holds| shorten(&condition(holds))).collect();
                        parts.extend(fails.iter().take(4).map(|fails| format!("not {}", grouped(&condition(fails)))));
                        by_default = self.holds(guard, *holds, fails);
                        let known = match by_default {
                            Some(false) => " (false by default)",
                            Some(true) => " (true by default)",
                            None => "",
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
                Some(Condition { range: guard.range.clone(), words, by_default })
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
                GuardKind::Only { holds, fails, .. } => self.holds(guard, *holds, fails) == Some(true),
                GuardKind::Each(list) => truth(list) == Some(true) && !self.is_left_early(guard),
                GuardKind::Define(_) | GuardKind::Other => false,
            }
        })
    }

    /// Whether a branch is there by default: what it asks holds, and nothing of what those before it ask. None if that
    /// cannot be told.
    fn holds(&self, guard: &Guard<'_>, holds: Option<&str>, fails: &[&str]) -> Option<bool> {
        let truth = |code: &str| self.default_of(guard, code).map(|value| value.is_true());
        let fails_too = fails.iter().map(|code| truth(code).map(|value| !value));
        let all: Vec<Option<bool>> = holds.into_iter().map(truth).chain(fails_too).collect();
        if all.contains(&Some(false)) {
            return Some(false);
        }
        // Of those before it, not all may be known.
        (fails.len() < MAX_FAILS && all.iter().all(|value| *value == Some(true))).then_some(true)
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

/// In brackets, if it is more than one word.
fn grouped(code: &str) -> String {
    let code = shorten(code);
    if code.contains(' ') { format!("({code})") } else { code }
}

fn number(count: usize) -> String {
    if count == 0 { "none".to_owned() } else { count.to_string() }
}
