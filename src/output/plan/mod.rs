//! The plan of a migration, for people: each impersonator, the worst first, with what it keeps and what it gets.

mod accept;
pub(super) mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

pub use accept::write_accept;
pub use json::write_json;
pub(super) use json::{RequestShape, request_shape};

use super::escape;
use super::human::{Style, count, identity_words};
use super::paint::Paint;
use super::trace::describe_request;
use crate::authority::{DISCOVERY_PATHS, Mode, Verb, verbs_but_impersonation};
use crate::evidence::Impersonator;
use crate::grants::Grants;
use crate::inventory::{Inventory, Object, PolicyRule, Role, Text};
use crate::migrate::{EvidenceSpan, Kept, LegacyException, Outcome, Plan, PlannedGrant, PlannedImpersonator, Unserved};

/// How many items of a list are shown.
const MAX_LISTED: usize = 20;
/// How many names of a list are shown on one line.
const MAX_NAMES: usize = 8;

/// Writes what a migration does, one impersonator after the other, and the first of the exceptions.
///
/// # Errors
/// When `out` does.
pub fn write_human(
    out: &mut dyn Write,
    grants: &Grants<'_>,
    plan: &Plan<'_>,
    exceptions: &[LegacyException],
    style: Style,
) -> io::Result<()> {
    let mut report = Report { out, paint: Paint::new(style), grants, plan };
    report.impersonators()?;
    for warning in &plan.warnings {
        writeln!(report.out, "{}: {}", report.paint.yellow("warning"), escape(warning))?;
    }
    report.exceptions(exceptions)?;
    report.totals()?;
    report.requests()
}

struct Report<'r, 'p> {
    out: &'r mut dyn Write,
    paint: Paint,
    grants: &'r Grants<'r>,
    plan: &'r Plan<'p>,
}

/// How much attention an outcome needs; the least is first.
fn rank(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Narrowed(_) => 0,
        Outcome::Kept(Kept::ServerOwned | Kept::Unbound | Kept::NotSelected) => 3,
        Outcome::Kept(Kept::NoEvidence | Kept::OnlyGlimpsed | Kept::NotEditable | Kept::WildcardVerb) => 2,
        Outcome::Kept(_) => 1,
        Outcome::Dropped(None) => 4,
        Outcome::Replaced => 5,
        Outcome::Dropped(Some(_)) => 6,
    }
}

impl Report<'_, '_> {
    fn impersonators(&mut self) -> io::Result<()> {
        let mut by_subject: BTreeMap<Option<Impersonator>, Vec<&PlannedGrant>> = BTreeMap::new();
        for planned in &self.plan.grants {
            let who = self.grants.subject(&planned.holder).map(Impersonator::of_subject);
            by_subject.entry(who).or_default().push(planned);
        }
        let mut sorted: Vec<_> = by_subject.into_iter().collect();
        // The sort is stable: subjects of one rank stay sorted by name.
        sorted.sort_by_key(|(_, planned)| planned.iter().map(|planned| rank(planned.outcome)).min());
        let known: BTreeMap<&Impersonator, &PlannedImpersonator> =
            self.plan.impersonators.iter().map(|planned| (&planned.who, planned)).collect();
        for (who, planned) in sorted {
            let known = who.as_ref().and_then(|who| known.get(who)).copied();
            self.heading(who.as_ref(), known)?;
            self.outcomes(&planned)?;
            if let Some(known) = known {
                self.actions(known)?;
            }
            self.never_seen(&planned)?;
            writeln!(self.out)?;
        }
        Ok(())
    }

    /// `ServiceAccount apps/deputy: 43 requests from 2026-01-01 to 2026-01-09`.
    fn heading(&mut self, who: Option<&Impersonator>, known: Option<&PlannedImpersonator>) -> io::Result<()> {
        let name = who.map_or_else(|| "not bound".to_owned(), Impersonator::describe);
        let name = self.paint.bold(&escape(&name));
        match known.map(|known| &known.evidence).filter(|span| span.events > 0) {
            Some(span) => writeln!(self.out, "{name}: {}", escape(&describe_span(span))),
            None => writeln!(self.out, "{name}"),
        }
    }

    fn outcomes(&mut self, planned: &[&PlannedGrant]) -> io::Result<()> {
        let mut lines: BTreeMap<(u8, String, &str), BTreeSet<String>> = BTreeMap::new();
        for planned in planned {
            let (word, why) = self.describe_outcome(planned);
            lines.entry((rank(planned.outcome), why, word)).or_default().insert(self.describe_grant(planned));
        }
        for ((rank, why, word), grants) in &lines {
            let word = match rank {
                0 | 1 => self.paint.red(word),
                2..=4 => self.paint.yellow(word),
                5 => self.paint.green(word),
                _ => self.paint.dim(word),
            };
            writeln!(self.out, "  {word}, {why}:")?;
            for grant in grants.iter().take(MAX_LISTED) {
                writeln!(self.out, "    {}", escape(grant))?;
            }
            if grants.len() > MAX_LISTED {
                writeln!(self.out, "    … and {} more", grants.len() - MAX_LISTED)?;
            }
        }
        Ok(())
    }

    fn describe_outcome(&self, planned: &PlannedGrant) -> (&'static str, String) {
        let modes = planned.modes.iter().map(|mode| mode.as_str()).collect::<Vec<_>>().join(", ");
        let kept = |kept: Kept| match modes.as_str() {
            "" => kept.as_str().to_owned(),
            modes => format!("{} (the rest moves to {modes})", kept.as_str()),
        };
        match planned.outcome {
            Outcome::Replaced => ("replaced", format!("by {modes}")),
            Outcome::Dropped(Some(dead)) => ("dropped", format!("has no effect: {}", dead.as_str())),
            Outcome::Dropped(None) => ("dropped", "not used in the evidence".to_owned()),
            Outcome::Kept(why) => ("kept legacy", kept(why)),
            Outcome::Narrowed(why) => ("kept legacy, narrowed", kept(why)),
        }
    }

    /// `any user (deploy/rbac.yaml:9)`; for a live cluster `any user (ClusterRole/deputy)`.
    fn describe_grant(&self, planned: &PlannedGrant) -> String {
        let role = self.grants.inventory().role(planned.from);
        let rule = &role.rules[planned.rule];
        let mut what = identity_words(self.grants, rule, &planned.grant, &planned.holder);
        if let Some(names) = &planned.narrowed_to {
            what = format!("{what}, now only {}", shortened(names.iter().map(|name| name.as_str())));
        }
        if planned.outcome == Outcome::Kept(Kept::WildcardVerb) {
            what = format!("{what}; for all but impersonation list {}", verbs_but_impersonation(rule).join(", "));
        }
        format!("{what} ({})", place(self.grants.inventory(), role, &rule.verbs[planned.grant.verb]))
    }

    /// What an impersonator may do in each constrained mode that it gets.
    fn actions(&mut self, planned: &PlannedImpersonator) -> io::Result<()> {
        for (mode, objects) in &planned.modes {
            let roles = objects.iter().filter_map(|index| match self.plan.added.get(*index)? {
                Object::Role(role) => Some(role),
                Object::Binding(_) => None,
            });
            let actions = compact_actions(*mode, roles);
            let (first, rest) = actions.split_first().map_or(("nothing", &[][..]), |(first, rest)| (first, rest));
            writeln!(self.out, "  may in {mode}: {}", escape(first))?;
            let indent = "  may in : ".len() + mode.as_str().len();
            for line in rest.iter().take(MAX_LISTED) {
                writeln!(self.out, "{:indent$}{}", "", escape(line))?;
            }
            if rest.len() > MAX_LISTED {
                writeln!(self.out, "{:indent$}… and {} more", "", rest.len() - MAX_LISTED)?;
            }
        }
        Ok(())
    }

    fn never_seen(&mut self, planned: &[&PlannedGrant]) -> io::Result<()> {
        let names: BTreeSet<&str> =
            planned.iter().flat_map(|planned| &planned.never_seen).map(|name| name.as_str()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names = shortened(names.into_iter());
        writeln!(self.out, "  {}: {}", self.paint.dim("granted names that were never used"), escape(&names))
    }

    /// What stays legacy, as entries for `deputize.toml`.
    fn exceptions(&mut self, exceptions: &[LegacyException]) -> io::Result<()> {
        if exceptions.is_empty() {
            return Ok(());
        }
        let title = "what stays legacy, as exceptions for deputize.toml";
        writeln!(self.out, "\n{}", self.paint.bold(title))?;
        write_accept(self.out, exceptions.iter().take(MAX_LISTED))?;
        if exceptions.len() > MAX_LISTED {
            writeln!(self.out, "# … and {} more; --output-dir writes all of them", exceptions.len() - MAX_LISTED)?;
        }
        writeln!(self.out)
    }

    fn totals(&mut self) -> io::Result<()> {
        let grants = &self.plan.grants;
        let of = |wanted: fn(Outcome) -> bool| grants.iter().filter(|planned| wanted(planned.outcome)).count();
        if self.plan.evidence.events > 0 {
            writeln!(self.out, "evidence: {}", escape(&describe_span(&self.plan.evidence)))?;
        }
        writeln!(
            self.out,
            "{}: {} replaced, {} dropped, {} kept, {} narrowed; {}",
            count(grants.len(), "legacy grant"),
            of(|outcome| matches!(outcome, Outcome::Replaced)),
            of(|outcome| matches!(outcome, Outcome::Dropped(_))),
            of(|outcome| matches!(outcome, Outcome::Kept(_))),
            of(|outcome| matches!(outcome, Outcome::Narrowed(_))),
            count(self.plan.added.len(), "constrained object"),
        )
    }

    /// What becomes of the observed requests, in numbers, and those that no constrained mode serves.
    fn requests(&mut self) -> io::Result<()> {
        let requests = &self.plan.requests;
        if requests.is_empty() {
            return Ok(());
        }
        let mut by_reason: BTreeMap<&str, usize> = BTreeMap::new();
        for request in requests {
            *by_reason.entry(request.reason.map_or("", Unserved::as_str)).or_default() += 1;
        }
        let constrained = by_reason.remove("").unwrap_or_default();
        let rest = by_reason.iter().map(|(reason, count)| format!("; {count} not: {reason}")).collect::<String>();
        writeln!(
            self.out,
            "{}: {constrained} served by a constrained mode after the cut-over{rest}",
            count(requests.len(), "distinct request"),
        )?;
        let unserved = || requests.iter().filter_map(|planned| Some((planned, planned.reason?)));
        for (planned, reason) in unserved().take(MAX_LISTED) {
            writeln!(self.out, "  {}: {}", reason.as_str(), escape(&describe_request(planned.request)))?;
        }
        match unserved().count().saturating_sub(MAX_LISTED) {
            0 => Ok(()),
            more => writeln!(self.out, "  … and {more} more"),
        }
    }
}

/// Where a person finds a rule: the line of a file, or the object in a cluster.
pub(super) fn place(inventory: &Inventory, role: &Role, verb: &Text) -> String {
    if inventory.cluster().is_some() {
        role.meta.reference()
    } else {
        format!("{}:{}", role.meta.path, verb.place.line)
    }
}

/// `43 requests (12 distinct) from 2026-01-01 to 2026-01-09, 9 days`.
fn describe_span(span: &EvidenceSpan) -> String {
    let requests = usize::try_from(span.events).unwrap_or(usize::MAX);
    let requests = format!("{} ({} distinct)", count(requests, "request"), span.distinct);
    let date = |time: &str| time.split('T').next().unwrap_or_default().to_owned();
    match span.days() {
        Some(1) => format!("{requests} on {}", date(&span.first)),
        Some(days) => format!("{requests} from {} to {}, {days} days", date(&span.first), date(&span.last)),
        None => requests,
    }
}

/// The first few names of a list.
fn shortened<'n>(names: impl ExactSizeIterator<Item = &'n str>) -> String {
    let more = names.len().saturating_sub(MAX_NAMES);
    let shown = names.take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

/// The actions that roles grant in a mode, a line each: `get,list pods,pods/log in shop, pay`.
fn compact_actions<'r>(mode: Mode, roles: impl Iterator<Item = &'r Role>) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for role in roles {
        let namespace = role.meta.namespace.as_ref().map(|namespace| namespace.to_string());
        let in_namespace = role.meta.kind.is_namespaced();
        for action in role.rules.iter().filter_map(|rule| compact_rule(mode, rule)) {
            let place = in_namespace.then(|| namespace.clone().unwrap_or_else(|| "its own namespace".to_owned()));
            places.entry(action).or_default().push(place);
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let discovery = places.remove(DISCOVERY).is_some();
    for (action, places) in places {
        let named: BTreeSet<&str> = places.iter().flatten().map(String::as_str).collect();
        lines.push(if places.contains(&None) {
            action
        } else {
            format!("{action} in {}", shortened(named.into_iter()))
        });
    }
    if discovery {
        lines.push(DISCOVERY.to_owned());
    }
    lines
}

/// What the rule for discovery is called.
const DISCOVERY: &str = "discovery";

/// `get,list pods,deployments.apps/scale`; none for a rule without actions of the mode.
fn compact_rule(mode: Mode, rule: &PolicyRule) -> Option<String> {
    let action = |verb: &Text| match Verb::parse(verb.as_str()) {
        Verb::Action(own, action) if own == mode => Some(action.to_owned()),
        _ => None,
    };
    let verbs: Vec<String> = rule.verbs.iter().filter_map(action).collect();
    if verbs.is_empty() {
        return None;
    }
    let urls: Vec<&str> = rule.non_resource_urls.iter().map(Text::as_str).collect();
    if urls == DISCOVERY_PATHS {
        return Some(DISCOVERY.to_owned());
    }
    let groups = || rule.api_groups.iter().map(Text::as_str);
    let resource = |group: &str, resource: &str| match (group, resource.split_once('/')) {
        ("", _) => resource.to_owned(),
        (_, Some((resource, subresource))) => format!("{resource}.{group}/{subresource}"),
        _ => format!("{resource}.{group}"),
    };
    let resources: Vec<String> = rule
        .resources
        .iter()
        .flat_map(|own| groups().map(|group| resource(group, own.as_str())).collect::<Vec<_>>())
        .collect();
    Some(format!("{} {}", verbs.join(","), if urls.is_empty() { resources.join(",") } else { urls.join(",") }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{ObjectKind, ObjectMeta};

    fn texts(words: &[&str]) -> Vec<Text> {
        words.iter().map(|word| Text::new(*word)).collect()
    }

    #[test]
    fn actions_are_compact() {
        let rule = |group: &str, resources: &[&str], verbs: &[&str]| PolicyRule {
            api_groups: texts(&[group]),
            resources: texts(resources),
            verbs: texts(verbs),
            ..PolicyRule::default()
        };
        let list = ["impersonate-on:user-info:get", "impersonate-on:user-info:list"];
        let role = |namespace: Option<&str>, rules: Vec<PolicyRule>| Role {
            meta: ObjectMeta::new(
                if namespace.is_some() { ObjectKind::Role } else { ObjectKind::ClusterRole },
                namespace.map(Into::into),
                "r",
            ),
            rules,
            aggregation: None,
        };
        let paths = PolicyRule {
            non_resource_urls: texts(&DISCOVERY_PATHS),
            verbs: texts(&list[..1]),
            ..PolicyRule::default()
        };
        let roles = [
            role(Some("shop"), vec![rule("", &["pods", "pods/log"], &list)]),
            role(Some("pay"), vec![rule("", &["pods", "pods/log"], &list)]),
            role(None, vec![rule("apps", &["deployments/scale"], &list[1..]), paths]),
        ];
        assert_eq!(
            compact_actions(Mode::UserInfo, roles.iter()),
            ["get,list pods,pods/log in pay, shop", "list deployments.apps/scale", "discovery"]
        );
        assert_eq!(compact_actions(Mode::ServiceAccount, roles.iter()), [""; 0]);
    }
}
