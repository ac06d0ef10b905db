//! Findings and their parts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::catalogue::Rule;
use super::site::{Holders, Site};
use super::words;
use crate::grants::{Grants, Holder, Through};
use crate::inventory::{Role, RoleId, Subject};
use crate::syntax::Place;

/// How many subjects a finding lists. One role may be held by very many, and have very many findings.
const MAX_SUBJECTS: usize = 1_000;
/// How many resources a finding marks.
const MAX_RESOURCES: usize = 8;
/// How many bindings a finding shows.
const MAX_BINDINGS: usize = 3;

/// How grave a finding is (`contract.md`, "Severity").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Changes nothing today: unbound, dead, owned by the server, or already everything.
    Note,
    /// An effective legacy grant, or a constrained one that cannot work.
    Warning,
    /// An effective legacy grant that reaches any identity of a kind, or `system:masters`.
    Error,
}

impl Severity {
    /// All severities, the gravest first.
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Note];

    /// The severity's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

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

/// A place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    /// What it has to do with it.
    pub message: String,
    /// The file.
    pub path: Arc<str>,
    /// Marked places in that file, each with a word about it.
    pub places: Vec<(Place, String)>,
}

impl Finding {
    pub(super) fn order(&self) -> (&str, Place, std::cmp::Reverse<Severity>, &str) {
        (&self.path, self.place, std::cmp::Reverse(self.severity), self.rule)
    }
}

pub(super) fn finding_of(site: &Site<'_>, rule: &dyn Rule, diagnosis: Diagnosis) -> Finding {
    let Diagnosis { severity, message, help, resources, label, holders } = diagnosis;
    let mut resources: Vec<Place> =
        resources.iter().filter_map(|index| site.rule.resources.get(*index)).map(|text| text.place).collect();
    resources.dedup();
    resources.truncate(MAX_RESOURCES);
    Finding {
        rule: rule.id(),
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

/// What findings say of holders, which are sorted.
pub(super) fn describe_holders(site: &Site<'_>, holders: &[Holder]) -> Holders {
    let mut subjects: Vec<&Subject> = holders.iter().filter_map(|holder| site.grants.subject(holder)).collect();
    let key = |subject: &&Subject| (subject.kind.clone(), subject.namespace.clone(), subject.name.value.clone());
    subjects.sort_by_cached_key(key);
    subjects.dedup();
    let (related, bindings_left_out) = related_of(site, holders);
    let namespace = |holder| site.grants.namespace(holder).map(SmolStr::new);
    Holders {
        words: words::holders(site, &subjects),
        namespaces: holders.iter().map(namespace).collect(),
        subjects: subjects.iter().take(MAX_SUBJECTS).map(|subject| (*subject).clone()).collect(),
        subjects_left_out: subjects.len().saturating_sub(MAX_SUBJECTS),
        related: related.into(),
        bindings_left_out,
    }
}

/// The bindings through which the holders hold the role, and aggregation on the way.
fn related_of(site: &Site<'_>, holders: &[Holder]) -> (Vec<Related>, usize) {
    let mut related: Vec<Related> = Vec::new();
    let mut seen: Vec<Through> = Vec::new();
    let mut left_out = 0;
    for holder in holders {
        let (Through::Binding(id) | Through::NearMiss(id)) = holder.through else { continue };
        let binding = site.grants.inventory().binding(id);
        let subject = site.grants.subject(holder).map(|subject| (subject.name.place, subject.describe()));
        if let Some(at) = seen.iter().position(|known| *known == holder.through) {
            if let Some(known) = related.get_mut(at).filter(|known| known.places.len() <= MAX_BINDINGS) {
                known.places.extend(subject.filter(|(place, _)| known.places.iter().all(|(other, _)| other != place)));
            }
            continue;
        }
        if seen.len() >= MAX_BINDINGS {
            left_out += usize::from(!matches!(seen.last(), Some(last) if *last == holder.through));
            continue;
        }
        seen.push(holder.through);
        let bound = &site.grants.inventory().role(holder.role).meta;
        let via = if holder.role == site.role_id {
            String::new()
        } else {
            format!(", into which it is aggregated ({})", bound.describe())
        };
        let message = match holder.through {
            Through::NearMiss(_) => format!("{} names a role that does not exist", binding.meta.describe()),
            _ if via.is_empty() => format!("{} binds it", binding.meta.describe()),
            _ => format!("{} binds the role{via}", binding.meta.describe()),
        };
        let mut places = vec![(binding.role_ref.name.place, "the role".to_owned())];
        places.extend(subject);
        related.push(Related { message, path: Arc::clone(&binding.meta.path), places });
    }
    (related, left_out)
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
