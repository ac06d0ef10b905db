//! Grants that are written in templates and in other objects, or bound there. Nothing here edits those, so the grants
//! stay.

use std::collections::HashMap;

use super::candidate::candidates;
use super::plan::{Kept, Outcome, Plan, PlannedGrant};
use crate::grants::{Grants, Holder, RuleGrant};
use crate::inventory::RoleId;

type Key = (RoleId, usize, Holder);

/// Adds to a plan what was left out of its input ([`Inventory::leave_out_apart`](crate::inventory::Inventory)): one entry for
/// each legacy grant of `all`, the input with everything in it.
pub fn keep_apart(plan: &mut Plan<'_>, all: &Grants<'_>) {
    let mut planned: HashMap<Key, Vec<PlannedGrant>> = HashMap::new();
    for grant in std::mem::take(&mut plan.grants) {
        planned.entry((grant.from, grant.rule, grant.holder)).or_default().push(grant);
    }
    let mut take = |key: Key, grant: &RuleGrant| {
        let of_key = planned.get_mut(&key)?;
        let at = of_key.iter().position(|known| known.grant == *grant)?;
        Some(of_key.swap_remove(at))
    };
    let mut left = 0;
    let grants = candidates(all).into_iter().map(|candidate| {
        take((candidate.from, candidate.index, candidate.holder), &candidate.grant).unwrap_or_else(|| {
            left += 1;
            PlannedGrant {
                from: candidate.from,
                rule: candidate.index,
                grant: candidate.grant,
                holder: candidate.holder,
                outcome: Outcome::Kept(Kept::NotEditable),
                modes: Vec::new(),
                replaced_by: Vec::new(),
                narrowed_to: None,
                never_seen: Vec::new(),
            }
        })
    });
    plan.grants = grants.collect();
    if left > 0 {
        let (what, stand, are) = if left == 1 { ("grant", "stands", "is") } else { ("grants", "stand", "are") };
        plan.warnings.push(format!(
            "{left} legacy {what} that {stand} in templates or other objects, or {are} bound there, stay: edit these by \
             hand (kept: not-editable)"
        ));
    }
}
