//! Which findings comments and annotations in manifests hide.
//!
//! A comment is about its own line; if it is alone there, or nothing is found on that line, it is about the next one. An
//! annotation is about its object. Neither hides a finding elsewhere.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smol_str::SmolStr;

use super::{HiddenBy, Source};
use crate::config::Config;
use crate::inventory::{BindingId, Directive, IGNORE_ANNOTATION, Inventory, ObjectMeta, RoleId};
use crate::lint::{About, FileFinding, Finding, Severity, UnknownRule, find_rule};
use crate::syntax::Place;

/// The comments and annotations of an input, and which of them are used.
pub(super) struct Suppressions {
    requires_reason: bool,
    all: Vec<Entry>,
    /// The comments about each line.
    by_line: HashMap<(Arc<str>, u32), Vec<usize>, RandomState>,
    by_object: HashMap<Object, usize, RandomState>,
}

/// An object that may have an annotation.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Object {
    Role(RoleId),
    Binding(BindingId),
}

impl Object {
    fn of(about: About) -> Option<Self> {
        match about {
            About::Rule(role, _) | About::Role(role) => Some(Self::Role(role)),
            About::Binding(binding) => Some(Self::Binding(binding)),
            About::File => None,
        }
    }
}

/// A comment or an annotation.
struct Entry {
    about: About,
    source: Source,
    directive: Directive,
    /// For each of its rules, whether it matches a finding.
    used: Vec<bool>,
}

impl Suppressions {
    pub(super) fn new(inventory: &Inventory, config: &Config, findings: &[Finding]) -> Self {
        let requires_reason = config.require_reason.as_ref().is_some_and(|setting| setting.value);
        let (by_line, by_object) = (HashMap::default(), HashMap::default());
        let mut suppressions = Self { requires_reason, all: Vec::new(), by_line, by_object };
        if !inventory.suppressions.is_empty() {
            suppressions.add_comments(inventory, findings);
        }
        let roles = inventory.role_ids().map(|(id, role)| (Object::Role(id), About::Role(id), &role.meta));
        let bindings =
            inventory.binding_ids().map(|(id, binding)| (Object::Binding(id), About::Binding(id), &binding.meta));
        for (object, about, meta) in roles.chain(bindings) {
            suppressions.add_annotation(object, about, meta);
        }
        suppressions
    }

    fn add_comments(&mut self, inventory: &Inventory, findings: &[Finding]) {
        let found: HashSet<(&str, u32), RandomState> =
            findings.iter().map(|finding| (&*finding.path, finding.place.line)).collect();
        for comment in &inventory.suppressions {
            let line = comment.place.line;
            let is_below = comment.is_alone || !found.contains(&(&*comment.path, line));
            let target = (Arc::clone(&comment.path), if is_below { line + 1 } else { line });
            self.by_line.entry(target).or_default().push(self.all.len());
            self.add(About::File, &comment.path, comment.place, comment.directive.clone());
        }
    }

    fn add_annotation(&mut self, object: Object, about: About, meta: &ObjectMeta) {
        if let Some(value) = meta.annotation(IGNORE_ANNOTATION) {
            self.by_object.insert(object, self.all.len());
            self.add(about, &meta.path, meta.name.place, Directive::of_annotation(value));
        }
    }

    fn add(&mut self, about: About, path: &Arc<str>, place: Place, directive: Directive) {
        let rules = match &directive {
            Directive::Ignore { rules, .. } => rules.len(),
            Directive::Unknown => 0,
        };
        let source = Source { path: Arc::clone(path), place };
        self.all.push(Entry { about, source, directive, used: vec![false; rules] });
    }

    /// Returns what hides a finding, if a comment or an annotation does.
    pub(super) fn of(&mut self, finding: &Finding) -> Option<HiddenBy> {
        if self.all.is_empty() {
            return None;
        }
        let line = self.by_line.get(&(Arc::clone(&finding.path), finding.place.line));
        let object = Object::of(finding.about).and_then(|object| self.by_object.get(&object));
        let entries: Vec<usize> = line.into_iter().flatten().chain(object).copied().collect();
        let mut hidden = None;
        for index in entries {
            let Some(entry) = self.all.get_mut(index) else { continue };
            let Directive::Ignore { rules, reason } = &entry.directive else { continue };
            for (_, used) in rules.iter().zip(&mut entry.used).filter(|(rule, _)| **rule == finding.rule) {
                *used = true;
                if reason.is_some() || !self.requires_reason {
                    hidden
                        .get_or_insert(HiddenBy::Suppression { source: entry.source.clone(), reason: reason.clone() });
                }
            }
        }
        hidden
    }

    /// Returns findings about comments and annotations that hide nothing, or do not count. Those for rules that were not
    /// applied may well hide something.
    pub(super) fn findings(self, is_applied: impl Fn(&'static str) -> bool) -> Vec<Finding> {
        const RULE: &str = "unused-suppression";
        if !is_applied(RULE) {
            return Vec::new();
        }
        let mut findings = Vec::new();
        for Entry { about, source, directive, used } in self.all {
            let Directive::Ignore { rules, reason } = directive else {
                let help = "write `deputize: ignore[RULE,…] -- why` in a comment, `RULE,… -- why` in the annotation";
                findings.push(finding(
                    about,
                    &source,
                    "this hides nothing: it names no rule".to_owned(),
                    help.to_owned(),
                ));
                continue;
            };
            let mut unused: Vec<&SmolStr> = Vec::new();
            for (rule, used) in rules.iter().zip(&used) {
                match find_rule(rule) {
                    Ok(known) if !used && is_applied(known.id()) => unused.push(rule),
                    Ok(_) => {}
                    Err(UnknownRule { id, close }) => {
                        let close = close.map(|close| format!("; did you mean `{close}`?")).unwrap_or_default();
                        let help = "`deputize rules` lists all rules".to_owned();
                        findings.push(finding(about, &source, format!("unknown rule `{id}`{close}"), help));
                    }
                }
            }
            if !unused.is_empty() {
                let names = unused.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
                let help = match about {
                    About::File => "remove it, or move it to the line of the finding or the line above",
                    _ => "remove it from the annotation: no such finding is about this object",
                };
                findings.push(finding(about, &source, format!("this hides no finding of {names}"), help.to_owned()));
            }
            if self.requires_reason && reason.is_none() && used.contains(&true) {
                let message = "this does not count: it has no reason, which the configuration requires".to_owned();
                findings.push(finding(about, &source, message, "add ` -- ` and the reason".to_owned()));
            }
        }
        findings
    }
}

fn finding(about: About, source: &Source, message: String, help: String) -> Finding {
    FileFinding {
        about,
        rule: "unused-suppression",
        severity: Severity::Note,
        what: message.clone(),
        message,
        help,
        label: "hides nothing".to_owned(),
        path: &source.path,
        place: source.place,
    }
    .into()
}
