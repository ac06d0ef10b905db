//! Who else than the API server's impersonation may look at what is dead to it.
//!
//! Some programs ask for the literal verb, with questions of their own (`docs/literal-verb.md`). And whoever writes roles
//! or bindings must hold all that is in them, word by word, dead or not (`pkg/registry/rbac/escalation_check.go`). Where
//! the input shows such a one, taking away what is dead is no longer safe.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use smol_str::SmolStr;

use crate::authority::{
    AGGREGATE_TO_DEFAULT, Memberships, Mode, Principal, Verb, allows_everything, group_matches, resource_matches,
    verb_matches,
};
use crate::grants::Grants;
use crate::inventory::{ObjectKind, ObjectMeta, PolicyRule, RoleId};
use crate::lint::{Fix, Mend};
use crate::migrate::{LITERAL_USERS, Who, Why, recognise, words_of};

/// How many pairs of holders and writers are compared for one role.
const MAX_PAIRS: usize = 1_000_000;

/// Who else there is in the input.
pub(super) struct Bystanders<'g, 'i> {
    grants: &'g Grants<'i>,
    /// Whether some program asks for the literal verb of its clients, who may be anyone.
    asker: OnceCell<bool>,
    /// Who may write roles or bindings without being allowed everything.
    writers: OnceCell<BTreeSet<Principal>>,
    /// The roles that patches change.
    patched: OnceCell<HashSet<(ObjectKind, SmolStr)>>,
    /// Whether those who hold a role may look at it literally.
    known: HashMap<RoleId, bool>,
}

impl<'g, 'i> Bystanders<'g, 'i> {
    pub(super) fn new(grants: &'g Grants<'i>) -> Self {
        Self {
            grants,
            asker: OnceCell::new(),
            writers: OnceCell::new(),
            patched: OnceCell::new(),
            known: HashMap::new(),
        }
    }

    /// How safe a mend of a rule is, all things considered.
    pub(super) fn weigh(&mut self, role: RoleId, index: usize, mend: &Mend) -> Fix {
        if mend.safety == Fix::Safe && self.is_patched(role) {
            return Fix::Unsafe;
        }
        if mend.safety != Fix::Safe || !mend.is_dead {
            return mend.safety;
        }
        let rule = self.grants.inventory().role(role).rules.get(index);
        let is_literal = |rule: &PolicyRule| {
            rule.verbs.iter().any(|verb| Verb::parse(verb.as_str()) == Verb::Identity(Mode::Legacy))
        };
        let is_asked = rule.is_some_and(is_literal) && (*self.asker.get_or_init(|| has_asker(self.grants)));
        if is_asked || self.is_looked_at(role) { Fix::Unsafe } else { Fix::Safe }
    }

    fn is_looked_at(&mut self, role: RoleId) -> bool {
        if let Some(known) = self.known.get(&role) {
            return *known;
        }
        let is = self.flows_into_a_default_role(role) || self.is_granted_on(role);
        self.known.insert(role, is);
        is
    }

    /// A patch may count the rules of the role that it changes.
    fn is_patched(&self, role: RoleId) -> bool {
        let inventory = self.grants.inventory();
        let known = |meta: &ObjectMeta| (meta.kind, meta.name.value.clone());
        let is_patch = |meta: &&ObjectMeta| meta.is_patch();
        let patches = || inventory.roles.iter().map(|role| &role.meta).filter(is_patch).map(known).collect();
        self.patched.get_or_init(patches).contains(&known(&inventory.role(role).meta))
    }

    /// Whoever holds `admin` may write roles, on every cluster.
    fn flows_into_a_default_role(&self, role: RoleId) -> bool {
        let meta = &self.grants.inventory().role(role).meta;
        let flows =
            |(key, value): &(_, _)| AsRef::<str>::as_ref(key).starts_with(AGGREGATE_TO_DEFAULT) && value == "true";
        meta.kind == ObjectKind::ClusterRole && meta.labels.iter().any(flows)
    }

    /// Whether someone who holds the role may write roles, or is known to need what is in it.
    fn is_granted_on(&self, role: RoleId) -> bool {
        let grants = self.grants;
        let inventory = grants.inventory();
        let mut metas: Vec<&ObjectMeta> = vec![&inventory.role(role).meta];
        let mut holders = BTreeSet::new();
        for holder in grants.holders(role) {
            metas.push(&inventory.role(holder.role).meta);
            metas.extend(holder.binding().map(|binding| &inventory.binding(binding).meta));
            holders.extend(grants.subject(&holder).and_then(Principal::of_subject));
        }
        let names = holders.iter().flat_map(Principal::words);
        if recognise(LITERAL_USERS, metas.into_iter().flat_map(words_of).chain(names)).is_some() {
            return true;
        }
        let writers = self.writers.get_or_init(|| writers(grants));
        let memberships = Memberships::default();
        let is_writer = |holder| writers.iter().any(|writer| memberships.may_be_one(holder, writer));
        let overlap = || holders.iter().any(is_writer);
        holders.len().saturating_mul(writers.len()) > MAX_PAIRS || overlap()
    }
}

/// Whether a program is there that asks for the literal verb of its clients.
fn has_asker(grants: &Grants<'_>) -> bool {
    let inventory = grants.inventory();
    let metas = inventory.roles.iter().map(|role| &role.meta);
    let metas = metas.chain(inventory.bindings.iter().map(|binding| &binding.meta));
    let subjects = inventory.bindings.iter().flat_map(|binding| &binding.subjects);
    let names = subjects.flat_map(|subject| {
        let namespace = subject.namespace.iter().map(|namespace| namespace.as_str());
        std::iter::once(subject.name.as_str()).chain(namespace)
    });
    let mut words = metas.flat_map(words_of).chain(names);
    words.any(|word| {
        recognise(LITERAL_USERS, std::iter::once(word))
            .is_some_and(|user| user.why == Why::AsksForIt && user.who != Who::Itself)
    })
}

fn writers(grants: &Grants<'_>) -> BTreeSet<Principal> {
    let inventory = grants.inventory();
    let mut writers = BTreeSet::new();
    for (role, _) in inventory.role_ids() {
        if grants.rules_of(role).any(|(_, rule)| writes_roles(rule)) {
            let holders = grants.holders(role).into_iter().filter(|holder| grants.is_held(holder));
            writers.extend(holders.filter_map(|holder| Principal::of_subject(grants.subject(&holder)?)));
        }
    }
    for (binding, _) in grants.bindings_to_default_roles() {
        let binding = inventory.binding(*binding);
        if binding.role_ref.name.as_str() == "admin" {
            writers.extend(binding.subjects.iter().filter_map(Principal::of_subject));
        }
    }
    writers
}

/// Whether a rule allows to write roles or bindings, but not everything, which covers whatever may be in them.
fn writes_roles(rule: &PolicyRule) -> bool {
    let kinds = [ObjectKind::ClusterRole, ObjectKind::Role, ObjectKind::ClusterRoleBinding, ObjectKind::RoleBinding];
    ["create", "update", "patch"].into_iter().any(|verb| verb_matches(rule, verb))
        && group_matches(rule, "rbac.authorization.k8s.io")
        && kinds.into_iter().any(|kind| resource_matches(rule, kind.resource(), ""))
        && !allows_everything(rule)
}
