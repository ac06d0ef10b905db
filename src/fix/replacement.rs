//! The fix of one finding, as replacements of text, for readers that apply fixes themselves.

use std::sync::Arc;

use super::Fixes;
use crate::grants::Grants;
use crate::lint::Finding;
use crate::rewrite::{FileChange, Manifests};
use crate::syntax::{LineIndex, Place};

/// A part of a file, and the text that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The file, as the user named it.
    pub path: Arc<str>,
    /// The part that goes.
    pub place: Place,
    /// What takes its place; empty for nothing.
    pub text: String,
}

/// Returns the safe fix of a finding, which changes no permission; empty if there is none.
pub fn replacements(grants: &Grants<'_>, finding: &Finding, read: &mut dyn Manifests) -> Vec<Replacement> {
    let mut fixes = Fixes::new(false);
    if finding.mend.is_none() || !fixes.round(grants, std::slice::from_ref(finding), read) {
        return Vec::new();
    }
    fixes.changes().iter().filter_map(Replacement::of).collect()
}

impl Replacement {
    /// Returns the shortest part of a file that holds all of a change.
    fn of(change: &FileChange) -> Option<Self> {
        let (before, after) = (str::from_utf8(&change.before).ok()?, str::from_utf8(&change.after).ok()?);
        let same = |(a, b): &(char, char)| a == b;
        let start: usize = before.chars().zip(after.chars()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let (left, right) = (before.get(start..)?, after.get(start..)?);
        let end: usize = left.chars().rev().zip(right.chars().rev()).take_while(same).map(|(c, _)| c.len_utf8()).sum();
        let place = LineIndex::new(before).place(start..before.len() - end);
        let text = right.get(..right.len() - end)?.to_owned();
        Some(Self { path: Arc::clone(&change.path), place, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_replacement() {
        for (before, after, offset, length, text) in [
            ("a: [x, y, z]\n", "a: [x, z]\n", 7, 3, ""),
            ("a: ü1\nb\n", "a: ü2\nb\n", 5, 1, "2"),
            ("a\n", "a\nb\n", 2, 0, "b\n"),
            ("aa", "a", 1, 1, ""),
            ("", "a", 0, 0, "a"),
        ] {
            let change = FileChange {
                path: Arc::from("a.yaml"),
                before: before.into(),
                after: after.into(),
                template: None,
                is_empty: false,
                is_new: false,
                added: Vec::new(),
            };
            let found = Replacement::of(&change).unwrap();
            assert_eq!(
                (found.place.offset, found.place.length, found.text.as_str()),
                (offset, length, text),
                "{before}"
            );
        }
    }
}
