//! Findings and their parts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::holders::{Holders, Related};
use super::mend::Mend;
use super::severity::Severity;
use super::site::{BindingSite, Site};
use crate::grants::Grants;
use crate::inventory::{BindingId, Inventory, ObjectMeta, RoleId, Subject, Text};
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

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// A rule of a role: the role, and the rule's index in it.
    Rule(RoleId, usize),
    /// A binding.
    Binding(BindingId),
    /// A role as a whole.
    Role(RoleId),
    /// A place in a file that is no RBAC object: an entry of the configuration, a comment.
    File,
}

impl About {
    /// The index of the rule.
    pub fn rule(self) -> Option<usize> {
        match self {
            Self::Rule(_, index) => Some(index),
            Self::Role(_) | Self::Binding(_) | Self::File => None,
        }
    }

    /// The object that holds it, if it is about one.
    pub fn meta(self, inventory: &Inventory) -> Option<&ObjectMeta> {
        match self {
            Self::Rule(role, _) | Self::Role(role) => Some(&inventory.role(role).meta),
            Self::Binding(binding) => Some(&inventory.binding(binding).meta),
            Self::File => None,
        }
    }
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
    /// Stays the same while unrelated lines move, files get other names and other entries of the rule change: a hash of
    /// the rule, the object, what is granted, and to whom.
    pub fingerprint: String,
    /// What it is about.
    pub about: About,
    /// The file.
    pub path: Arc<str>,
    /// The verb, or the role's name in a binding.
    pub marked: SmolStr,
    /// Where that stands.
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
    /// A hash of the resources by which the verb reaches what it reaches; none where all of the rule's matter.
    pub(super) reached: Option<String>,
    /// What an edit takes out of the rule, so that it goes; only where that was asked for.
    pub mend: Option<Mend>,
}

impl Finding {
    /// What findings are sorted by: the place, the gravest first.
    pub(crate) fn order(&self) -> (&str, Place, std::cmp::Reverse<Severity>, &str) {
        (&self.path, self.place, std::cmp::Reverse(self.severity), self.rule)
    }
}

/// What is said of a verb.
pub(super) fn finding_of(site: &Site<'_>, rule: &'static str, diagnosis: Diagnosis) -> Finding {
    let texts = || diagnosis.resources.iter().filter_map(|index| site.rule.resources.get(*index));
    let reached = (!diagnosis.resources.is_empty()).then(|| digest(distinct(texts())));
    let mut resources: Vec<Place> = texts().map(|text| text.place).collect();
    resources.dedup();
    resources.truncate(MAX_RESOURCES);
    let about = About::Rule(site.role_id, site.index);
    Finding { resources, reached, ..finding(rule, diagnosis, about, &site.role.meta, site.verb()) }
}

/// What is said of a binding.
pub(super) fn finding_of_binding(site: &BindingSite<'_>, rule: &'static str, diagnosis: Diagnosis) -> Finding {
    finding(rule, diagnosis, About::Binding(site.id), &site.binding.meta, &site.binding.role_ref.name)
}

fn finding(rule: &'static str, diagnosis: Diagnosis, about: About, meta: &ObjectMeta, marked: &Text) -> Finding {
    let Diagnosis { mut severity, mut message, help, label, holders, .. } = diagnosis;
    message.push_str(&meta.under_conditions(&marked.place));
    if meta.template.as_ref().is_some_and(|template| template.is_off_by_default(&marked.place, about.rule())) {
        severity = severity.less();
    }
    for note in meta.template.iter().zip(about.rule()).flat_map(|(template, rule)| template.notes(rule)) {
        message.push_str(&format!(", where {note}"));
    }
    Finding {
        rule,
        severity,
        message,
        help,
        label,
        fingerprint: String::new(),
        about,
        path: Arc::clone(&meta.path),
        marked: marked.value.clone(),
        place: marked.place,
        resources: Vec::new(),
        subjects: Arc::clone(&holders.subjects),
        subjects_left_out: holders.subjects_left_out,
        related: Arc::clone(&holders.related),
        bindings_left_out: holders.bindings_left_out,
        reached: None,
        mend: None,
    }
}

/// A finding about what hides others: an entry of the configuration, a comment, an annotation.
#[derive(Debug)]
pub(crate) struct FileFinding<'f> {
    pub(crate) about: About,
    pub(crate) rule: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) help: String,
    pub(crate) label: String,
    pub(crate) path: &'f Arc<str>,
    pub(crate) place: Place,
    /// What it is about, in words that stay the same when lines move.
    pub(crate) what: String,
}

impl From<FileFinding<'_>> for Finding {
    fn from(finding: FileFinding<'_>) -> Self {
        let FileFinding { about, rule, severity, message, help, label, path, place, what } = finding;
        Self {
            rule,
            severity,
            message,
            help,
            label,
            fingerprint: digest([rule, what.as_str()]),
            about,
            path: Arc::clone(path),
            marked: SmolStr::new(&what),
            place,
            resources: Vec::new(),
            subjects: Arc::default(),
            subjects_left_out: 0,
            related: Arc::default(),
            bindings_left_out: 0,
            reached: None,
            mend: None,
        }
    }
}

/// Numbers the findings that would have the same fingerprint, in the order of their places.
pub(crate) fn number_fingerprints(findings: &mut [Finding]) {
    let mut seen: HashMap<&str, usize, RandomState> =
        HashMap::with_capacity_and_hasher(findings.len(), RandomState::default());
    let mut counts = Vec::with_capacity(findings.len());
    for finding in findings.iter() {
        let count = seen.entry(&finding.fingerprint).or_default();
        *count += 1;
        counts.push(*count);
    }
    for (finding, count) in findings.iter_mut().zip(counts).filter(|(_, count)| *count > 1) {
        finding.fingerprint = digest([finding.fingerprint.as_str(), &count.to_string()]);
    }
}

/// Gives some findings their fingerprints.
pub(super) fn fingerprint(findings: &mut [Finding], grants: &Grants<'_>) {
    // Findings come rule by rule and, mostly, subjects by subjects: what they share is hashed once.
    let mut object: Option<(About, [String; 2])> = None;
    let mut subjects: Option<(Arc<[Subject]>, String)> = None;
    for finding in findings {
        if object.as_ref().is_none_or(|(known, _)| *known != finding.about) {
            object = Some((finding.about, object_digest(grants.inventory(), finding.about)));
        }
        if subjects.as_ref().is_none_or(|(known, _)| !Arc::ptr_eq(known, &finding.subjects)) {
            let names = finding.subjects.iter().flat_map(|subject| {
                let namespace = subject.namespace.as_deref().unwrap_or_default();
                [subject.kind.as_str(), namespace, subject.name.as_str()]
            });
            subjects = Some((Arc::clone(&finding.subjects), digest(names)));
        }
        let Some((_, [object, resources])) = &object else { continue };
        let reached = finding.reached.as_ref().unwrap_or(resources);
        // Another subject is another grant: a baseline must not hide it.
        let subjects = subjects.as_ref().map_or("", |(_, digest)| digest);
        let left_out = finding.subjects_left_out.to_string();
        finding.fingerprint = digest([finding.rule, object, &finding.marked, reached, subjects, &left_out]);
    }
}

/// Hashes an object with the lists of a rule that bear on every grant of it, and the resources of the rule. Its verbs are
/// left out: some of them have nothing to do with the finding.
fn object_digest(inventory: &Inventory, about: About) -> [String; 2] {
    let Some(meta) = about.meta(inventory) else { return [String::new(), String::new()] };
    let namespace = meta.effective_namespace().unwrap_or_default();
    let rule = match about {
        About::Rule(role, index) => inventory.role(role).rules.get(index),
        About::Role(_) | About::Binding(_) | About::File => None,
    };
    let lists = rule.map(|rule| [&rule.api_groups, &rule.resource_names, &rule.non_resource_urls]);
    let lists = lists.into_iter().flatten().flat_map(|list| {
        let texts = distinct(list);
        let length = Cow::Owned(texts.len().to_string());
        std::iter::once(length).chain(texts.into_iter().map(Cow::Borrowed))
    });
    let object = [meta.kind.as_str(), namespace, meta.name.as_str()].map(Cow::Borrowed);
    let carrier = meta.embedded.as_deref().map(|embedding| {
        let carrier = &embedding.carrier;
        let namespace = carrier.namespace.as_deref().unwrap_or_default();
        // Not where in it: another list before it changes nothing.
        [carrier.kind.as_str(), namespace, carrier.name.as_str(), embedding.form.as_str()].map(Cow::Borrowed)
    });
    let resources = rule.map(|rule| distinct(&rule.resources)).unwrap_or_default();
    [digest(object.into_iter().chain(lists).chain(carrier.into_iter().flatten())), digest(resources)]
}

/// The texts of a list, sorted, each once: their order means nothing.
fn distinct<'t>(texts: impl IntoIterator<Item = &'t Text>) -> Vec<&'t str> {
    let mut texts: Vec<&str> = texts.into_iter().map(Text::as_str).collect();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// A hash that nobody can steer to a known one, and that stays the same from release to release.
fn digest(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        let part = part.as_ref();
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digits = hasher.finalize().into_iter().take(16).flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
