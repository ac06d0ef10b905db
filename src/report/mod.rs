//! What a person needs to know who decides about an upgrade: who impersonates whom today, what becomes of it, how far it
//! reaches, whose it is, and what to do in which order.
//!
//! Everything here is computed from rooms before this one; nothing is judged anew. [`crate::output::report`] writes it.

mod grant;
mod owner;
mod work;

pub use grant::{Origin, ReportedGrant, Used};
pub use owner::{Owner, OwnerKind};
pub use work::{Task, TaskKind};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::authority::{KubeVersion, Mode, Principal};
use crate::evidence::{Evidence, take_in};
use crate::grants::{Grants, HoldersOfRole, Path, Reason};
use crate::migrate::{HeldRule, Kept, Options, Outcome, Plan, Sources, Use, days_covered, plan, uses};
use crate::problem::{Problem, ProblemKind};

/// How many grants are listed; further ones are counted. One role may have very many rules and very many holders.
const MAX_LISTED: usize = 20_000;
/// How many legacy grants are planned for: a plan holds each of them.
const MAX_PLANNED: usize = 200_000;

/// What is known of the servers; nothing, where manifests are all there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Their version.
    pub version: Option<KubeVersion>,
    /// Whether the feature gate `ConstrainedImpersonation` is on.
    pub gate: Option<bool>,
    /// How this is known, in words.
    pub how: Option<String>,
    /// How often legacy impersonation was used in the cluster, in words.
    pub legacy_use: Option<String>,
}

/// The report.
#[derive(Debug)]
pub struct Report<'g> {
    /// What is known of the servers.
    pub facts: Facts,
    /// What of the cluster could not be read, in words, so that nothing here is sure.
    pub limits: Vec<String>,
    /// The grants in someone's hands, the most urgent first.
    pub grants: Vec<ReportedGrant<'g>>,
    /// How many more there are.
    pub left_out: usize,
    /// The owners, in the order of their grants' number.
    pub owners: Vec<(Owner, Totals)>,
    /// All of it together.
    pub totals: Totals,
    /// The shortest ways to all power in which impersonation has a part, the shortest first; those who are there already
    /// included.
    pub ways: Vec<Path>,
    /// How many subjects have a shortest way without any impersonation, by credentials of service accounts alone.
    pub other_ways: usize,
    /// Whether all ways were followed.
    pub ways_complete: bool,
    /// What to do, in order.
    pub work: Vec<Task>,
    /// What logs have shown; none without logs.
    pub seen: Option<Seen>,
    /// Why nothing is said of what becomes of grants, if so.
    pub unplanned: Vec<String>,
    /// What a person should know who migrates.
    pub warnings: Vec<String>,
}

/// What logs have shown as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Impersonated requests, and reviews for the verb.
    pub requests: u64,
    /// How many of them no grant of the input allows.
    pub without_grant: u64,
    /// When the first was.
    pub first: String,
    /// When the last was.
    pub last: String,
}

impl Seen {
    /// The days from the first to the last request, both included. None if a time is not a date.
    pub fn days(&self) -> Option<i64> {
        days_covered(&self.first, &self.last)
    }
}

/// Grants by what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Effective legacy grants.
    pub legacy: usize,
    /// Effective constrained grants.
    pub constrained: usize,
    /// Grants that reach nobody.
    pub dead: usize,
    /// Of the legacy ones: constrained grants can take their place.
    pub replaced: usize,
    /// Of the legacy ones: not seen in use, though their holder was.
    pub unused: usize,
    /// Of the legacy ones: nothing says what for they are used.
    pub needs_evidence: usize,
    /// Of the legacy ones: they stay for another reason.
    pub stays: usize,
}

impl Totals {
    fn add(&mut self, grant: &ReportedGrant<'_>) {
        if !grant.is_effective() {
            self.dead += 1;
            return;
        }
        let slot = match (grant.mode, grant.outcome) {
            (Some(Mode::Legacy), Some(outcome)) => {
                self.legacy += 1;
                match outcome {
                    Outcome::Replaced => &mut self.replaced,
                    Outcome::Dropped(_) => &mut self.unused,
                    Outcome::Kept(Kept::NoEvidence | Kept::OnlyGlimpsed) => &mut self.needs_evidence,
                    Outcome::Kept(_) | Outcome::Narrowed(_) => &mut self.stays,
                }
            }
            (Some(Mode::Legacy), None) => &mut self.legacy,
            _ => &mut self.constrained,
        };
        *slot += 1;
    }

    /// All grants.
    pub fn all(&self) -> usize {
        self.legacy + self.constrained + self.dead
    }
}

impl<'g> Report<'g> {
    /// Computes the report.
    pub fn new(grants: &'g Grants<'g>, facts: Facts, evidence: Option<&'g Evidence>) -> Self {
        let reach = grants.reach();
        let (mut ways, other): (Vec<Path>, Vec<Path>) =
            reach.paths().partition(|way| way.steps.is_empty() || way.impersonates());
        ways.sort_by(|a, b| (a.steps.len(), &a.from).cmp(&(b.steps.len(), &b.from)));
        let steps: HashMap<&Principal, usize> = ways.iter().map(|way| (&way.from, way.steps.len())).collect();
        let too_many = too_many(grants);
        let evidence = evidence.filter(|_| !too_many);
        let (plan, unplanned) = if too_many {
            let message = format!(
                "there are more than {MAX_PLANNED} legacy grants, too many to plan for, or to look for their use"
            );
            (None, vec![message])
        } else {
            planned(grants, evidence)
        };
        let uses = evidence.map(|evidence| uses(grants, evidence)).unwrap_or_default();
        let mut builder = grant::Builder::new(grants, plan.as_ref(), used(&uses), evidence.is_some(), &steps);
        builder.written();
        builder.of_default_roles();
        let (mut listed, left_out) = (builder.listed, builder.left_out);
        let inventory = grants.inventory();
        let incomplete = inventory.is_incomplete();
        if incomplete {
            // What binds them may be what could not be read.
            listed.retain(|grant| grant.dead != Some(Reason::Unbound));
        }
        let is_limit = |problem: &&Problem| matches!(problem.kind, ProblemKind::NotListed | ProblemKind::Limited);
        let limits = inventory.problems.iter().filter(is_limit).map(|problem| problem.message.clone()).collect();
        listed.sort_by(|a, b| a.order().cmp(&b.order()));
        let mut totals = Totals::default();
        let mut by_owner: BTreeMap<Owner, Totals> = BTreeMap::new();
        for grant in &listed {
            totals.add(grant);
            by_owner.entry(grant.owner.clone()).or_default().add(grant);
        }
        let mut owners: Vec<(Owner, Totals)> = by_owner.into_iter().collect();
        owners.sort_by(|(a, a_totals), (b, b_totals)| {
            (b_totals.legacy, b_totals.all(), a).cmp(&(a_totals.legacy, a_totals.all(), b))
        });
        let mut warnings = plan.map(|plan| plan.warnings).unwrap_or_default();
        // It has a place of its own.
        warnings.retain(|warning| Some(warning) != facts.legacy_use.as_ref());
        Self {
            facts,
            work: work::order(&listed, evidence.is_some()),
            grants: listed,
            left_out,
            owners,
            totals,
            other_ways: other.len(),
            ways_complete: reach.is_complete() && !incomplete,
            ways,
            seen: evidence.map(|_| seen(&uses)),
            unplanned,
            warnings,
            limits,
        }
    }

    /// How many subjects hold an effective legacy grant.
    pub fn impersonators(&self) -> usize {
        let legacy = self.grants.iter().filter(|grant| grant.is_legacy());
        legacy.filter_map(|grant| grant.principal.as_ref()).collect::<BTreeSet<_>>().len()
    }
}

/// Whether there are more legacy grants than can be held, each in someone's hands.
fn too_many(grants: &Grants<'_>) -> bool {
    let (mut holders, mut total) = (HoldersOfRole::default(), 0);
    for (from, _, _, found) in grants.granting_rules() {
        let legacy = found.iter().filter(|grant| grant.mode == Some(Mode::Legacy)).count();
        total += holders.of(grants, from).len() * legacy;
        if total > MAX_PLANNED {
            return true;
        }
    }
    false
}

/// The plan of a migration, or why there is none.
fn planned<'g>(grants: &'g Grants<'g>, evidence: Option<&'g Evidence>) -> (Option<Plan<'g>>, Vec<String>) {
    match plan(grants, &Sources { evidence, ..Sources::default() }, Options::default()) {
        Ok(plan) => (Some(plan), Vec::new()),
        Err(unproven) => (None, unproven.0),
    }
}

/// The uses of each grant.
fn used(uses: &[Use<'_>]) -> HashMap<HeldRule, Used> {
    let mut by_grant: HashMap<HeldRule, Used> = HashMap::new();
    for seen in uses {
        for grant in &seen.grants {
            by_grant.entry(*grant).or_default().add(seen);
        }
    }
    by_grant
}

fn seen(uses: &[Use<'_>]) -> Seen {
    let mut seen = Seen::default();
    for one in uses {
        let count = one.tally.count();
        seen.requests = seen.requests.saturating_add(count);
        if one.grants.is_empty() {
            seen.without_grant = seen.without_grant.saturating_add(count);
        }
        take_in((&mut seen.first, &mut seen.last), &one.tally.first, &one.tally.last);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{ExtraValues, Logs, find_logs, read_logs};
    use crate::inventory::load_bytes;

    const MANIFESTS: &str = "\
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: proxy, labels: {app.kubernetes.io/managed-by: Helm, app.kubernetes.io/instance: login}}
rules:
- {verbs: [impersonate], apiGroups: [''], resources: [users, groups]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: proxy}
roleRef: {kind: ClusterRole, name: proxy}
subjects: [{kind: ServiceAccount, namespace: login, name: proxy}, {kind: User, name: idle}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: unbound}
rules:
- {verbs: [impersonate], apiGroups: [''], resources: [serviceaccounts]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: devs, namespace: shop}
roleRef: {kind: ClusterRole, name: edit}
subjects: [{kind: Group, name: devs}]
";

    fn show(evidence: Option<&Evidence>) -> Vec<String> {
        let inventory = load_bytes("t.yaml", MANIFESTS.as_bytes());
        assert_eq!(inventory.problems, []);
        let grants = Grants::new(&inventory);
        let report = Report::new(&grants, Facts::default(), evidence);
        assert_eq!(report.impersonators(), 3);
        let mut lines: Vec<String> = report
            .grants
            .iter()
            .map(|grant| {
                let who = grant.principal.as_ref().map_or_else(|| "nobody".to_owned(), Principal::describe);
                let used = grant.used.as_ref().map(|used| format!(", {} times, last {:?}", used.count, used.last));
                let steps = grant.steps.map(|steps| format!(", {steps} steps")).unwrap_or_default();
                let owner = grant.owner.describe();
                format!("{who}: {}, {:?}, {owner}{steps}{}", grant.whom, grant.outcome, used.unwrap_or_default())
            })
            .collect();
        lines.extend(report.work.iter().map(|task| format!("{}: {}", task.kind.as_str(), task.grants)));
        lines
    }

    #[test]
    fn grants_owners_and_work() {
        assert_eq!(
            show(None),
            [
                "User \"idle\": any user and any group, Some(Kept(NoEvidence)), Helm release login, 1 steps",
                "ServiceAccount \"login/proxy\": any user and any group, Some(Kept(NoEvidence)), Helm release login, 1 steps",
                "Group \"devs\": any service account in namespace \"shop\", Some(Kept(ServerOwned)), namespace shop",
                "nobody: any service account, Some(Kept(Unbound)), no owner named",
                "remove-dead: 1",
                "narrow: 2",
                "observe: 2",
                "leave: 1",
            ]
        );
    }

    #[test]
    fn what_is_not_used_comes_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = "{\"schema\": \"deputize.evidence/v1\", \"request\": {\"user\": \"system:serviceaccount:login:proxy\", \
                    \"impersonate\": {\"user\": \"panda\", \"groups\": [\"bears\"]}, \"verb\": \"get\", \"resource\": \"pods\"}, \
                    \"mode\": \"legacy\", \"count\": 7, \"first\": \"2026-01-01T00:00:00Z\", \"last\": \"2026-02-01T00:00:00Z\"}\n";
        std::fs::write(file.path(), line).unwrap();
        let logs: Logs = find_logs(&[file.path().to_owned()]);
        let read = read_logs(&logs, ExtraValues::Hashed, &|_| {});
        let (evidence, problems) = (read.evidence, read.problems);
        assert_eq!(problems, []);
        let lines = show(Some(&evidence));
        assert_eq!(
            lines[..2],
            [
                "User \"idle\": any user and any group, Some(Kept(NoEvidence)), Helm release login, 1 steps, 0 times, last \"\"",
                // One request needs the user and the group, and is one use of the rule.
                "ServiceAccount \"login/proxy\": any user and any group, Some(Replaced), Helm release login, 1 steps, 7 times, \
                 last \"2026-02-01T00:00:00Z\"",
            ]
        );
        assert!(lines.contains(&"replace: 1".to_owned()), "{lines:?}");
    }
}
