//! Conditions of rendered text, by template position.

use std::collections::BTreeMap;
use std::ops::Range;

use super::document::{Document, File};
use crate::render::{Guard, GuardId, GuardKind, Survey};
use crate::template::Condition;

/// Nested conditions reported per place, the outermost first.
const MAX_DEPTH: usize = 16;

/// Returns the conditions of a document with the template ranges they guard, the outermost first.
pub(super) fn conditions(document: &Document<'_>, survey: &Survey, files: &[File<'_>]) -> Vec<Condition> {
    let mut ranges: BTreeMap<GuardId, Range<usize>> = BTreeMap::new();
    for mark in &document.text.marks {
        if mark.origin.file != document.main {
            continue;
        }
        let own = mark.origin.start as usize..mark.origin.end as usize;
        for id in chain(mark.guard, &survey.guards) {
            let known = ranges.entry(id).or_insert_with(|| own.clone());
            *known = known.start.min(own.start)..known.end.max(own.end);
        }
    }
    let conditions = ranges.into_iter().filter_map(|(id, range)| {
        let guard = survey.guards.get(id.0 as usize)?;
        Some(Condition { range, words: words(guard, files), by_default: guard.by_default })
    });
    let mut conditions: Vec<Condition> = conditions.collect();
    conditions.sort_by(|a, b| (a.range.start, b.range.end).cmp(&(b.range.start, a.range.end)));
    // Every iteration of a loop adds the same condition.
    conditions.dedup();
    conditions
}

/// Returns a guard and its ancestors, the outermost first.
fn chain(id: GuardId, guards: &[Guard]) -> impl Iterator<Item = GuardId> {
    let guard = |id: GuardId| guards.get(id.0 as usize).filter(|guard| guard.kind != GuardKind::Always);
    let next = |id: &GuardId| guard(*id).map(|guard| guard.parent).filter(|parent| guard(*parent).is_some());
    let mut found: Vec<GuardId> = std::iter::successors(guard(id).map(|_| id), next).collect();
    found.reverse();
    found.truncate(MAX_DEPTH);
    found.into_iter()
}

/// Describes a condition: `only if .Values.rbac.create (true by default)`.
fn words(guard: &Guard, files: &[File<'_>]) -> String {
    let code = files.get(guard.condition.file as usize).map(|file| file.shown(guard.condition)).unwrap_or_default();
    let default = match guard.by_default {
        Some(true) => " (true by default)",
        Some(false) => " (false by default)",
        None => "",
    };
    match guard.kind {
        GuardKind::Range if guard.holds => match guard.count {
            Some(0) => format!("for each of {code} (none by default)"),
            Some(count) => format!("for each of {code} ({count} by default)"),
            None => format!("for each of {code}"),
        },
        _ if guard.holds => format!("only if {code}{default}"),
        _ if code.contains(' ') => format!("only if not ({code}){default}"),
        _ => format!("only if not {code}{default}"),
    }
}
