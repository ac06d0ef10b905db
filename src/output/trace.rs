//! A decision for people: each check, what allowed it and where that stands, or what would.

use std::io::{self, Write};

use super::escape;
use super::paint::{Paint, Style};
use super::simulate::reason;
use crate::authority::{
    Attributes, Check, CheckVerb, Decision, Impersonation, Mode, Refusal, Request, SYSTEM_MASTERS, Witness,
    smallest_rule,
};
use crate::evidence::OwnedRequest;
use crate::inventory::{Inventory, PolicyRule, Text, abbreviate};

/// Writes the decision and how it came about.
///
/// # Errors
/// When `out` does.
pub fn write_trace(
    out: &mut dyn Write,
    inventory: &Inventory,
    request: &Request<'_>,
    decision: &Decision<'_>,
    style: Style,
) -> io::Result<()> {
    let mut trace = Trace { out, inventory, paint: Paint::new(style) };
    let requestor = &request.requestor.name;
    let wanted = ask(request.attributes.verb, &request.attributes);
    let (who, verdict) = match &decision.impersonation {
        Impersonation::Allowed { user, .. } => (format!("{requestor:?} as {:?}", user.name), decision.request),
        Impersonation::None => (format!("{requestor:?}"), decision.request),
        _ => (format!("{requestor:?} as {:?}", request.headers.user()), None),
    };
    let not = if verdict.is_some() { "" } else { " not" };
    trace.marked(0, "", word(verdict.is_some()), verdict.is_some(), &format!(": {who} may{not} {wanted}"))?;
    let reason = reason(request, decision);
    if !reason.is_empty() {
        trace.line(0, &format!("reason: {reason}"))?;
    }
    trace.line(0, "")?;
    trace.impersonation(request, decision)?;
    // The request itself is only decided once it is known who makes it.
    let user = match &decision.impersonation {
        Impersonation::Allowed { user, .. } => Some(user.name),
        Impersonation::None => Some(requestor.as_str()),
        Impersonation::Denied | Impersonation::Invalid => None,
    };
    if let Some(user) = user {
        let allowed = decision.request.is_some();
        trace.marked(0, &format!("the request, made as {user:?}: "), word(allowed), allowed, "")?;
        trace.check(&wanted, &request.attributes, request.attributes.verb, decision.request, user)?;
    }
    Ok(())
}

struct Trace<'o, 'i> {
    out: &'o mut dyn Write,
    inventory: &'i Inventory,
    paint: Paint,
}

impl Trace<'_, '_> {
    fn impersonation(&mut self, request: &Request<'_>, decision: &Decision<'_>) -> io::Result<()> {
        match &decision.impersonation {
            Impersonation::None => return self.line(0, "no impersonation is asked for"),
            Impersonation::Invalid => {
                return self.line(0, "the impersonation is refused with status 400: a header is there, but no user");
            }
            Impersonation::Denied => {
                self.marked(0, "the impersonation: ", word(false), false, " by every mode that applies")?;
            }
            Impersonation::Allowed { mode, user } => {
                let audit = mode.constraint().map_or_else(String::new, |name| format!(", audited as {name}"));
                self.marked(0, "the impersonation: ", word(true), true, &format!(" by mode {mode}{audit}"))?;
                self.line(2, &format!("becomes {:?} in the groups {}", user.name, user.groups.join(", ")))?;
            }
        }
        // Checks come mode by mode.
        for checks in decision.checks.chunk_by(|a, b| mode_of(a) == mode_of(b)) {
            let Some(mode) = checks.first().map(mode_of) else { continue };
            self.line(2, &format!("mode {mode}"))?;
            for check in checks {
                let verb = check.verb.to_string();
                let what = ask(&verb, &check.object);
                self.check(&what, &check.object, &verb, check.witness, &request.requestor.name)?;
            }
            self.refused_outright(decision, mode)?;
        }
        Ok(())
    }

    fn refused_outright(&mut self, decision: &Decision<'_>, mode: Mode) -> io::Result<()> {
        for (refused, refusal) in &decision.refusals {
            if let (true, Refusal::Outright(reason)) = (*refused == mode, refusal) {
                self.marked(4, "", "✘", false, &format!(" {reason}, whatever RBAC says"))?;
            }
        }
        Ok(())
    }

    fn check(
        &mut self,
        what: &str,
        object: &Attributes<'_>,
        verb: &str,
        witness: Option<Witness>,
        user: &str,
    ) -> io::Result<()> {
        let allowed = witness.is_some();
        self.marked(4, "", if allowed { "✔" } else { "✘" }, allowed, &format!(" {what}"))?;
        match witness {
            Some(Witness::Superuser) => {
                self.line(8, &format!("{user:?} is in {SYSTEM_MASTERS}, which passes every check"))
            }
            Some(Witness::Rule { binding, subject, role, rule }) => {
                let (role, binding) = (self.inventory.role(role), self.inventory.binding(binding));
                let place = role
                    .rules
                    .get(rule)
                    .and_then(|rule| rule.verbs.first())
                    .map_or(role.meta.name.place, |verb| verb.place);
                let whom = binding.subjects.get(subject).map_or_else(String::new, |subject| subject.describe());
                self.line(8, &format!("{}, rule {rule} ({}:{})", role.meta.describe(), role.meta.path, place.line))?;
                let at = binding.meta.name.place.line;
                self.line(8, &format!("bound to {whom} by {} ({}:{at})", binding.meta.describe(), binding.meta.path))
            }
            None => {
                self.line(8, "nothing allows it; the smallest rule that would:")?;
                for line in rule_for(verb, object) {
                    self.line(10, &line)?;
                }
                Ok(())
            }
        }
    }

    /// Writes a line with a word in it that says whether something is allowed.
    fn marked(&mut self, indent: usize, before: &str, word: &str, allowed: bool, after: &str) -> io::Result<()> {
        let word = if allowed { self.paint.green(word) } else { self.paint.red(word) };
        writeln!(self.out, "{:indent$}{}{word}{}", "", escape(before), escape(after))
    }

    fn line(&mut self, indent: usize, text: &str) -> io::Result<()> {
        writeln!(self.out, "{:indent$}{}", "", escape(text))
    }
}

fn word(allowed: bool) -> &'static str {
    if allowed { "allowed" } else { "denied" }
}

fn mode_of(check: &Check<'_>) -> Mode {
    match check.verb {
        CheckVerb::Identity(mode) | CheckVerb::Action(mode, _) => mode,
    }
}

/// `list pods in namespace "default"`, `impersonate:user-info users.authentication.k8s.io "panda"`, `get /version`.
fn ask(verb: &str, object: &Attributes<'_>) -> String {
    let Attributes { api_group, resource, subresource, namespace, name, path, .. } = object;
    if !path.is_empty() {
        return format!("{verb} {}", abbreviate(path));
    }
    let mut text = format!("{verb} {resource}");
    if !subresource.is_empty() {
        text = format!("{text}/{subresource}");
    }
    if !api_group.is_empty() {
        text = format!("{text} ({api_group})");
    }
    if !name.is_empty() {
        text = format!("{text} {:?}", abbreviate(name));
    }
    if namespace.is_empty() { text } else { format!("{text} in namespace {namespace:?}") }
}

/// The lines of a rule that allows one check and nothing more, and where it has to stand.
fn rule_for(verb: &str, object: &Attributes<'_>) -> Vec<String> {
    let mut lines = rule_lines(&smallest_rule(&Attributes { verb, ..*object }));
    lines.push(rule_place((!object.namespace.is_empty()).then_some(object.namespace)));
    lines
}

/// `alice as panda (groups devs): list pods in namespace "shop"`.
pub(super) fn describe_request(request: &OwnedRequest) -> String {
    let headers = &request.headers;
    let groups =
        if headers.groups().is_empty() { String::new() } else { format!(" (groups {})", headers.groups().join(", ")) };
    let extra: Vec<&str> = headers.extra().keys().map(String::as_str).collect();
    let extra = if extra.is_empty() { String::new() } else { format!(" (extras {})", extra.join(", ")) };
    let attributes = request.as_request().attributes;
    format!("{:?} as {:?}{groups}{extra}: {}", request.requestor.name, headers.user(), ask(&request.verb, &attributes))
}

/// The lines of a rule.
pub(super) fn rule_lines(rule: &PolicyRule) -> Vec<String> {
    let fields = [
        ("apiGroups", &rule.api_groups),
        ("resources", &rule.resources),
        ("resourceNames", &rule.resource_names),
        ("nonResourceURLs", &rule.non_resource_urls),
        ("verbs", &rule.verbs),
    ];
    let written = fields.into_iter().filter(|(_, texts)| !texts.is_empty());
    let list = |texts: &[Text]| texts.iter().map(|text| format!("{:?}", text.as_str())).collect::<Vec<_>>().join(", ");
    let line = |(index, (key, texts)): (usize, (&str, &Vec<Text>))| {
        format!("{} {key}: [{}]", if index == 0 { "-" } else { " " }, list(texts))
    };
    written.enumerate().map(line).collect()
}

/// Where a rule has to stand, for a request in a namespace; none for one without.
pub(super) fn rule_place(namespace: Option<&str>) -> String {
    match namespace {
        None => "in a ClusterRole with a ClusterRoleBinding".to_owned(),
        Some(namespace) => format!("in a Role with a RoleBinding in namespace {namespace:?}"),
    }
}
