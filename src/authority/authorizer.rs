//! The RBAC authorizer over an inventory (`plugin/pkg/auth/authorizer/rbac/rbac.go`, `VisitRulesFor` in
//! `pkg/registry/rbac/validation/rule.go`), indexed by subject and scope.

use smallvec::SmallVec;

use super::compiled::{Object, Rules, Table, VerbNumber};
use super::identity::service_account_username;
use super::{Attributes, IdentityKind, Mode, SYSTEM_MASTERS};
use crate::inventory::{BindingId, Inventory, Links, ObjectKind, RoleId, RoleRules, Subject, SubjectKind};

/// Answers what RBAC allows.
///
/// Where an object has several definitions, all count; whoever needs one world sees to it before.
#[derive(Debug)]
pub struct Authorizer<'i> {
    inventory: &'i Inventory,
    rules: Rules<'i>,
    users: Table<String, Holdings>,
    groups: Table<&'i str, Holdings>,
    namespaces: Table<&'i str, u32>,
    identity_verbs: [VerbNumber; Mode::ALL.len()],
}

/// What one subject holds.
#[derive(Debug, Default)]
struct Holdings {
    cluster: Vec<Held>,
    /// By the number of the namespace, sorted.
    namespaces: Vec<(u32, Held)>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    role: RoleId,
    binding: BindingId,
    subject: usize,
}

/// Why a request is allowed (`RuleAllows`, or the superuser authorizer of `authorizerfactory`).
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

/// A user as the authorizer sees one: all that the name and the groups hold.
pub(super) struct UserHoldings<'a> {
    superuser: bool,
    holdings: SmallVec<[&'a Holdings; 8]>,
}

/// What a question is about, looked up once for all users and verbs.
pub(super) struct Question<'a> {
    object: Object<'a>,
    namespace: Option<u32>,
}

impl<'i> Authorizer<'i> {
    /// Indexes the bindings of an inventory.
    pub fn new(inventory: &'i Inventory, rules: &'i RoleRules, links: &Links) -> Self {
        let rules = Rules::new(inventory, rules);
        let identity_verbs = Mode::ALL.map(|mode| rules.verb(mode.identity_verb()));
        let mut this = Self {
            inventory,
            rules,
            users: Table::default(),
            groups: Table::default(),
            namespaces: Table::default(),
            identity_verbs,
        };
        for (role, _) in inventory.role_ids() {
            for &binding in links.bindings_of(role).iter() {
                this.add(role, binding);
            }
        }
        let sort = |holdings: &mut Holdings| holdings.namespaces.sort_by_key(|(namespace, _)| *namespace);
        this.users.values_mut().for_each(sort);
        this.groups.values_mut().for_each(sort);
        this
    }

    fn add(&mut self, role: RoleId, id: BindingId) {
        let binding = self.inventory.binding(id);
        let namespace = binding.meta.effective_namespace().map(|namespace| {
            let next = self.namespaces.len() as u32;
            *self.namespaces.entry(namespace).or_insert(next)
        });
        for (subject, who) in binding.subjects.iter().enumerate() {
            let Some(holdings) = self.holdings_mut(who) else { continue };
            let held = Held { role, binding: id, subject };
            match namespace {
                Some(namespace) => holdings.namespaces.push((namespace, held)),
                None => holdings.cluster.push(held),
            }
        }
    }

    /// `appliesToUser`: users and groups by name, service accounts by the username they have. The subject's apiGroup
    /// is not looked at.
    fn holdings_mut(&mut self, subject: &'i Subject) -> Option<&mut Holdings> {
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

    /// The reason for which a user may make the request; none if nothing allows it.
    pub fn authorize(&self, name: &str, groups: &[impl AsRef<str>], request: &Attributes<'_>) -> Option<Witness> {
        self.ask(&self.holdings_of(name, groups), self.rules.verb(request.verb), &self.question(*request))
    }

    /// The inventory that is asked.
    pub fn inventory(&self) -> &'i Inventory {
        self.inventory
    }

    pub(super) fn holdings_of(&self, name: &str, groups: &[impl AsRef<str>]) -> UserHoldings<'_> {
        let of_groups = groups.iter().filter_map(|group| self.groups.get(group.as_ref()));
        UserHoldings {
            superuser: groups.iter().any(|group| group.as_ref() == SYSTEM_MASTERS),
            holdings: self.users.get(name).into_iter().chain(of_groups).collect(),
        }
    }

    pub(super) fn question<'a>(&self, attributes: Attributes<'a>) -> Question<'a> {
        Question { object: self.rules.object(attributes), namespace: self.namespace(attributes.namespace) }
    }

    /// The same, for an identity without a subresource.
    pub(super) fn identity_question<'a>(&self, kind: IdentityKind, attributes: Attributes<'a>) -> Question<'a> {
        Question { object: self.rules.identity(kind, attributes), namespace: self.namespace(attributes.namespace) }
    }

    /// A request without a namespace, for a URL too, is not shown to RoleBindings.
    fn namespace(&self, namespace: &str) -> Option<u32> {
        if namespace.is_empty() { None } else { self.namespaces.get(namespace).copied() }
    }

    pub(super) fn verb(&self, verb: &str) -> VerbNumber {
        self.rules.verb(verb)
    }

    pub(super) fn identity_verb(&self, mode: Mode) -> VerbNumber {
        self.identity_verbs[mode as usize]
    }

    pub(super) fn action_verbs(&self, verb: &str) -> [VerbNumber; Mode::CONSTRAINED.len()] {
        self.rules.action_verbs(verb)
    }

    pub(super) fn ask(&self, who: &UserHoldings<'_>, verb: VerbNumber, question: &Question<'_>) -> Option<Witness> {
        if who.superuser {
            return Some(Witness::Superuser);
        }
        let first = |held: &Held| {
            let (role, rule) = self.rules.first(held.role, verb, &question.object)?;
            Some(Witness::Rule { binding: held.binding, subject: held.subject, role, rule })
        };
        let cluster = || who.holdings.iter().find_map(|holdings| holdings.cluster.iter().find_map(first));
        let namespaced = || {
            let namespace = question.namespace?;
            who.holdings.iter().find_map(|holdings| {
                let start = holdings.namespaces.partition_point(|(known, _)| *known < namespace);
                let here = holdings.namespaces.iter().skip(start).take_while(|(known, _)| *known == namespace);
                here.map(|(_, held)| held).find_map(first)
            })
        };
        cluster().or_else(namespaced)
    }
}

/// Whether a binding could ever apply to someone through this subject (`appliesToUser`). A ClusterRoleBinding's service account without
/// a namespace and a kind that RBAC does not know match nobody.
pub fn subject_matches_someone(subject: &Subject) -> bool {
    match subject.kind {
        SubjectKind::User | SubjectKind::Group => true,
        SubjectKind::ServiceAccount => subject.namespace.is_some(),
        SubjectKind::Unknown(_) => false,
    }
}

/// Whether a binding of this kind is consulted for requests without a namespace (`VisitRulesFor`).
pub fn binds_cluster_wide(kind: ObjectKind) -> bool {
    kind == ObjectKind::ClusterRoleBinding
}
