//! What becomes of each legacy grant.

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use super::existing::ExistingGrants;
use super::manifest::{Body, GeneratedRule, LABEL_MODE, Manifest};
use super::name::name_for;
use super::target::{Constrained, Target, constrained_form};
use crate::authority::{AUTHENTICATION_GROUP, Mode, Verb, allows_everything};
use crate::evidence::{ActionRule, DeclaredAction, DeclaredActions, Impersonator};
use crate::grants::{Entry, Grants, Holder, Identity, Reason, RuleGrant, Through, is_server_owned};
use crate::inventory::{Inventory, ObjectKind, PolicyRule, RoleId};

/// The paths that a client asks for before its first real request: those of the default role `system:discovery`
/// (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go`).
const DISCOVERY: [&str; 8] = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"];

/// How many places an annotation lists.
const MAX_LISTED: usize = 20;

/// What a migration does.
#[derive(Debug)]
pub struct Plan {
    /// Each legacy grant in someone's hands, in the order of the grants' places.
    pub grants: Vec<PlannedGrant>,
    /// What is added: roles first, so that each binding finds its role.
    pub manifests: Vec<Manifest>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One legacy grant in one subject's hands, and what becomes of it.
#[derive(Debug, Clone)]
pub struct PlannedGrant {
    /// The role in which the rule is written.
    pub from: RoleId,
    /// Index of the rule.
    pub rule: usize,
    /// What it grants.
    pub grant: RuleGrant,
    /// Who holds it.
    pub holder: Holder,
    /// What becomes of it.
    pub outcome: Outcome,
    /// The constrained modes that it gets.
    pub modes: Vec<Mode>,
    /// Indices of the manifests that replace it.
    pub replaced_by: Vec<usize>,
}

/// What becomes of a legacy grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Constrained grants take its place.
    Replaced,
    /// It is not needed: dead for the given reason, or unused by what the evidence says.
    Dropped(Option<Reason>),
    /// It stays.
    Kept(Kept),
}

/// Why a legacy grant stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// Nothing in the input binds it.
    Unbound,
    /// The API server owns it.
    ServerOwned,
    /// It comes from the verb `*`, which cannot be cut down to all but one.
    WildcardVerb,
    /// Some of it cannot be had in a constrained mode.
    NoConstrainedForm,
    /// More would be allowed than is: the mode that is asked for reaches more identities, or the impersonator holds
    /// others in it already, to which the actions would apply too.
    WouldWiden,
    /// Nothing says what the impersonator does.
    NoEvidence,
}

impl Kept {
    /// The reason as the plan has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::ServerOwned => "server-owned",
            Self::WildcardVerb => "wildcard-verb",
            Self::NoConstrainedForm => "no-constrained-form",
            Self::WouldWiden => "would-widen",
            Self::NoEvidence => "no-evidence",
        }
    }
}

/// Where rules of a generated role apply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// Everywhere: a ClusterRole and its ClusterRoleBinding.
    Cluster,
    /// One namespace, as written; none where the binding that is replaced has none.
    Namespace(Option<SmolStr>),
}

/// What one impersonator gets in one mode.
#[derive(Debug, Default)]
struct Granted {
    /// Identities by the scope in which they are granted.
    identities: BTreeSet<(Scope, Target)>,
    actions: BTreeSet<(Scope, ActionRule)>,
    /// The roles and bindings that it replaces, in words.
    replaces: BTreeSet<String>,
    files: BTreeSet<String>,
}

/// Plans the migration of all legacy grants with what the actions declare. Same input, same plan.
pub fn plan(grants: &Grants<'_>, declared: &DeclaredActions) -> Plan {
    let mut planner = Planner {
        grants,
        declared,
        used: vec![false; declared.actions.len()],
        granted: BTreeMap::new(),
        existing: ExistingGrants::new(grants),
        kept_parts: BTreeMap::new(),
    };
    let mut planned = Vec::new();
    for (from, index, rule, found) in grants.granting_rules() {
        let legacy: Vec<RuleGrant> = found.into_iter().filter(|grant| grant.mode == Some(Mode::Legacy)).collect();
        let holders = grants.holders(from);
        for entry in grants.entries(from, index, &legacy, &holders) {
            planned.push(planner.entry(rule, &entry));
        }
    }
    planned.sort_by_key(|planned| {
        let role = grants.inventory().role(planned.from);
        (&role.meta.path, role.rules[planned.rule].verbs[planned.grant.verb].place)
    });
    let warnings = planner.warnings();
    let (manifests, made) = manifests(grants.inventory(), planner.granted);
    for entry in &mut planned {
        let Some(impersonator) = grants.subject(&entry.holder).map(Impersonator::of_subject) else { continue };
        for mode in &entry.modes {
            entry.replaced_by.extend(made.get(&(impersonator.clone(), *mode)).into_iter().flatten());
        }
    }
    Plan { grants: planned, manifests, warnings }
}

struct Planner<'p> {
    grants: &'p Grants<'p>,
    declared: &'p DeclaredActions,
    /// Which declared entries applied to some grant.
    used: Vec<bool>,
    granted: BTreeMap<(Impersonator, Mode), Granted>,
    existing: ExistingGrants,
    /// Impersonators that keep something, and what it is.
    kept_parts: BTreeMap<Impersonator, BTreeSet<String>>,
}

impl Planner<'_> {
    fn entry(&mut self, rule: &PolicyRule, entry: &Entry<'_>) -> PlannedGrant {
        let (outcome, modes) = self.decide(rule, entry);
        PlannedGrant {
            from: entry.from,
            rule: entry.rule,
            grant: entry.grant.clone(),
            holder: entry.holder,
            outcome,
            modes,
            replaced_by: Vec::new(),
        }
    }

    fn decide(&mut self, rule: &PolicyRule, entry: &Entry<'_>) -> (Outcome, Vec<Mode>) {
        match entry.reason {
            // A role that nothing here binds may be bound elsewhere, unless its rule is dead by itself.
            Some(Reason::Unbound) => {
                let outcome =
                    entry.grant.reason.map_or(Outcome::Kept(Kept::Unbound), |dead| Outcome::Dropped(Some(dead)));
                return (outcome, Vec::new());
            }
            Some(dead) => return (Outcome::Dropped(Some(dead)), Vec::new()),
            None => {}
        }
        let Some(subject) = self.grants.subject(&entry.holder) else {
            return (Outcome::Kept(Kept::Unbound), Vec::new());
        };
        let impersonator = Impersonator::of_subject(subject);
        let role = self.grants.inventory().role(entry.from);
        let by_server = is_server_owned(role, rule, entry.grant);
        let by_wildcard = Verb::parse(rule.verbs[entry.grant.verb].as_str()) == Verb::Any;
        // Whoever holds everything holds the constrained verbs already.
        if by_wildcard && allows_everything(rule) && self.grants.namespace(&entry.holder).is_none() {
            let applying: Vec<usize> = self.actions_of(&impersonator, None).map(|(index, _)| index).collect();
            applying.into_iter().for_each(|index| self.used[index] = true);
            return (Outcome::Kept(Kept::WildcardVerb), Vec::new());
        }
        let wanted: Vec<Mode> = self.actions_of(&impersonator, None).filter_map(|(_, action)| action.mode).collect();
        let mut form = constrained_form(rule, entry.grant, &wanted);
        let before = form.targets.len();
        form.targets.retain(|target| !self.existing.would_widen(&impersonator, target.mode));
        form.would_widen |= form.targets.len() < before;
        let mut modes: Vec<Mode> = Vec::new();
        for target in &form.targets {
            if self.grant(&impersonator, target, entry) && !modes.contains(&target.mode) {
                modes.push(target.mode);
            }
        }
        let has_evidence = self.actions_of(&impersonator, None).next().is_some();
        let outcome = if by_server {
            Outcome::Kept(Kept::ServerOwned)
        } else {
            outcome_of(by_wildcard, &form, &modes, has_evidence)
        };
        if outcome == Outcome::Kept(Kept::NoConstrainedForm) {
            let Identity { resource, extra_key, .. } = &entry.grant.identity;
            let part = extra_key.as_ref().map_or_else(|| resource.to_string(), |key| format!("{resource}/{key}"));
            self.kept_parts.entry(impersonator).or_default().insert(part);
        }
        (outcome, modes)
    }

    /// The declared entries that apply to an impersonator, in a mode if one is given.
    fn actions_of(
        &self,
        impersonator: &Impersonator,
        mode: Option<Mode>,
    ) -> impl Iterator<Item = (usize, &DeclaredAction)> {
        let all = self.declared.actions.iter().enumerate();
        all.filter(move |(_, action)| {
            action.impersonator.as_ref().is_none_or(|named| named == impersonator)
                && (mode.is_none() || action.mode.is_none() || action.mode == mode)
        })
    }

    /// Grants an identity, with everything that is declared for its mode. False if nothing is.
    fn grant(&mut self, impersonator: &Impersonator, target: &Target, entry: &Entry<'_>) -> bool {
        let actions: Vec<(usize, Scope, ActionRule)> = self
            .actions_of(impersonator, Some(target.mode))
            .flat_map(|(index, action)| {
                let scope = match &action.namespace {
                    Some(namespace) => Scope::Namespace(Some(namespace.clone())),
                    None => Scope::Cluster,
                };
                action.rules.iter().map(move |rule| (index, scope.clone(), rule.clone()))
            })
            .collect();
        if actions.is_empty() {
            return false;
        }
        let granted = self.granted.entry((impersonator.clone(), target.mode)).or_default();
        let scope = match (entry.holder.through, self.grants.namespace(&entry.holder)) {
            (Through::Binding(binding), Some(_)) => {
                Scope::Namespace(self.grants.inventory().binding(binding).meta.namespace.clone())
            }
            _ => Scope::Cluster,
        };
        granted.identities.insert((scope, target.clone()));
        for (index, scope, rule) in actions {
            self.used[index] = true;
            granted.actions.insert((scope, rule));
        }
        let role = &self.grants.inventory().role(entry.from).meta;
        granted.replaces.insert(role.reference());
        granted.files.insert(role.path.to_string());
        if let Through::Binding(binding) = entry.holder.through {
            granted.replaces.insert(self.grants.inventory().binding(binding).meta.reference());
        }
        true
    }

    fn warnings(&self) -> Vec<String> {
        let unused = self.declared.actions.iter().zip(&self.used).filter(|(_, used)| !**used);
        // Legacy needs all its checks: a header that only legacy takes makes the whole request legacy.
        let kept = self.kept_parts.iter().filter(|(impersonator, _)| {
            self.granted.keys().any(|(granted, mode)| granted == *impersonator && *mode == Mode::UserInfo)
        });
        let kept = kept.map(|(impersonator, parts)| {
            format!(
                "{} keeps legacy {}: requests that send these need its legacy grants of users and groups too, until it \
                 no longer sends them",
                impersonator.describe(),
                parts.iter().cloned().collect::<Vec<_>>().join(", "),
            )
        });
        let unused = unused.map(|(action, _)| {
            let who =
                action.impersonator.as_ref().map_or_else(|| "any impersonator".to_owned(), Impersonator::describe);
            let mode = action.mode.map(|mode| format!(" in mode {mode}")).unwrap_or_default();
            format!(
                "the declared actions of {who}{mode} (line {}) apply to no legacy grant of the input",
                action.place.line
            )
        });
        unused.chain(kept).collect()
    }
}

fn outcome_of(by_wildcard: bool, form: &Constrained, modes: &[Mode], has_evidence: bool) -> Outcome {
    if by_wildcard {
        Outcome::Kept(Kept::WildcardVerb)
    } else if form.would_widen {
        Outcome::Kept(Kept::WouldWiden)
    } else if form.incomplete {
        Outcome::Kept(Kept::NoConstrainedForm)
    } else if !has_evidence {
        Outcome::Kept(Kept::NoEvidence)
    } else if modes.is_empty() {
        Outcome::Dropped(None)
    } else {
        Outcome::Replaced
    }
}

/// Which manifests give an impersonator a mode.
type Made = BTreeMap<(Impersonator, Mode), Vec<usize>>;

/// Makes the objects: for each impersonator and mode, a role and a binding in each scope.
fn manifests(inventory: &Inventory, granted: BTreeMap<(Impersonator, Mode), Granted>) -> (Vec<Manifest>, Made) {
    let mut names = Names::new(inventory);
    let mut roles = Vec::new();
    let mut bindings = Vec::new();
    for ((impersonator, mode), granted) in granted {
        let wanted = name_for(&impersonator, mode);
        for (scope, rules) in rules_by_scope(mode, &granted) {
            let (role_kind, binding_kind, namespace) = match scope {
                Scope::Cluster => (ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding, None),
                Scope::Namespace(namespace) => (ObjectKind::Role, ObjectKind::RoleBinding, namespace),
            };
            let name = names.free(role_kind, binding_kind, namespace.as_ref(), &wanted);
            let labels: BTreeMap<String, String> = [
                ("app.kubernetes.io/managed-by".to_owned(), "deputize".to_owned()),
                (LABEL_MODE.to_owned(), mode.to_string()),
            ]
            .into();
            let annotations: BTreeMap<String, String> = [
                ("deputize.dev/impersonator".to_owned(), impersonator.describe()),
                ("deputize.dev/replaces".to_owned(), listed(&granted.replaces)),
                ("deputize.dev/source".to_owned(), listed(&granted.files)),
            ]
            .into();
            let role = Manifest {
                kind: role_kind,
                namespace,
                name: name.clone(),
                labels,
                annotations,
                body: Body::Rules(rules),
            };
            let subject = impersonator.clone();
            let body = Body::Binding { role_kind, role: name, subject };
            bindings.push(((impersonator.clone(), mode), Manifest { kind: binding_kind, body, ..role.clone() }));
            roles.push(((impersonator.clone(), mode), role));
        }
    }
    let mut made = Made::new();
    let mut manifests = Vec::new();
    for (key, manifest) in roles.into_iter().chain(bindings) {
        made.entry(key).or_default().push(manifests.len());
        manifests.push(manifest);
    }
    (manifests, made)
}

/// The rules of one impersonator in one mode, by scope. Each half stands where the server asks for it: identities of
/// service accounts in the namespace of the target, actions in that of the request.
fn rules_by_scope(mode: Mode, granted: &Granted) -> BTreeMap<Scope, Vec<GeneratedRule>> {
    let mut scopes: BTreeMap<Scope, Vec<GeneratedRule>> = BTreeMap::new();
    let mut identities: BTreeMap<(&Scope, Option<&Vec<SmolStr>>), Vec<SmolStr>> = BTreeMap::new();
    for (scope, target) in &granted.identities {
        identities.entry((scope, target.names.as_ref())).or_default().push(target.resource.clone());
    }
    for ((scope, names), resources) in identities {
        scopes.entry(scope.clone()).or_default().push(GeneratedRule {
            api_groups: vec![SmolStr::new_static(AUTHENTICATION_GROUP)],
            resources,
            resource_names: names.cloned(),
            verbs: vec![SmolStr::new_static(mode.identity_verb())],
            ..GeneratedRule::default()
        });
    }
    let action_verbs = |verbs: &[SmolStr]| {
        verbs.iter().filter_map(|verb| mode.action_verb(verb)).map(SmolStr::from).collect::<Vec<_>>()
    };
    for (scope, action) in &granted.actions {
        scopes.entry(scope.clone()).or_default().push(GeneratedRule {
            api_groups: action.api_groups.clone(),
            resources: action.resources.clone(),
            resource_names: None,
            non_resource_urls: action.non_resource_urls.clone(),
            verbs: action_verbs(&action.verbs),
        });
    }
    scopes.entry(Scope::Cluster).or_default().push(GeneratedRule {
        non_resource_urls: DISCOVERY.map(SmolStr::new_static).to_vec(),
        verbs: action_verbs(&[SmolStr::new_static("get")]),
        ..GeneratedRule::default()
    });
    scopes
}

/// Names of objects that are taken.
struct Names {
    taken: BTreeSet<(ObjectKind, Option<SmolStr>, SmolStr)>,
}

impl Names {
    /// The names of the input, without those of an earlier run's own objects: these are replaced.
    fn new(inventory: &Inventory) -> Self {
        let roles = inventory.roles.iter().map(|role| &role.meta);
        let foreign = roles
            .chain(inventory.bindings.iter().map(|binding| &binding.meta))
            .filter(|meta| meta.label(LABEL_MODE).is_none())
            .map(|meta| (meta.kind, meta.effective_namespace().map(SmolStr::new), meta.name.value.clone()));
        Self { taken: foreign.collect() }
    }

    /// The wanted name, or the first of `name~2`, `name~3`, … that neither a role nor a binding has.
    fn free(&mut self, role: ObjectKind, binding: ObjectKind, namespace: Option<&SmolStr>, wanted: &str) -> String {
        let namespace = role
            .is_namespaced()
            .then(|| namespace.cloned().unwrap_or(SmolStr::new_static(crate::inventory::DEFAULT_NAMESPACE)));
        let numbered = (2..).map(|number| format!("{wanted}~{number}"));
        let free = |name: &String| {
            let key = |kind| (kind, namespace.clone(), SmolStr::new(name));
            !self.taken.contains(&key(role)) && !self.taken.contains(&key(binding))
        };
        let name = std::iter::once(wanted.to_owned()).chain(numbered).find(free).unwrap_or_default();
        self.taken.insert((role, namespace.clone(), SmolStr::new(&name)));
        self.taken.insert((binding, namespace, SmolStr::new(&name)));
        name
    }
}

fn listed(items: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = items.iter().take(MAX_LISTED).map(String::as_str).collect();
    let more = items.len().saturating_sub(MAX_LISTED);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
