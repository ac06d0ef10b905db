//! The configuration's text to a validated configuration, or to every error in it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::raw::{
    RawAccept, RawConfig, RawFailOn, RawObject, RawOverride, RawRules, RawSeverity, RawSubject, RawSubjectKind,
};
use super::{Accept, AcceptedObject, AcceptedSubject, Config, Date, Override, RuleFilter, Setting};
use crate::authority::KubeVersion;
use crate::lint::{FailOn, Severity, UnknownRule, closest, find_rule};
use crate::problem::{Problem, ProblemKind};
use crate::source::Patterns;
use crate::syntax::{LineIndex, Place};

/// Largest configuration file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a configuration file, which is called `name` in messages. Patterns in it are relative to `root`.
///
/// # Errors
/// Every error in the file, in the order of their places.
pub fn read_file(file: &Path, name: &Arc<str>, root: &Path) -> Result<Config, Vec<Problem>> {
    let failed = |message: String, help: &str| {
        let (path, help) = (Arc::clone(name), Some(help.to_owned()));
        vec![Problem { path, place: None, kind: ProblemKind::Configuration, message, help }]
    };
    let unreadable = |error: &std::io::Error| {
        failed(format!("the configuration cannot be read: {error}"), "check the path given with --config")
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|error| unreadable(&error))?;
    opened.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_BYTES {
        let message = format!("the configuration is larger than {MAX_BYTES} bytes");
        return Err(failed(message, "give a smaller file; a baseline holds many findings in little space"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| failed("the configuration is not UTF-8".to_owned(), "save it as UTF-8"))?;
    let root = root.canonicalize().map_err(|error| unreadable(&error))?;
    read(&text, name, root)
}

/// Reads a configuration's text. Patterns in it are relative to `root`.
///
/// # Errors
/// Every error in the text, in the order of their places.
pub fn read(text: &str, name: &Arc<str>, root: PathBuf) -> Result<Config, Vec<Problem>> {
    let mut reader = Reader { lines: LineIndex::new(text), name, problems: Vec::new() };
    match toml::from_str::<RawConfig>(text) {
        Ok(raw) => {
            let config = reader.config(raw, root);
            reader.problems.sort_by_key(|problem| problem.place);
            if reader.problems.is_empty() { Ok(config) } else { Err(reader.problems) }
        }
        Err(error) => {
            let (message, help) = explain(error.message());
            reader.problem(error.span().unwrap_or(0..0), message, help);
            Err(reader.problems)
        }
    }
}

/// Turns a message of the deserializer into one that names what was meant.
fn explain(message: &str) -> (String, Option<String>) {
    let listed = |rest: &str| -> Vec<String> { rest.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let known = [("unknown field `", "key"), ("unknown variant `", "value")];
    for (start, what) in known {
        let Some((wrong, rest)) = message.strip_prefix(start).and_then(|rest| rest.split_once('`')) else { continue };
        let names = listed(rest);
        let close = closest(wrong, names.iter().map(String::as_str));
        let close = close.map(|close| format!("; did you mean `{close}`?")).unwrap_or_default();
        return (format!("unknown {what} `{wrong}`{close}"), Some(format!("{what}s here: {}", names.join(", "))));
    }
    match message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`')) {
        Some(("reason", _)) => ("an exception needs a `reason`".to_owned(), Some("say why the grant stays".to_owned())),
        Some((field, _)) => (format!("the key `{field}` is missing"), None),
        None => (message.trim().replace('\n', ", "), None),
    }
}

struct Reader<'r> {
    lines: LineIndex<'r>,
    name: &'r Arc<str>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        self.lines.place(span)
    }

    fn problem(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let place = Some(self.place(span));
        self.problems.push(Problem {
            path: Arc::clone(self.name),
            place,
            kind: ProblemKind::Configuration,
            message,
            help,
        });
    }

    fn config(&mut self, raw: RawConfig, root: PathBuf) -> Config {
        let exclude = raw.exclude.map(|patterns| self.patterns(patterns));
        let include = raw.include.map(|patterns| self.patterns(patterns));
        let rules = self.rule_filter(raw.select, raw.ignore, raw.severity);
        let fail_on = raw.fail_on.map(|raw| {
            let value = match raw.get_ref() {
                RawFailOn::Error => FailOn::Error,
                RawFailOn::Warning => FailOn::Warning,
                RawFailOn::Note => FailOn::Note,
                RawFailOn::Never => FailOn::Never,
            };
            Setting { value, place: self.place(raw.span()) }
        });
        let kube_version = raw.kube_version.and_then(|raw| self.kube_version(&raw));
        let require_reason =
            raw.require_reason.map(|raw| Setting { value: *raw.get_ref(), place: self.place(raw.span()) });
        let overrides = raw.overrides.into_iter().map(|raw| self.override_of(raw)).collect();
        let accept = raw.accept.into_iter().map(|raw| self.accept(raw)).collect();
        Config {
            path: Some(Arc::clone(self.name)),
            root,
            exclude,
            include,
            rules,
            fail_on,
            kube_version,
            require_reason,
            overrides,
            accept,
        }
    }

    fn patterns(&mut self, raw: Spanned<Vec<Spanned<String>>>) -> Setting<Patterns> {
        let place = self.place(raw.span());
        let raw = raw.into_inner();
        let value = Patterns::new(raw.iter().map(|pattern| pattern.get_ref().as_str())).unwrap_or_else(|errors| {
            for (index, error) in errors {
                let span = raw.get(index).map_or(0..0, Spanned::span);
                self.problem(span, error, Some("patterns are those of .gitignore".to_owned()));
            }
            Patterns::empty()
        });
        Setting { value, place }
    }

    fn override_of(&mut self, raw: RawOverride) -> Override {
        let paths = self.patterns(raw.paths).value;
        Override { paths, rules: self.rule_filter(raw.select, raw.ignore, raw.severity) }
    }

    fn rule_filter(
        &mut self,
        select: Option<Spanned<Vec<Spanned<String>>>>,
        ignore: Option<Spanned<Vec<Spanned<String>>>>,
        severity: BTreeMap<Spanned<String>, Spanned<RawSeverity>>,
    ) -> RuleFilter {
        let mut rules = |raw: Spanned<Vec<Spanned<String>>>| {
            let place = self.place(raw.span());
            let value = raw.get_ref().iter().filter_map(|rule| self.rule(rule)).collect();
            Setting { value, place }
        };
        let (select, ignore) = (select.map(&mut rules), ignore.map(&mut rules));
        let severity = severity.into_iter().filter_map(|(rule, raw)| {
            let value = match raw.get_ref() {
                RawSeverity::Error => Severity::Error,
                RawSeverity::Warning => Severity::Warning,
                RawSeverity::Note => Severity::Note,
            };
            Some((self.rule(&rule)?, Setting { value, place: self.place(raw.span()) }))
        });
        RuleFilter { severity: severity.collect(), select, ignore }
    }

    fn rule(&mut self, raw: &Spanned<String>) -> Option<&'static str> {
        match find_rule(raw.get_ref()) {
            Ok(rule) => Some(rule.id()),
            Err(UnknownRule { id, close }) => {
                let close = close.map(|close| format!("; did you mean `{close}`?")).unwrap_or_default();
                let message = format!("unknown rule `{id}`{close}");
                self.problem(raw.span(), message, Some("`deputize rules` lists all rules".to_owned()));
                None
            }
        }
    }

    fn kube_version(&mut self, raw: &Spanned<String>) -> Option<Setting<KubeVersion>> {
        match raw.get_ref().parse() {
            Ok(value) => Some(Setting { value, place: self.place(raw.span()) }),
            Err(error) => {
                self.problem(raw.span(), error, Some("write it as \"1.37\"".to_owned()));
                None
            }
        }
    }

    fn accept(&mut self, raw: Spanned<RawAccept>) -> Accept {
        let span = raw.span();
        let RawAccept { rule, object, subject, fingerprint, reason, until } = raw.into_inner();
        if rule.is_none() && object.is_none() && subject.is_none() && fingerprint.is_none() {
            let help = "name at least one of rule, object, subject and fingerprint";
            self.problem(span.clone(), "this exception would accept everything".to_owned(), Some(help.to_owned()));
        }
        if reason.get_ref().trim().is_empty() {
            self.problem(reason.span(), "the reason is empty".to_owned(), Some("say why the grant stays".to_owned()));
        }
        let rules = rule.map(|rule| (rule.span(), rule.into_inner()));
        let rules = match rules {
            None => Vec::new(),
            Some((span, RawRules::One(rule))) => self.rule(&Spanned::new(span, rule)).into_iter().collect(),
            Some((_, RawRules::More(rules))) => rules.iter().filter_map(|rule| self.rule(rule)).collect(),
        };
        let object = object.map(|RawObject { kind, namespace, name }| AcceptedObject { kind, namespace, name });
        let subject = subject.map(|raw| self.subject(raw));
        let until = until.and_then(|raw| {
            let date = raw.get_ref().0.parse::<Date>();
            if date.is_err() {
                let message = format!("`{}` is not a date", raw.get_ref().0);
                self.problem(raw.span(), message, Some("write it as YYYY-MM-DD".to_owned()));
            }
            date.ok()
        });
        Accept {
            place: self.place(span),
            rules,
            object,
            subject,
            fingerprint: fingerprint.map(|raw| self.fingerprint(raw)),
            reason: reason.into_inner(),
            until,
        }
    }

    fn fingerprint(&mut self, raw: Spanned<String>) -> String {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if raw.get_ref().len() != 32 || !raw.get_ref().bytes().all(is_hex) {
            let help = "copy it from `check -o json`: 32 hexadecimal digits";
            self.problem(raw.span(), "this is not a fingerprint".to_owned(), Some(help.to_owned()));
        }
        raw.into_inner()
    }

    fn subject(&mut self, raw: Spanned<RawSubject>) -> AcceptedSubject {
        let span = raw.span();
        let RawSubject { kind, namespace, name } = raw.into_inner();
        let kind = match kind {
            RawSubjectKind::User => "User",
            RawSubjectKind::Group => "Group",
            RawSubjectKind::ServiceAccount => "ServiceAccount",
        };
        let wants_namespace = kind == "ServiceAccount";
        if wants_namespace != namespace.is_some() {
            let message = if wants_namespace {
                "a service account needs a namespace"
            } else {
                "only service accounts have a namespace"
            };
            self.problem(span, message.to_owned(), None);
        }
        AcceptedSubject { kind: kind.to_owned(), namespace, name }
    }
}

#[cfg(test)]
mod tests;
