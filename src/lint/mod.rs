//! Findings: what a person should look at, and what to do about it.
//!
//! A rule judges one [`Site`] at a time: one verb of one rule of one role, with everyone who holds it. Each rule is one
//! file below `rules/` here and one page in the top-level folder `rules/`; [`catalogue()`] lists them.

mod catalogue;
mod finding;
mod rules;
mod site;
mod words;

pub use catalogue::{Page, Rule, Selection, UnknownRule, catalogue, find_rule};
pub use finding::{Finding, Related, Severity};
pub use site::Site;

use crate::grants::Grants;
use finding::{finding_of, fingerprint_all};

/// Judges all grants by the selected rules. Findings come in the order of their places, those at one place by severity
/// and rule.
pub fn check(grants: &Grants<'_>, selection: &Selection) -> Vec<Finding> {
    let mut findings = Vec::new();
    site::visit(grants, &mut |site| {
        for rule in catalogue().iter().filter(|rule| selection.has(rule.id())) {
            if let Some(diagnosis) = rule.check(site) {
                findings.push(finding_of(site, *rule, diagnosis));
            }
        }
    });
    findings.sort_by(|a, b| a.order().cmp(&b.order()));
    fingerprint_all(&mut findings, grants);
    findings
}
