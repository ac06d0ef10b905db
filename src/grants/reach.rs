//! Who can become cluster-admin, in how many steps.
//!
//! A step is to impersonate someone by a legacy grant, or to take the credentials of a service account. The API server
//! impersonates once a request, so that whoever is impersonated cannot impersonate in turn; whoever holds credentials
//! can. Constrained grants allow the actions that they list and no others, and are not followed. Neither are ways that
//! lead past impersonation (`escalate`, `bind`, writing to nodes): what is found here is the least that can be done.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::hash::Hash;

use foldhash::fast::RandomState;
use smol_str::SmolStr;

use super::{Grants, grants_of_rule};
use crate::authority::{
    CredentialSource, IdentityKind, Mode, Principal, SYSTEM_AUTHENTICATED, SYSTEM_MASTERS, allows_everything,
    credential_sources, namespace_of_accounts,
};
use crate::inventory::{BindingId, PolicyRule, RoleId, Text};

/// How many times a rule in a binding's hands, or a name in it, is followed: input is hostile, and a role that names very
/// many may be bound very often.
const MAX_OFFERS: usize = 1_000_000;
/// What a step costs; more than all differences between kinds of steps on one way.
const STEP: u64 = 1 << 32;

/// How one becomes someone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// By legacy impersonation.
    Impersonate,
    /// By a token that one creates for a service account.
    Token,
    /// By something of this resource that one creates, and that runs as a service account.
    Workload(&'static str),
}

impl Means {
    /// `impersonates`, before the name of whom.
    pub fn in_words(self) -> Cow<'static, str> {
        match self {
            Self::Impersonate => Cow::Borrowed("impersonates"),
            Self::Token => Cow::Borrowed("creates a token for"),
            Self::Workload(resource) => Cow::Owned(format!("runs {resource} as")),
        }
    }
}

/// What gives the means: a rule in someone's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// The binding by which it is held.
    pub binding: BindingId,
    /// The role in which the rule is written, and the rule's index there; none for a default role that the input does
    /// not define.
    pub rule: Option<(RoleId, usize)>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How.
    pub means: Means,
    /// Whom one is then.
    pub to: Principal,
    /// By which rule and binding.
    pub source: Source,
}

/// What makes one cluster-admin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Membership of `system:masters`.
    Masters,
    /// A rule `*/*/*` that holds in the whole cluster.
    Everything(Source),
}

/// The shortest way to all power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// Who goes it.
    pub from: Principal,
    /// The steps; none for whoever is cluster-admin already.
    pub steps: Vec<Step>,
    /// What is at its end.
    pub power: Power,
}

/// The shortest ways of all subjects of an input.
#[derive(Debug)]
pub struct Reach {
    /// Everyone whom a binding names, sorted.
    subjects: Vec<Principal>,
    nodes: HashMap<Node, u32, RandomState>,
    named: Vec<Node>,
    /// The next node on the shortest way from each node, and what leads there.
    next: Vec<Option<(u32, Option<Label>)>>,
    complete: bool,
}

/// A state in which someone can be.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    /// All power.
    Power,
    /// Has the credentials of.
    Owns(Principal),
    /// Acts as, for a request.
    Is(Principal),
    /// Uses what bindings give to this name.
    Uses(Use, Principal),
    /// Uses what this binding gives.
    Holds(Use, BindingId, Option<RoleId>),
    /// Can be one of these.
    OneOf(Crowd),
    /// Can have the credentials of one of these.
    OwnsOneOf(Crowd),
}

/// What is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Use {
    /// Power, and what gives credentials: whoever acts as someone can use it.
    Act,
    /// Impersonation of users and service accounts: whoever has credentials can use it.
    Impersonate,
    /// Impersonation of groups: whoever can impersonate someone beside can use it.
    ImpersonateGroups,
}

/// Many identities at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Crowd {
    Users,
    Groups,
    ServiceAccounts,
    Namespace(SmolStr),
    /// Service accounts of this name, in any namespace.
    Named(SmolStr),
}

/// What leads from a node to another; a step if there are means.
#[derive(Debug, Clone, Copy)]
struct Label {
    means: Option<Means>,
    source: Source,
}

/// What a rule contributes.
#[derive(Debug, Clone, Copy)]
enum Facet<'i> {
    Power,
    Be(IdentityKind, Option<&'i [Text]>),
    Credentials(CredentialSource<'i>),
}

impl Facet<'_> {
    fn used_by(self) -> Use {
        match self {
            Self::Power | Self::Credentials(_) => Use::Act,
            Self::Be(IdentityKind::Groups, _) => Use::ImpersonateGroups,
            Self::Be(..) => Use::Impersonate,
        }
    }
}

fn facets(rule: &PolicyRule) -> Vec<Facet<'_>> {
    let names = (!rule.resource_names.is_empty()).then_some(rule.resource_names.as_slice());
    let legacy = grants_of_rule(rule).into_iter().filter(|grant| grant.mode == Some(Mode::Legacy));
    let be = legacy.filter(|grant| grant.reason.is_none()).filter_map(|grant| {
        let followed = [IdentityKind::Users, IdentityKind::Groups, IdentityKind::ServiceAccounts];
        let kind = grant.identity.kind.filter(|kind| followed.contains(kind))?;
        Some(Facet::Be(kind, names))
    });
    let power = allows_everything(rule).then_some(Facet::Power);
    power.into_iter().chain(be).chain(credential_sources(rule).map(Facet::Credentials)).collect()
}

impl Path {
    /// Whether impersonation has a part in it.
    pub fn impersonates(&self) -> bool {
        self.steps.iter().any(|step| step.means == Means::Impersonate)
    }
}

impl Reach {
    /// Searches backwards from all power.
    pub(super) fn new(grants: &Grants<'_>) -> Self {
        let inventory = grants.inventory();
        let subjects = inventory.bindings.iter().flat_map(|binding| &binding.subjects);
        let subjects: BTreeSet<Principal> = subjects.filter_map(Principal::of_subject).collect();
        let mut graph = Graph { subjects, ..Graph::default() };
        // The search starts there.
        graph.node(Node::Power);
        for id in 0..inventory.roles.len() {
            let id = RoleId(id);
            let bindings = grants.links().bindings_of(id);
            if bindings.is_empty() {
                continue;
            }
            let rules = grants.rules().of(inventory, id);
            let facets: Vec<(Option<(RoleId, usize)>, Facet<'_>)> = rules
                .flat_map(|rule| facets(rule.rule).into_iter().map(move |facet| (Some((rule.from, rule.index)), facet)))
                .collect();
            for binding in bindings {
                graph.bind(grants, *binding, Some(id), &facets);
            }
        }
        for (binding, rules) in grants.bindings_to_default_roles() {
            let facets: Vec<_> =
                rules.iter().flat_map(|rule| facets(rule).into_iter().map(|facet| (None, facet))).collect();
            graph.bind(grants, *binding, None, &facets);
        }
        let subjects = std::mem::take(&mut graph.subjects);
        let mut others = std::mem::take(&mut graph.mentioned);
        others.insert(Principal::Group(SYSTEM_MASTERS.into()));
        others.insert(Principal::SomeServiceAccount(None));
        others.extend(subjects.iter().filter_map(|subject| match subject {
            Principal::Group(group) => Some(Principal::SomeServiceAccount(Some(namespace_of_accounts(group)?.into()))),
            _ => None,
        }));
        for person in subjects.union(&others) {
            graph.person(person);
        }
        let next = graph.search();
        Self {
            subjects: subjects.into_iter().collect(),
            complete: graph.offers < MAX_OFFERS,
            nodes: graph.nodes,
            named: graph.named,
            next,
        }
    }

    /// Whether everything was followed. Hostile input may have more than can be; what was found is true all the same.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Everyone whom a binding names, sorted.
    pub fn subjects(&self) -> &[Principal] {
        &self.subjects
    }

    /// The shortest way of someone, who has credentials; none if the input shows none.
    pub fn path(&self, from: &Principal) -> Option<Path> {
        let at = *self.nodes.get(&Node::Owns(from.clone()))?;
        let (steps, power) = self.walk(at, None)?;
        Some(Path { from: from.clone(), steps, power })
    }

    /// The shortest way of someone who impersonates any of these, or any identity of the kind: `source` says by which rule
    /// and binding, `namespace` where these are service accounts, if not everywhere.
    pub fn path_through(
        &self,
        from: &Principal,
        kind: IdentityKind,
        names: Option<&[Text]>,
        namespace: Option<&str>,
        source: Source,
    ) -> Option<Path> {
        let is_group = kind == IdentityKind::Groups;
        let node_of = |name: Option<&SmolStr>| match (kind, name, namespace) {
            (IdentityKind::Users, Some(name), _) => Some(Node::Is(Principal::User(name.clone()))),
            (IdentityKind::Groups, Some(name), _) => Some(Node::Is(Principal::Group(name.clone()))),
            (IdentityKind::Users | IdentityKind::Groups, None, _) => {
                Some(Node::OneOf(if is_group { Crowd::Groups } else { Crowd::Users }))
            }
            (IdentityKind::ServiceAccounts, Some(name), Some(namespace)) => {
                Some(Node::Is(Principal::ServiceAccount { namespace: namespace.into(), name: name.clone() }))
            }
            (IdentityKind::ServiceAccounts, Some(name), None) => Some(Node::OneOf(Crowd::Named(name.clone()))),
            (IdentityKind::ServiceAccounts, None, Some(namespace)) => {
                Some(Node::OneOf(Crowd::Namespace(namespace.into())))
            }
            (IdentityKind::ServiceAccounts, None, None) => Some(Node::OneOf(Crowd::ServiceAccounts)),
            _ => None,
        };
        let names = names.map_or_else(|| vec![None], |names| names.iter().map(|name| Some(&name.value)).collect());
        let ways = names.into_iter().filter_map(|name| {
            let at = *self.nodes.get(&node_of(name)?)?;
            self.walk(at, Some((Means::Impersonate, source)))
        });
        let (steps, power) = ways.min_by_key(|(steps, _)| steps.len())?;
        Some(Path { from: from.clone(), steps, power })
    }

    /// Follows the shortest way from a node; `taken` is what led there.
    fn walk(&self, mut at: u32, mut taken: Option<(Means, Source)>) -> Option<(Vec<Step>, Power)> {
        let (mut steps, mut power) = (Vec::new(), Power::Masters);
        loop {
            // Behind a step stand those whom it may lead to; the one whom it does lead to is the first that is somebody.
            if let Some(Node::Is(to) | Node::Owns(to)) = self.named.get(at as usize)
                && let Some((means, source)) = taken.take()
            {
                steps.push(Step { means, to: to.clone(), source });
            }
            if at == 0 {
                return Some((steps, power));
            }
            let (next, label) = self.next.get(at as usize).copied().flatten()?;
            match label {
                Some(Label { means: Some(means), source }) => taken = Some((means, source)),
                Some(Label { means: None, source }) => power = Power::Everything(source),
                None => {}
            }
            at = next;
        }
    }

    /// The ways of all subjects that have one, those of whoever is cluster-admin already included, in the order of the
    /// subjects.
    pub fn paths(&self) -> impl Iterator<Item = Path> {
        self.subjects.iter().filter_map(|subject| self.path(subject))
    }
}

/// The states, and for each those from which it is reached.
#[derive(Debug, Default)]
struct Graph {
    /// Everyone whom a binding names.
    subjects: BTreeSet<Principal>,
    nodes: HashMap<Node, u32, RandomState>,
    named: Vec<Node>,
    into: Vec<Vec<(u32, Option<Label>)>>,
    offers: usize,
    /// Service accounts that rules name, and that hold something.
    mentioned: BTreeSet<Principal>,
}

impl Graph {
    fn node(&mut self, node: Node) -> u32 {
        if let Some(known) = self.nodes.get(&node) {
            return *known;
        }
        let id = self.named.len() as u32;
        self.nodes.insert(node.clone(), id);
        self.named.push(node);
        self.into.push(Vec::new());
        id
    }

    fn edge(&mut self, from: Node, to: Node, label: Option<Label>) {
        let (from, to) = (self.node(from), self.node(to));
        self.into[to as usize].push((from, label));
    }

    /// Whether a binding names the principal, or a group of service accounts in which it is.
    fn holds_something(&self, who: &Principal) -> bool {
        let is_own = |name: &Principal| !matches!(name, Principal::Group(group) if group == SYSTEM_AUTHENTICATED);
        who.names().iter().any(|name| is_own(name) && self.subjects.contains(name))
    }

    /// What a binding gives to its subjects.
    fn bind(
        &mut self,
        grants: &Grants<'_>,
        id: BindingId,
        role: Option<RoleId>,
        facets: &[(Option<(RoleId, usize)>, Facet<'_>)],
    ) {
        let binding = grants.inventory().binding(id);
        let namespace = binding.meta.effective_namespace();
        let mut used = Vec::new();
        for (rule, facet) in facets {
            let is_namespaced = match facet {
                Facet::Power => false,
                Facet::Be(kind, _) => kind.is_namespaced(),
                Facet::Credentials(_) => true,
            };
            if namespace.is_some() && !is_namespaced {
                continue;
            }
            let kind = facet.used_by();
            if !used.contains(&kind) {
                used.push(kind);
            }
            self.offer(Node::Holds(kind, id, role), *facet, namespace, Source { binding: id, rule: *rule });
        }
        for subject in binding.subjects.iter().filter_map(Principal::of_subject) {
            for kind in &used {
                self.edge(Node::Uses(*kind, subject.clone()), Node::Holds(*kind, id, role), None);
            }
        }
    }

    /// One more thing that a rule gives; false if there are too many.
    fn may_offer(&mut self) -> bool {
        self.offers += 1;
        self.offers < MAX_OFFERS
    }

    /// Where a facet leads.
    fn offer(&mut self, from: Node, facet: Facet<'_>, namespace: Option<&str>, source: Source) {
        if !self.may_offer() {
            return;
        }
        let label = |means| Some(Label { means, source });
        let accounts = |graph: &mut Self, names: Option<&[Text]>, means, one_of: fn(Crowd) -> Node| {
            let Some(names) = names else {
                let crowd = namespace.map_or(Crowd::ServiceAccounts, |namespace| Crowd::Namespace(namespace.into()));
                graph.edge(from.clone(), one_of(crowd), label(Some(means)));
                return;
            };
            for name in names {
                if !graph.may_offer() {
                    break;
                }
                let Some(namespace) = namespace else {
                    graph.edge(from.clone(), one_of(Crowd::Named(name.value.clone())), label(Some(means)));
                    continue;
                };
                let who = Principal::ServiceAccount { namespace: namespace.into(), name: name.value.clone() };
                if !graph.holds_something(&who) {
                    continue;
                }
                let to = if means == Means::Impersonate { Node::Is(who.clone()) } else { Node::Owns(who.clone()) };
                graph.edge(from.clone(), to, label(Some(means)));
                graph.mentioned.insert(who);
            }
        };
        match facet {
            Facet::Power => self.edge(from, Node::Power, label(None)),
            Facet::Be(IdentityKind::ServiceAccounts, names) => accounts(self, names, Means::Impersonate, Node::OneOf),
            Facet::Credentials(CredentialSource::Token(names)) => accounts(self, names, Means::Token, Node::OwnsOneOf),
            Facet::Credentials(CredentialSource::Workload(resource)) => {
                accounts(self, None, Means::Workload(resource), Node::OwnsOneOf);
            }
            Facet::Be(kind, names) => {
                let is_group = kind == IdentityKind::Groups;
                let Some(names) = names else {
                    let crowd = if is_group { Crowd::Groups } else { Crowd::Users };
                    return self.edge(from, Node::OneOf(crowd), label(Some(Means::Impersonate)));
                };
                for name in names {
                    if !self.may_offer() {
                        break;
                    }
                    let name = name.value.clone();
                    let to = if is_group { Principal::Group(name) } else { Principal::User(name) };
                    self.edge(from.clone(), Node::Is(to), label(Some(Means::Impersonate)));
                }
            }
        }
    }

    /// What someone can use, and the crowds to which one belongs.
    fn person(&mut self, who: &Principal) {
        let (is, owns) = (Node::Is(who.clone()), Node::Owns(who.clone()));
        let names = who.names();
        // A group is impersonated beside a user, never alone.
        let can_be_someone =
            names.iter().any(|name| self.nodes.contains_key(&Node::Uses(Use::Impersonate, name.clone())));
        let mut ways = Vec::new();
        for name in names {
            ways.push((&is, Node::Uses(Use::Act, name.clone())));
            if can_be_someone {
                ways.push((&owns, Node::Uses(Use::ImpersonateGroups, name.clone())));
            }
            ways.push((&owns, Node::Uses(Use::Impersonate, name)));
        }
        // What no binding gives leads nowhere, and most subjects hold nothing of interest: there may be very many.
        ways.retain(|(_, uses)| self.nodes.contains_key(uses));
        let is_masters = who.is_superuser();
        if ways.is_empty() && !is_masters {
            return;
        }
        self.edge(owns.clone(), is.clone(), None);
        if is_masters {
            self.edge(is.clone(), Node::Power, None);
        }
        for (from, uses) in ways {
            self.edge(from.clone(), uses, None);
        }
        let crowds = match who {
            Principal::User(_) => vec![Crowd::Users],
            Principal::Group(_) => vec![Crowd::Groups],
            Principal::ServiceAccount { namespace, name } => {
                vec![Crowd::ServiceAccounts, Crowd::Namespace(namespace.clone()), Crowd::Named(name.clone())]
            }
            Principal::SomeServiceAccount(Some(namespace)) => {
                vec![Crowd::ServiceAccounts, Crowd::Namespace(namespace.clone())]
            }
            Principal::SomeServiceAccount(None) => vec![Crowd::ServiceAccounts],
        };
        for crowd in crowds {
            self.edge(Node::OneOf(crowd.clone()), is.clone(), None);
            self.edge(Node::OwnsOneOf(crowd), owns.clone(), None);
        }
    }

    /// The next node on the shortest way from each node to node 0. Steps count, the rest is free; of ways that are as
    /// long, the one with more impersonation in it is taken.
    fn search(&self) -> Vec<Option<(u32, Option<Label>)>> {
        let mut next: Vec<Option<(u32, Option<Label>)>> = vec![None; self.into.len()];
        let mut costs: Vec<u64> = vec![u64::MAX; self.into.len()];
        costs[0] = 0;
        let mut open = BinaryHeap::from([Reverse((0u64, 0u32))]);
        while let Some(Reverse((cost, at))) = open.pop() {
            if cost > costs[at as usize] {
                continue;
            }
            for (from, label) in &self.into[at as usize] {
                let of_step = match label.and_then(|label| label.means) {
                    None => 0,
                    Some(Means::Impersonate) => STEP,
                    Some(_) => STEP + 1,
                };
                if cost + of_step < costs[*from as usize] {
                    costs[*from as usize] = cost + of_step;
                    next[*from as usize] = Some((at, *label));
                    open.push(Reverse((cost + of_step, *from)));
                }
            }
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::load_bytes;

    /// The ways of an input, a line each.
    fn ways(manifests: &str) -> Vec<String> {
        let inventory = load_bytes("t.yaml", manifests.as_bytes());
        assert_eq!(inventory.problems, []);
        let grants = Grants::new(&inventory);
        let reach = Reach::new(&grants);
        assert!(reach.is_complete());
        let show = |path: Path| {
            let steps = path.steps.iter().map(|step| format!(" -{:?}-> {}", step.means, step.to.describe()));
            let power = match path.power {
                Power::Masters => "masters".to_owned(),
                Power::Everything(source) => inventory.binding(source.binding).meta.name.value.to_string(),
            };
            format!("{}{} = {power}", path.from.describe(), steps.collect::<String>())
        };
        reach.paths().map(show).collect()
    }

    fn role(name: &str, rules: &str) -> String {
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules: [{rules}]\n"
        )
    }

    fn rule(verbs: &str, resources: &str, names: &str) -> String {
        format!("{{verbs: [{verbs}], apiGroups: [''], resources: [{resources}], resourceNames: [{names}]}}")
    }

    /// A binding of a role to `User a`, `Group b` or `ServiceAccount ns/c`, in a namespace or everywhere.
    fn bind(role: &str, subject: &str, namespace: &str) -> String {
        let (kind, name) = subject.split_once(' ').unwrap();
        let subject = match name.split_once('/') {
            Some((namespace, name)) if kind == "ServiceAccount" => {
                format!("{{kind: {kind}, name: '{name}', namespace: {namespace}}}")
            }
            _ => format!("{{kind: {kind}, name: '{name}'}}"),
        };
        let (kind, namespace) = match namespace {
            "" => ("ClusterRoleBinding", String::new()),
            namespace => ("RoleBinding", format!(", namespace: {namespace}")),
        };
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {role}{namespace}}}\n\
             roleRef: {{kind: ClusterRole, name: {role}}}\nsubjects: [{subject}]\n"
        )
    }

    #[test]
    fn whoever_can_be_in_any_group_is_one_step_away() {
        let all =
            role("proxy", &rule("impersonate", "users, groups", "")) + &bind("proxy", "ServiceAccount a/proxy", "");
        assert_eq!(ways(&all), ["ServiceAccount \"a/proxy\" -Impersonate-> Group \"system:masters\" = masters"]);
        // A group is never impersonated alone.
        assert_eq!(ways(&all.replace("users, groups", "groups")), [""; 0]);
        // The user may come from another grant, and by a group that the server gives.
        let someone =
            role("user", &rule("impersonate", "users", "nobody")) + &bind("user", "Group system:authenticated", "");
        assert_eq!(ways(&(all.replace("users, groups", "groups") + &someone)).len(), 1);
    }

    #[test]
    fn whoever_is_bound_to_everything_is_there_already() {
        let all = role("root", "{verbs: ['*'], apiGroups: ['*'], resources: ['*']}")
            + &bind("root", "User alice", "")
            + &bind("cluster-admin", "User bob", "")
            + &bind("cluster-admin", "User carol", "stock")
            + &role("be-alice", &rule("impersonate", "users", "alice"))
            + &bind("be-alice", "User dave", "");
        assert_eq!(
            ways(&all),
            [
                "User \"alice\" = root",
                "User \"bob\" = cluster-admin",
                "User \"dave\" -Impersonate-> User \"alice\" = root",
            ]
        );
    }

    #[test]
    fn one_impersonates_once_unless_one_takes_credentials() {
        let chain = role("be-b", &rule("impersonate", "serviceaccounts", "b"))
            + &bind("be-b", "User alice", "shop")
            + &role("be-masters", &rule("impersonate", "users, groups", ""))
            + &bind("be-masters", "ServiceAccount shop/b", "");
        let b = "ServiceAccount \"shop/b\" -Impersonate-> Group \"system:masters\" = masters";
        assert_eq!(ways(&chain), [b]);
        // As b, alice creates a token for b.
        let token = role("tokens", &rule("create", "serviceaccounts/token", "b"))
            + &bind("tokens", "ServiceAccount shop/b", "shop");
        let taken = "User \"alice\" -Impersonate-> ServiceAccount \"shop/b\" -Token-> ServiceAccount \"shop/b\" -Impersonate-> \
                     Group \"system:masters\" = masters";
        assert_eq!(ways(&(chain.clone() + &token)), [taken, b]);
        // Where both are as short, it is impersonation that is shown.
        let both = role("both", &rule("create", "pods", ""))
            + &bind("both", "User alice", "shop")
            + &bind("cluster-admin", "ServiceAccount shop/b", "");
        assert_eq!(
            ways(&(chain.clone() + &both))[0],
            "User \"alice\" -Impersonate-> ServiceAccount \"shop/b\" = cluster-admin"
        );
        // Whoever may create pods beside b, has it at once.
        let pods = role("pods", &rule("create", "pods", "")) + &bind("pods", "User alice", "shop");
        let direct = "User \"alice\" -Workload(\"pods\")-> ServiceAccount \"shop/b\" -Impersonate-> Group \"system:masters\" = masters";
        assert_eq!(ways(&(chain.clone() + &pods)), [direct, b]);
        assert_eq!(ways(&(chain + &pods.replace("namespace: shop", "namespace: other"))), [b]);
    }

    #[test]
    fn default_roles_are_known_by_content() {
        let all = bind("edit", "Group devs", "shop")
            + &bind("cluster-admin", "ServiceAccount shop/gitops", "")
            + &bind("cluster-admin", "ServiceAccount m/other", "");
        let devs = "Group \"devs\" -Impersonate-> ServiceAccount \"shop/gitops\" = cluster-admin";
        assert!(ways(&all).contains(&devs.to_owned()), "{:?}", ways(&all));
        // A role of that name in the input is what it says.
        assert!(!ways(&(all + &role("edit", ""))).contains(&devs.to_owned()));
    }

    #[test]
    fn a_group_of_service_accounts_is_reached_through_any_of_them() {
        let all = role("be", &rule("impersonate", "serviceaccounts", ""))
            + &bind("be", "User alice", "shop")
            + &bind("cluster-admin", "Group system:serviceaccounts:shop", "");
        assert_eq!(
            ways(&all),
            [
                "User \"alice\" -Impersonate-> any service account of namespace \"shop\" = cluster-admin",
                "Group \"system:serviceaccounts:shop\" = cluster-admin",
            ]
        );
        assert_eq!(ways(&all.replace("namespace: shop", "namespace: m")).len(), 1);
    }
}
