//! Whether the state after edits is what they promise.

use std::collections::BTreeMap;

use crate::authority::Memberships;
use crate::grants::Grants;
use crate::inventory::ObjectKey;
use crate::lint::{Finding, Severity};
use crate::migrate::widened;

/// A state: what is granted, and what was found in it.
pub type State<'s, 'i> = (&'s Grants<'i>, &'s [Finding]);

/// What is wrong with the state after the edits, if anything is: somebody may impersonate whom they might not before,
/// or, unless that was allowed, the other way round; or there is more to find or to complain of. Decided over the rules,
/// for every request there could be.
pub fn broken_promise(before: State<'_, '_>, after: State<'_, '_>, with_unsafe: bool) -> Option<String> {
    let ((old, known), (new, found)) = (before, after);
    let memberships = Memberships::default();
    let gained = || widened(old, new, &memberships).into_iter().next();
    let lost = || (!with_unsafe).then(|| widened(new, old, &memberships).into_iter().next()).flatten();
    if let Some(change) = gained().or_else(lost) {
        return Some(format!("what {} may impersonate would change: {}", change.subject.describe(), change.why));
    }
    if new.inventory().problems.len() > old.inventory().problems.len() {
        return Some("less of the input could be read".to_owned());
    }
    let (known, found) = (counts(old, known), counts(new, found));
    let more = found.into_iter().find(|(what, count)| known.get(what).copied().unwrap_or_default() < *count);
    more.map(|((object, rule), _)| format!("{rule} would find something new in {} {}", object.kind, object.name))
}

/// How often each rule found something in each object that is more than a note.
fn counts(grants: &Grants<'_>, findings: &[Finding]) -> BTreeMap<(ObjectKey, &'static str), usize> {
    let mut counts = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.severity > Severity::Note) {
        let Some(meta) = finding.about.meta(grants.inventory()) else { continue };
        let key = meta.key();
        *counts.entry((key, finding.rule)).or_default() += 1;
    }
    counts
}
