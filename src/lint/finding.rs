//! Findings and their parts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::holders::{Holders, Related};
use super::severity::Severity;
use super::site::Site;
use crate::grants::Grants;
use crate::inventory::{Role, RoleId, Subject};
use crate::syntax::Place;

/// How many resources a finding marks.
const MAX_RESOURCES: usize = 8;

/// What a rule says of a site.
#[derive(Debug)]
pub struct Diagnosis {
    pub(super) severity: Severity,
    pub(super) message: String,
    pub(super) help: String,
    /// The resources of the rule that matter.
    pub(super) resources: Vec<usize>,
    /// What stands beside the marked verb.
    pub(super) label: String,
    /// Whom it concerns.
    pub(super) holders: Rc<Holders>,
}

/// One thing to look at.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub help: String,
    /// What stands beside the marked place.
    pub label: String,
    /// Stays the same while unrelated lines move: a hash of the rule, the object, what is granted, and to whom.
    pub fingerprint: String,
    /// The role in which the verb stands.
    pub role: RoleId,
    /// Index of the rule in it.
    pub rule_index: usize,
    /// The file.
    pub path: Arc<str>,
    /// The verb.
    pub verb: SmolStr,
    /// Where it stands.
    pub place: Place,
    /// The resources by which the verb reaches what it reaches, a few at most.
    pub resources: Vec<Place>,
    /// Who holds the grant, sorted, each once; at most a thousand.
    pub subjects: Arc<[Subject]>,
    /// How many more hold it.
    pub subjects_left_out: usize,
    /// Other places that belong to it, perhaps in other files.
    pub related: Arc<[Related]>,
    /// How many more bindings there are.
    pub bindings_left_out: usize,
}

impl Finding {
    pub(super) fn order(&self) -> (&str, Place, std::cmp::Reverse<Severity>, &str) {
        (&self.path, self.place, std::cmp::Reverse(self.severity), self.rule)
    }
}

pub(super) fn finding_of(site: &Site<'_>, rule: &'static str, diagnosis: Diagnosis) -> Finding {
    let Diagnosis { severity, message, help, resources, label, holders } = diagnosis;
    let mut resources: Vec<Place> =
        resources.iter().filter_map(|index| site.rule.resources.get(*index)).map(|text| text.place).collect();
    resources.dedup();
    resources.truncate(MAX_RESOURCES);
    Finding {
        rule,
        severity,
        message,
        help,
        label,
        fingerprint: String::new(),
        role: site.role_id,
        rule_index: site.index,
        path: Arc::clone(&site.role.meta.path),
        verb: site.verb().value.clone(),
        place: site.verb().place,
        resources,
        subjects: Arc::clone(&holders.subjects),
        subjects_left_out: holders.subjects_left_out,
        related: Arc::clone(&holders.related),
        bindings_left_out: holders.bindings_left_out,
    }
}

/// Numbers the findings that would have the same fingerprint, in the order of their places.
pub(super) fn number_fingerprints(findings: &mut [Finding]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for finding in findings {
        let count = seen.entry(finding.fingerprint.clone()).or_default();
        *count += 1;
        if *count > 1 {
            finding.fingerprint = digest(&[finding.fingerprint.as_str(), &count.to_string()]);
        }
    }
}

/// Gives the findings of a role their fingerprints.
pub(super) fn fingerprint(findings: &mut [Finding], grants: &Grants<'_>) {
    // Findings come rule by rule and, mostly, subjects by subjects: what they share is hashed once.
    let mut rule: Option<((RoleId, usize), String)> = None;
    let mut subjects: Option<(Arc<[Subject]>, String)> = None;
    for finding in findings {
        let at = (finding.role, finding.rule_index);
        if rule.as_ref().is_none_or(|(known, _)| *known != at) {
            rule = Some((at, rule_digest(grants.inventory().role(finding.role), finding.rule_index)));
        }
        if subjects.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, &finding.subjects)) {
            let names = |subject: &'_ Subject| -> [SmolStr; 3] {
                let namespace = subject.namespace.clone().unwrap_or_default();
                [SmolStr::new(subject.kind.as_str()), namespace, subject.name.value.clone()]
            };
            let names: Vec<SmolStr> = finding.subjects.iter().flat_map(names).collect();
            subjects = Some((Arc::clone(&finding.subjects), digest(&names)));
        }
        let rule = rule.as_ref().map_or("", |(_, digest)| digest);
        // Another subject is another grant: a baseline must not hide it.
        let subjects = subjects.as_ref().map_or("", |(_, digest)| digest);
        let left_out = finding.subjects_left_out.to_string();
        finding.fingerprint = digest(&[finding.rule, rule, &finding.verb, subjects, &left_out]);
    }
}

/// What a rule of a role says, apart from its verbs: some of them have nothing to do with it.
fn rule_digest(role: &Role, index: usize) -> String {
    let meta = &role.meta;
    let namespace = meta.effective_namespace().unwrap_or_default();
    let mut parts = vec![SmolStr::new(meta.kind.as_str()), SmolStr::new(namespace), meta.name.value.clone()];
    if let Some(rule) = role.rules.get(index) {
        for list in [&rule.api_groups, &rule.resources, &rule.resource_names] {
            parts.push(SmolStr::from(list.len().to_string()));
            parts.extend(list.iter().map(|text| text.value.clone()));
        }
    }
    digest(&parts)
}

/// A hash that nobody can steer to a known one, and that stays the same from release to release.
fn digest<S: AsRef<str>>(parts: &[S]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut text = String::with_capacity(32);
    for byte in hasher.finalize().iter().take(16) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
