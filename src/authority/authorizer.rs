//! The RBAC authorizer over an inventory (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `VisitRulesFor` in
//! `pkg/registry/rbac/validation/rule.go`), indexed by subject and scope.

use std::collections::HashMap;

use super::identity::service_account_username;
use super::{Attributes, SYSTEM_MASTERS, User, rbac};
use crate::inventory::{BindingId, Inventory, Links, ObjectKind, RoleId, RoleRules, Subject, SubjectKind};

/// Answers what RBAC allows.
///
/// Where an object has several definitions, all count; whoever needs one world sees to it before.
#[derive(Debug)]
pub struct Authorizer<'i> {
    inventory: &'i Inventory,
    rules: &'i RoleRules,
    users: HashMap<String, Holdings<'i>>,
    groups: HashMap<&'i str, Holdings<'i>>,
}

/// What one subject holds.
#[derive(Debug, Default)]
struct Holdings<'i> {
    cluster: Vec<Held>,
    namespaces: HashMap<&'i str, Vec<Held>>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    role: RoleId,
    binding: BindingId,
    subject: usize,
}

/// Why a request is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The user is in `system:masters`.
    Superuser,
    /// A rule, held through a binding.
    Rule {
        /// The binding.
        binding: BindingId,
        /// Index of the subject in it.
        subject: usize,
        /// The role in which the rule is written: the bound one or a contributor to it.
        role: RoleId,
        /// Index of the rule there.
        rule: usize,
    },
}

impl<'i> Authorizer<'i> {
    /// Indexes the bindings of an inventory.
    pub fn new(inventory: &'i Inventory, rules: &'i RoleRules, links: &Links) -> Self {
        let mut this = Self { inventory, rules, users: HashMap::new(), groups: HashMap::new() };
        for (role, _) in inventory.role_ids() {
            for &binding in links.bindings_of(role).iter() {
                this.add(role, binding);
            }
        }
        this
    }

    fn add(&mut self, role: RoleId, id: BindingId) {
        let binding = self.inventory.binding(id);
        for (subject, who) in binding.subjects.iter().enumerate() {
            let Some(holdings) = self.holdings_mut(who) else { continue };
            let held = Held { role, binding: id, subject };
            match binding.meta.effective_namespace() {
                Some(namespace) => holdings.namespaces.entry(namespace).or_default().push(held),
                None => holdings.cluster.push(held),
            }
        }
    }

    /// `appliesToUser`: users and groups by name, service accounts by the username they have. The subject's apiGroup
    /// is not looked at.
    fn holdings_mut(&mut self, subject: &'i Subject) -> Option<&mut Holdings<'i>> {
        let name = subject.name.as_str();
        match &subject.kind {
            SubjectKind::User => Some(self.users.entry(name.to_owned()).or_default()),
            SubjectKind::Group => Some(self.groups.entry(name).or_default()),
            SubjectKind::ServiceAccount => {
                let username = service_account_username(subject.namespace.as_deref()?, name);
                Some(self.users.entry(username).or_default())
            }
            SubjectKind::Unknown(_) => None,
        }
    }

    /// The reason for which the user may make the request; none if nothing allows it.
    pub fn authorize(&self, user: &User, request: &Attributes<'_>) -> Option<Witness> {
        if user.is_in(SYSTEM_MASTERS) {
            return Some(Witness::Superuser);
        }
        let holdings = || {
            let groups = user.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
            self.users.get(&user.name).into_iter().chain(groups)
        };
        holdings().find_map(|holdings| self.first(&holdings.cluster, request)).or_else(|| {
            // A request without a namespace, for a URL too, is not shown to RoleBindings.
            let namespace = Some(request.namespace).filter(|namespace| !namespace.is_empty())?;
            holdings().find_map(|holdings| self.first(holdings.namespaces.get(namespace)?, request))
        })
    }

    fn first(&self, held: &[Held], request: &Attributes<'_>) -> Option<Witness> {
        held.iter().find_map(|held| {
            let mut rules = self.rules.of(self.inventory, held.role);
            let found = rules.find(|contribution| rbac::allows(contribution.rule, request))?;
            Some(Witness::Rule { binding: held.binding, subject: held.subject, role: found.from, rule: found.index })
        })
    }

    /// The inventory that is asked.
    pub fn inventory(&self) -> &'i Inventory {
        self.inventory
    }
}

/// Whether a binding could ever apply to someone through this subject. A ClusterRoleBinding's service account without
/// a namespace and a kind that RBAC does not know match nobody.
pub fn subject_matches_someone(subject: &Subject) -> bool {
    match subject.kind {
        SubjectKind::User | SubjectKind::Group => true,
        SubjectKind::ServiceAccount => subject.namespace.is_some(),
        SubjectKind::Unknown(_) => false,
    }
}

/// Whether a binding of this kind is consulted for requests without a namespace.
pub fn binds_cluster_wide(kind: ObjectKind) -> bool {
    kind == ObjectKind::ClusterRoleBinding
}
