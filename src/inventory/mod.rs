//! Documents to objects: the roles and bindings of the input, each scalar with its place.
//!
//! What is read here is what the API server would store. Fields of the wrong type are problems,
//! never guesses; nothing here judges what the rules mean (see [`crate::authority`]).

mod aggregate;
mod aside;
mod blocks;
mod charts;
mod cluster;
mod documents;
mod duplicates;
mod embedded;
mod embedding;
mod fields;
mod follow;
mod impersonation_count;
mod link;
mod load;
mod object;
mod openshift;
mod overlay;
mod read;
mod suppression;
mod template;
mod write;

pub(crate) use fields::{FieldReader, entries};
pub(crate) use read::{Placed, PlacedObjects, placed_objects};

pub use aggregate::{Contribution, RoleRules};
pub use aside::Aside;
pub use cluster::{ClusterFacts, NotRead, Server};
pub use documents::{Document, documents};
pub use duplicates::{Conflict, Duplicates};
pub use embedded::{Mention, MentionReason};
pub use embedding::{Carrier, Embedding, Form};
pub use impersonation_count::{Attempts, ImpersonationCount};
pub use link::Links;
pub use load::{Coverage, LoadOptions, Unread, load, load_bytes, load_live};
pub use object::{
    API_VERSION, AggregationRule, Binding, LAST_APPLIED, LabelSelector, Object, ObjectKey, ObjectKind, ObjectMeta,
    PolicyRule, Requirement, Role, RoleKind, RoleRef, SelectorOperator, Subject, SubjectKind, Text, abbreviate,
};

pub use suppression::{Directive, IGNORE_ANNOTATION, Suppression};
pub use template::Templated;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::problem::Problem;

/// The namespace in which an object without one is evaluated: that in which `kubectl` puts it if it is told nothing else.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Index of a role in [`Inventory::roles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(pub usize);

/// Index of a binding in [`Inventory::bindings`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingId(pub usize);

/// All RBAC objects of an input, in the order of their places; those that stand in other objects behind all others.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Roles and ClusterRoles. Identical definitions of one object are one.
    pub roles: Vec<Role>,
    /// RoleBindings and ClusterRoleBindings, likewise.
    pub bindings: Vec<Binding>,
    /// The clusters whose snapshots were read, or that were read live. Mostly none, else one.
    pub clusters: Vec<ClusterFacts>,
    /// Whether all of it comes from a live cluster, so that places are places in a snapshot that nobody has.
    pub live: bool,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// What was read and what was not.
    pub coverage: Coverage,
    /// Comments that hide findings, in the order of their places.
    pub suppressions: Vec<Suppression>,
    /// The bytes of standard input and of pipes, by name, for whoever quotes them; they cannot be read twice.
    pub streams: BTreeMap<Arc<str>, Arc<[u8]>>,
    /// Roles that are bound, or aggregated, where that was left out.
    pub held_elsewhere: BTreeSet<RoleId>,
}

/// How many objects were left out because they stand apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Those in templates.
    pub templates: usize,
    /// Those in other objects.
    pub embedded: usize,
}

impl Inventory {
    /// Leaves out what stands apart from one world: objects in templates and in other objects, of which nobody knows
    /// whether they are, or will be, on a cluster. The ids of all others stay the same.
    pub fn leave_out_apart(&mut self) -> LeftOut {
        let metas = self.roles.iter().map(|role| &role.meta).chain(self.bindings.iter().map(|binding| &binding.meta));
        let mut left = LeftOut::default();
        for meta in metas.filter(|meta| meta.stands_apart()) {
            *(if meta.embedded.is_some() { &mut left.embedded } else { &mut left.templates }) += 1;
        }
        if self.bindings.iter().any(|binding| binding.meta.stands_apart()) {
            let (links, rules) = (Links::new(self), RoleRules::new(self));
            let is_held =
                |role: RoleId| links.bindings_of(role).iter().any(|binding| self.binding(*binding).meta.stands_apart());
            let held = self.role_ids().map(|(role, _)| role).filter(|role| is_held(*role));
            self.held_elsewhere = held.flat_map(|role| rules.contributors(role).iter().copied()).collect();
        }
        self.roles.retain(|role| !role.meta.stands_apart());
        self.bindings.retain(|binding| !binding.meta.stands_apart());
        left
    }

    /// The role behind an id.
    pub fn role(&self, id: RoleId) -> &Role {
        &self.roles[id.0]
    }

    /// The binding behind an id.
    pub fn binding(&self, id: BindingId) -> &Binding {
        &self.bindings[id.0]
    }

    /// The cluster that the input shows, if it is one.
    pub fn cluster(&self) -> Option<&ClusterFacts> {
        match self.clusters.as_slice() {
            [cluster] => Some(cluster),
            _ => None,
        }
    }

    /// Whether objects of a cluster are missing.
    pub fn is_incomplete(&self) -> bool {
        self.clusters.iter().any(ClusterFacts::is_incomplete)
    }

    /// All roles with their ids.
    pub fn role_ids(&self) -> impl Iterator<Item = (RoleId, &Role)> {
        self.roles.iter().enumerate().map(|(index, role)| (RoleId(index), role))
    }

    /// All bindings with their ids.
    pub fn binding_ids(&self) -> impl Iterator<Item = (BindingId, &Binding)> {
        self.bindings.iter().enumerate().map(|(index, binding)| (BindingId(index), binding))
    }
}
