//! The legacy grants that exceptions accept, as an input of their own: what it allows is accepted.

use std::collections::{HashMap, HashSet};

use super::{HiddenBy, Triage};
use crate::authority::{Mode, Verb};
use crate::inventory::{BindingId, Inventory, RoleId};
use crate::lint::{About, Finding, Severity};
use crate::syntax::Place;

/// Returns the input without the legacy grants that no exception accepts. A grant is accepted if every finding at its verb
/// that is more than a note is.
pub fn accepted_grants(inventory: &Inventory, triage: &Triage) -> Inventory {
    let mut verbs: HashMap<(RoleId, Place), Acceptance> = HashMap::new();
    let mut bindings: HashSet<BindingId> = HashSet::new();
    let hidden = triage.hidden.iter().map(|hidden| (&hidden.finding, matches!(hidden.by, HiddenBy::Accept { .. })));
    let all: Vec<(&Finding, bool)> = triage.reported.iter().map(|finding| (finding, false)).chain(hidden).collect();
    for (finding, is_accepted) in all {
        match finding.about {
            About::Rule(role, _) => {
                let verb = verbs.entry((role, finding.place)).or_default();
                verb.some |= is_accepted;
                verb.all &= is_accepted || finding.severity == Severity::Note;
            }
            About::Binding(binding) if !is_accepted => drop(bindings.insert(binding)),
            _ => {}
        }
    }
    let mut accepted = Inventory { live: inventory.live, ..inventory.with([], &[]) };
    for (index, role) in accepted.roles.iter_mut().enumerate() {
        for rule in &mut role.rules {
            rule.verbs.retain(|verb| {
                let is_legacy = verb.as_str() == "*" || Verb::parse(verb.as_str()) == Verb::Identity(Mode::Legacy);
                let known = || verbs.get(&(RoleId(index), verb.place));
                !is_legacy || known().is_some_and(|acceptance| acceptance.some && acceptance.all)
            });
        }
    }
    let mut index = 0;
    accepted.bindings.retain(|_| {
        index += 1;
        !bindings.contains(&BindingId(index - 1))
    });
    accepted
}

/// Whether exceptions accept the findings at a verb.
struct Acceptance {
    some: bool,
    all: bool,
}

impl Default for Acceptance {
    fn default() -> Self {
        Self { some: false, all: true }
    }
}
