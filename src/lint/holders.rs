//! Who holds what a finding is about, and through which bindings.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

use smol_str::SmolStr;

use super::words;
use crate::authority::subject_matches_someone;
use crate::grants::{Grants, Holder, Through};
use crate::inventory::{Binding, BindingId, ObjectMeta, RoleId, Subject};
use crate::syntax::Place;

/// How many subjects a finding lists. One role may be held by very many, and have very many findings.
const MAX_SUBJECTS: usize = 1_000;
/// How many subjects of a finding are looked at one by one, for what explains it.
const MAX_LOOKED_AT: usize = 20;
/// How many bindings a finding shows.
const MAX_BINDINGS: usize = 3;

/// Some of the holders of a role, and what findings say of them.
#[derive(Debug, Clone)]
pub struct Holders {
    /// In words.
    pub(super) words: String,
    /// The namespaces to which what they hold is limited; none if some of it is not.
    pub(super) namespaces: Option<BTreeSet<SmolStr>>,
    /// Who they are, sorted, each once; a thousand at most.
    pub(super) subjects: Arc<[Subject]>,
    /// How many more there are.
    pub(super) subjects_left_out: usize,
    /// The bindings through which they hold it, a few at most.
    pub(super) related: Arc<[Related]>,
    /// How many more there are.
    pub(super) bindings_left_out: usize,
    /// One of the bindings that reach the role.
    pub(super) binding: Option<BindingId>,
}

/// A place that belongs to a finding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Related {
    /// What it has to do with it.
    pub message: String,
    /// Whether it is a binding by which the role is held: the same for every finding about the role.
    pub is_binding: bool,
    /// The file; empty where no place is marked.
    pub path: Arc<str>,
    /// Marked places in that file, each with a word about it.
    pub places: Vec<(Place, String)>,
}

impl Holders {
    /// What findings say of holders, which are sorted.
    pub(super) fn describe(grants: &Grants<'_>, role: RoleId, holders: &[Holder]) -> Self {
        let subjects = holders.iter().filter_map(|holder| grants.subject(holder)).collect();
        let (related, bindings_left_out) = related_of(grants, role, holders);
        let namespace = |holder| grants.namespace(holder).map(SmolStr::new);
        Self {
            namespaces: holders.iter().map(namespace).collect(),
            related: related.into(),
            bindings_left_out,
            binding: holders.iter().find_map(|holder| match holder.through {
                Through::Binding(binding) => Some(binding),
                _ => None,
            }),
            ..Self::of(subjects, &grants.inventory().role(role).meta)
        }
    }

    /// What findings say of the subjects of a binding, which stand in it themselves.
    pub(super) fn of_binding(binding: &Binding) -> Self {
        let subjects = binding.subjects.iter().filter(|subject| subject_matches_someone(subject)).collect();
        let namespaces = binding.meta.effective_namespace().map(|namespace| BTreeSet::from([SmolStr::new(namespace)]));
        Self { namespaces, ..Self::of(subjects, &binding.meta) }
    }

    /// Some subjects, or whoever is given `object`.
    fn of(mut subjects: Vec<&Subject>, object: &ObjectMeta) -> Self {
        let key = |subject: &&Subject| (subject.kind.clone(), subject.namespace.clone(), subject.name.value.clone());
        subjects.sort_by_cached_key(key);
        subjects.dedup();
        Self {
            words: words::holders(object, &subjects),
            namespaces: None,
            subjects: subjects.iter().take(MAX_SUBJECTS).map(|subject| (*subject).clone()).collect(),
            subjects_left_out: subjects.len().saturating_sub(MAX_SUBJECTS),
            related: Arc::default(),
            bindings_left_out: 0,
            binding: None,
        }
    }

    /// Some of the subjects, for what is looked up one by one: a role may be held by very many, and have very many rules.
    pub(super) fn some(&self) -> impl Iterator<Item = &Subject> {
        self.subjects.iter().take(MAX_LOOKED_AT)
    }

    /// The same, with other places that belong to what is said of them, the first of all.
    pub(super) fn beside(&self, places: Vec<Related>) -> Rc<Self> {
        let related = places.into_iter().chain(self.related.iter().cloned()).collect();
        Rc::new(Self { related, ..self.clone() })
    }
}

/// The bindings through which the holders hold the role, and aggregation on the way.
fn related_of(grants: &Grants<'_>, role: RoleId, holders: &[Holder]) -> (Vec<Related>, usize) {
    let mut related: Vec<Related> = Vec::new();
    let mut seen: Vec<Through> = Vec::new();
    let mut left_out = 0;
    for holder in holders {
        let Some(id) = holder.binding() else { continue };
        let binding = grants.inventory().binding(id);
        let subject = grants.subject(holder).map(|subject| (subject.name.place, subject.describe()));
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
        let bound = &grants.inventory().role(holder.role).meta;
        let via = if holder.role == role {
            String::new()
        } else {
            format!(", into which it is aggregated ({})", bound.describe())
        };
        let mut message = match holder.through {
            Through::NearMiss(_) => format!("{} names a role that does not exist", binding.meta.describe()),
            _ if via.is_empty() && grants.links().is_possible(role, id) => {
                format!("{} may bind it: a template fills in which role it names", binding.meta.describe())
            }
            _ if via.is_empty() => format!("{} binds it", binding.meta.describe()),
            _ => format!("{} binds the role{via}", binding.meta.describe()),
        };
        message.push_str(&binding.meta.under_conditions(&binding.role_ref.name.place));
        let mut places = vec![(binding.role_ref.name.place, "the role".to_owned())];
        places.extend(subject);
        related.push(Related { message, is_binding: true, path: Arc::clone(&binding.meta.path), places });
    }
    (related, left_out)
}
