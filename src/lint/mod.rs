//! Findings: what a person should look at, and what to do about it.
//!
//! A rule judges one [`Site`] at a time: one verb of one rule of one role, with everyone who holds it; or one
//! [`BindingSite`], a binding to a role that every cluster has and manifests do not define. Each rule is one file below `rules/` here and one page in the top-level folder `rules/`; [`catalogue()`] lists them.

mod catalogue;
mod consequence;
mod finding;
mod holders;
mod mend;
mod rule;
mod rules;
mod severity;
mod site;
pub(crate) mod words;

pub(crate) use catalogue::closest;
pub use catalogue::{Selection, UnknownRule, catalogue, find_rule};
pub use finding::{About, Finding};
pub(crate) use finding::{FileFinding, number_fingerprints};
pub use holders::Related;
pub use mend::{Cut, Mend};
pub use rule::{Fix, Page, Rule, Versions};
pub use severity::{FailOn, Severity};
pub use site::{Beside, BindingSite, Site};

use rayon::prelude::*;

use crate::grants::Grants;
use crate::inventory::{BindingId, PolicyRule, RoleId};
use finding::{finding_of, finding_of_binding, fingerprint};

/// Judges all grants by the selected rules. Findings come in the order of their places, those at one place by severity
/// and rule.
pub fn check(grants: &Grants<'_>, selection: &Selection) -> Vec<Finding> {
    let rules: Vec<&dyn Rule> = catalogue().iter().copied().filter(|rule| selection.has(rule.id())).collect();
    apply(grants, &rules, selection.has_mends())
}

/// Judges all grants by some rules, and says with `mends` how what is found can be mended.
fn apply(grants: &Grants<'_>, rules: &[&dyn Rule], mends: bool) -> Vec<Finding> {
    // Side by side, a few roles at a time; collected and sorted once.
    let roles: Vec<RoleId> = grants.inventory().role_ids().map(|(role, _)| role).collect();
    let judge = |roles: &[RoleId]| {
        let mut findings = Vec::new();
        for role in roles {
            site::visit(grants, *role, &mut |site| {
                for rule in rules {
                    if let Some(diagnosis) = rule.check(site) {
                        // What a template becomes is not known, and what stands in other objects is edited there.
                        let is_own =
                            mends && !site.role.meta.stands_apart() && site.role.meta.has_kubernetes_defaults();
                        let mend = is_own.then(|| rule.mend(site)).flatten();
                        findings.push(Finding { mend, ..finding_of(site, rule.id(), diagnosis) });
                    }
                }
            });
        }
        fingerprint(&mut findings, grants);
        findings
    };
    let judged: Vec<Vec<Finding>> = roles.par_chunks(64).map(judge).collect();
    let mut findings: Vec<Finding> = Vec::with_capacity(judged.iter().map(Vec::len).sum());
    findings.extend(judged.into_iter().flatten());
    findings.extend(judge_bindings(grants, rules));
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    number_fingerprints(&mut findings);
    findings
}

/// Judges the bindings to default roles that the input does not define.
fn judge_bindings(grants: &Grants<'_>, rules: &[&dyn Rule]) -> Vec<Finding> {
    let bindings = grants.bindings_to_default_roles();
    let judge = |(id, given): &(BindingId, Vec<PolicyRule>)| {
        let site = BindingSite { grants, id: *id, binding: grants.inventory().binding(*id), rules: given };
        let finding = |rule: &&dyn Rule| Some(finding_of_binding(&site, rule.id(), rule.check_binding(&site)?));
        rules.iter().filter_map(finding).collect::<Vec<_>>()
    };
    let mut findings: Vec<Finding> = bindings.iter().flat_map(judge).collect();
    fingerprint(&mut findings, grants);
    findings
}
