//! Exceptions: legacy grants that stay, and why.

use super::Date;
use crate::evidence::Impersonator;
use crate::inventory::{DEFAULT_NAMESPACE, Form, Inventory, ObjectKey, ObjectMeta, Subject};
use crate::lint::Finding;
use crate::syntax::Place;

/// An `[[accept]]` entry. It covers the findings to which all of its conditions apply.
#[derive(Debug, Clone)]
pub struct Accept {
    /// The place of the entry.
    pub place: Place,
    /// The rules; all if there are none.
    pub rules: Vec<&'static str>,
    /// The object that the finding is about.
    pub object: Option<AcceptedObject>,
    /// One of the subjects that have the grant.
    pub subject: Option<AcceptedSubject>,
    /// The finding's fingerprint.
    pub fingerprint: Option<String>,
    /// Why the grant stays.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Option<Date>,
}

/// The object of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedObject {
    /// The kind: one of RBAC's, or that of the object in which the RBAC object is written.
    pub kind: String,
    /// The namespace.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

/// The subject of an exception.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedSubject {
    /// `User`, `Group` or `ServiceAccount`.
    pub kind: String,
    /// The namespace of a service account.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl Accept {
    /// Reports whether it still counts on a day.
    pub fn counts_on(&self, day: Date) -> bool {
        self.until.is_none_or(|until| day <= until)
    }

    /// Reports whether its conditions apply to a finding, apart from the subject.
    pub fn covers_place(&self, inventory: &Inventory, finding: &Finding) -> bool {
        let is_object = |object: &AcceptedObject| {
            finding.about.meta(inventory).is_some_and(|meta| object.is_own(meta) || object.is_carrier(meta))
        };
        (self.rules.is_empty() || self.rules.contains(&finding.rule))
            && self.object.as_ref().is_none_or(is_object)
            && self.fingerprint.as_ref().is_none_or(|known| *known == finding.fingerprint)
    }

    /// Returns what it accepts, in words.
    pub fn describe(&self) -> String {
        let in_namespace =
            |namespace: &Option<String>| namespace.as_ref().map(|it| format!("{it}/")).unwrap_or_default();
        let mut parts = Vec::new();
        if !self.rules.is_empty() {
            parts.push(self.rules.join(", "));
        }
        if let Some(AcceptedObject { kind, namespace, name }) = &self.object {
            parts.push(format!("{kind} \"{}{name}\"", in_namespace(namespace)));
        }
        if let Some(AcceptedSubject { kind, namespace, name }) = &self.subject {
            parts.push(format!("for {kind} \"{}{name}\"", in_namespace(namespace)));
        }
        parts.extend(self.fingerprint.as_ref().map(|fingerprint| format!("fingerprint {fingerprint}")));
        parts.join(", ")
    }
}

impl AcceptedObject {
    /// Reports whether it is this object.
    pub fn is_key(&self, key: &ObjectKey) -> bool {
        let namespace = key.kind.is_namespaced().then(|| self.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE));
        self.kind == key.kind.as_str() && self.name == key.name.as_str() && namespace == key.namespace.as_deref()
    }

    fn is_own(&self, meta: &ObjectMeta) -> bool {
        // The name of a list of rules is made up.
        meta.embedded.as_deref().is_none_or(|embedding| embedding.form != Form::Rules) && self.is_key(&meta.key())
    }

    fn is_carrier(&self, meta: &ObjectMeta) -> bool {
        meta.embedded.as_deref().is_some_and(|embedding| {
            let carrier = &embedding.carrier;
            self.kind == carrier.kind.as_str()
                && self.name == carrier.name.as_str()
                && self.namespace.as_deref() == carrier.namespace.as_deref()
        })
    }
}

impl AcceptedSubject {
    /// Reports whether it is this subject.
    pub fn is(&self, subject: &Subject) -> bool {
        self.is_impersonator(&Impersonator::of_subject(subject))
    }

    /// Reports whether it is this impersonator.
    pub fn is_impersonator(&self, impersonator: &Impersonator) -> bool {
        self.kind == impersonator.kind.as_str()
            && self.name == impersonator.name.as_str()
            && self.namespace.as_deref() == impersonator.namespace.as_deref()
    }
}
