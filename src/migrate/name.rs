//! Names of generated objects.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};
use smol_str::SmolStr;

use super::manifest::{LABEL_MODE, Scope};
use crate::evidence::Impersonator;
use crate::inventory::{DEFAULT_NAMESPACE, Inventory, ObjectKey, ObjectKind, ObjectMeta, SubjectKind};

/// Longest part of a name that is taken unchanged from a subject.
const MAX_SUBJECT: usize = 100;

/// Longest fixed part of a name template.
const MAX_LITERAL: usize = 100;

/// What follows the prefix in names without a template of their own.
const AFTER_PREFIX: &str = "{mode}:{kind}:{subject}";

/// The prefix of names without another one.
const DEFAULT_PREFIX: &str = "deputize:";

/// How generated objects are named. Two impersonators with one name are told apart by a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Field(Field),
}

/// What a template can fill in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Mode,
    Kind,
    Subject,
    Namespace,
    Name,
    Hash,
}

impl Field {
    const ALL: [(&'static str, Self); 6] = [
        ("mode", Self::Mode),
        ("kind", Self::Kind),
        ("subject", Self::Subject),
        ("namespace", Self::Namespace),
        ("name", Self::Name),
        ("hash", Self::Hash),
    ];

    fn of(self, impersonator: &Impersonator, mode: &str) -> String {
        let kind = match impersonator.kind {
            SubjectKind::ServiceAccount => "sa",
            SubjectKind::User => "user",
            SubjectKind::Group => "group",
            SubjectKind::Unknown(_) => "unknown",
        };
        let subject = || match &impersonator.namespace {
            Some(namespace) => format!("{namespace}:{}", impersonator.name),
            None => impersonator.name.to_string(),
        };
        match self {
            Self::Mode => mode.to_owned(),
            Self::Kind => kind.to_owned(),
            Self::Subject => plain(&subject()),
            Self::Namespace => impersonator.namespace.as_deref().map(plain).unwrap_or_default(),
            Self::Name => plain(&impersonator.name),
            Self::Hash => short_hash(&format!("{kind}:{}", subject())),
        }
    }
}

impl Default for NameTemplate {
    /// `deputize:user-info:sa:apps:deputy`.
    fn default() -> Self {
        let literal = |text: &str| Part::Literal(text.to_owned());
        let (mode, kind, subject) = (Part::Field(Field::Mode), Part::Field(Field::Kind), Part::Field(Field::Subject));
        Self(vec![literal(DEFAULT_PREFIX), mode, literal(":"), kind, literal(":"), subject])
    }
}

impl NameTemplate {
    /// Reads a template such as `acme-{mode}-{namespace}-{name}`.
    ///
    /// # Errors
    /// When a name made of it would be refused by the API server, or would not tell modes and subjects apart.
    pub fn parse(template: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, field) = rest.split_at(open);
            let Some((name, after)) = field.strip_prefix('{').and_then(|field| field.split_once('}')) else {
                return Err("a brace has no counterpart".to_owned());
            };
            let Some((_, field)) = Field::ALL.into_iter().find(|(known, _)| *known == name) else {
                let known: Vec<String> = Field::ALL.iter().map(|(name, _)| format!("{{{name}}}")).collect();
                return Err(format!("`{{{name}}}` is unknown: use {}", known.join(", ")));
            };
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned()));
            }
            parts.push(Part::Field(field));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        let has = |fields: &[Field]| parts.iter().any(|part| matches!(part, Part::Field(it) if fields.contains(it)));
        if !has(&[Field::Mode]) {
            return Err("it needs `{mode}`: an impersonator can have several modes".to_owned());
        }
        if !has(&[Field::Subject, Field::Name, Field::Hash]) {
            return Err(
                "it needs `{subject}`, `{name}` or `{hash}`: each impersonator has objects of its own".to_owned()
            );
        }
        let literals =
            || parts.iter().filter_map(|part| if let Part::Literal(text) = part { Some(text) } else { None });
        literals().try_for_each(|text| check_literal(text))?;
        if literals().map(String::len).sum::<usize>() > MAX_LITERAL {
            return Err(format!("its fixed part is longer than {MAX_LITERAL} characters"));
        }
        if template.starts_with("system:") {
            return Err("names that start with `system:` are reserved for Kubernetes".to_owned());
        }
        Ok(Self(parts))
    }

    /// The default template with another prefix.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn with_prefix(prefix: &str) -> Result<Self, String> {
        check_literal(prefix)?;
        Self::parse(&format!("{prefix}{AFTER_PREFIX}"))
    }

    /// The name of the objects that give `impersonator` a mode.
    ///
    /// What is long, or holds a character that would have to be quoted or is not allowed, is cut and gets a hash after a
    /// `~`, which no other part of a name holds.
    fn name(&self, impersonator: &Impersonator, mode: &str) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Field(field) => field.of(impersonator, mode),
        };
        self.0.iter().map(part).collect()
    }
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._:@".contains(c)
}

fn check_literal(text: &str) -> Result<(), String> {
    match text.chars().find(|c| !is_plain(*c)) {
        None => Ok(()),
        Some(c) => Err(format!("{c:?} cannot be part of it: use letters, digits and `-._:@`")),
    }
}

fn plain(subject: &str) -> String {
    if subject.len() <= MAX_SUBJECT && !subject.is_empty() && subject.chars().all(is_plain) {
        return subject.to_owned();
    }
    let start: String = subject.chars().map(|c| if is_plain(c) { c } else { '-' }).take(40).collect();
    format!("{start}~{}", short_hash(subject))
}

/// Twelve hexadecimal digits that tell names apart which look alike once they are cut to what is allowed somewhere.
pub fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Whom an earlier run gave a mode, and in which namespace; none for all.
type Earlier = (Impersonator, SmolStr, Option<SmolStr>);

/// Names of objects that are taken.
pub(super) struct Names {
    template: NameTemplate,
    taken: BTreeSet<ObjectKey>,
    /// What an earlier run's objects are called. They keep their names; rules that do not fit into one role have several.
    earlier: BTreeMap<Earlier, BTreeSet<(usize, SmolStr)>>,
    /// The same names, by namespace.
    reserved: BTreeSet<(Option<SmolStr>, SmolStr)>,
}

impl Names {
    /// Collects the names of the input. `own` are objects of an earlier run that are replaced.
    pub fn new(inventory: &Inventory, own: &[ObjectKey], template: NameTemplate) -> Self {
        let roles = inventory.roles.iter().map(|role| role.meta.key());
        let bindings = inventory.bindings.iter().map(|binding| binding.meta.key());
        let own: BTreeSet<&ObjectKey> = own.iter().collect();
        let mut earlier: BTreeMap<Earlier, BTreeSet<(usize, SmolStr)>> = BTreeMap::new();
        for binding in inventory.bindings.iter().filter(|binding| own.contains(&binding.meta.key())) {
            let (meta, name) = (&binding.meta, &binding.meta.name.value);
            if let ([subject], Some(mode)) = (binding.subjects.as_slice(), meta.label(LABEL_MODE))
                && binding.role_ref.name.value == *name
                && own.contains(&role_key(meta))
            {
                let key = (Impersonator::of_subject(subject), SmolStr::new(mode), meta.key().namespace);
                // `name~2` comes before `name~10`.
                earlier.entry(key).or_default().insert((name.len(), name.clone()));
            }
        }
        let of_one = |((_, _, namespace), names): (&Earlier, &BTreeSet<(usize, SmolStr)>)| {
            names.iter().map(|(_, name)| (namespace.clone(), name.clone())).collect::<Vec<_>>()
        };
        let reserved = earlier.iter().flat_map(of_one).collect();
        Self { template, taken: roles.chain(bindings).filter(|key| !own.contains(key)).collect(), earlier, reserved }
    }

    /// The name of the objects that give an impersonator a mode in a scope: that of an earlier run, else the template's, or
    /// the first of `name~2`, `name~3`, … that neither a role nor a binding has there.
    pub fn name(&mut self, impersonator: &Impersonator, mode: &str, scope: &Scope) -> String {
        let (kinds, namespace) = match scope {
            Scope::Cluster => ([ObjectKind::ClusterRole, ObjectKind::ClusterRoleBinding], None),
            Scope::Namespace(namespace) => {
                let namespace = namespace.clone().unwrap_or(SmolStr::new_static(DEFAULT_NAMESPACE));
                ([ObjectKind::Role, ObjectKind::RoleBinding], Some(namespace))
            }
        };
        let keys = |name: &str| {
            let key = |kind| ObjectKey { kind, namespace: namespace.clone(), name: SmolStr::new(name) };
            kinds.map(key)
        };
        let is_reserved = |name: &str| self.reserved.contains(&(namespace.clone(), SmolStr::new(name)));
        let is_free = |name: &str| keys(name).iter().all(|key| !self.taken.contains(key));
        let earlier = self.earlier.get(&(impersonator.clone(), SmolStr::new(mode), namespace.clone()));
        let name = match earlier.into_iter().flatten().find(|(_, name)| is_free(name)) {
            Some((_, name)) => name.to_string(),
            None => {
                let wanted = self.template.name(impersonator, mode);
                let numbered = (2..).map(|number| format!("{wanted}~{number}"));
                let mut names = std::iter::once(wanted.clone()).chain(numbered);
                names.find(|name| is_free(name) && !is_reserved(name)).unwrap_or_default()
            }
        };
        self.taken.extend(keys(&name));
        name
    }
}

/// The role that the generated binding with this metadata gives.
fn role_key(binding: &ObjectMeta) -> ObjectKey {
    let key = binding.key();
    let kind = if binding.kind.is_namespaced() { ObjectKind::Role } else { ObjectKind::ClusterRole };
    ObjectKey { kind, ..key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn impersonator(kind: SubjectKind, namespace: Option<&str>, name: &str) -> Impersonator {
        Impersonator { kind, namespace: namespace.map(Into::into), name: name.into() }
    }

    fn named(template: &NameTemplate, kind: SubjectKind, namespace: Option<&str>, name: &str) -> String {
        template.name(&impersonator(kind, namespace, name), "user-info")
    }

    #[test]
    fn names() {
        let of = |kind, namespace: Option<&str>, name: &str| named(&NameTemplate::default(), kind, namespace, name);
        assert_eq!(of(SubjectKind::ServiceAccount, Some("apps"), "deputy"), "deputize:user-info:sa:apps:deputy");
        assert_eq!(of(SubjectKind::Group, None, "oidc:devs"), "deputize:user-info:group:oidc:devs");
        assert_eq!(of(SubjectKind::User, None, "a/b%c"), "deputize:user-info:user:a-b-c~861ecc5bf556");
        assert_ne!(of(SubjectKind::User, None, "a/b"), of(SubjectKind::User, None, "a%b"));
        assert!(of(SubjectKind::User, None, &"ü".repeat(400)).len() < 100);
    }

    #[test]
    fn templates() {
        let of = |template: &str| {
            let template = NameTemplate::parse(template).unwrap();
            named(&template, SubjectKind::ServiceAccount, Some("apps"), "deputy")
        };
        assert_eq!(of("acme-{mode}-{namespace}-{name}"), "acme-user-info-apps-deputy");
        assert_eq!(of("{hash}.{mode}.{kind}"), format!("{}.user-info.sa", short_hash("sa:apps:deputy")));
        let prefixed = NameTemplate::with_prefix("acme-").unwrap();
        assert_eq!(named(&prefixed, SubjectKind::User, None, "bob"), "acme-user-info:user:bob");
        assert_eq!(NameTemplate::with_prefix(DEFAULT_PREFIX), Ok(NameTemplate::default()));
        for wrong in [
            "",
            "a",
            "{mode}",
            "{name}",
            "{mode}{nam}",
            "{mode}{name",
            "{mode}}{name}",
            "{mode}/{name}",
            "{mode} {name}",
            "{mode}%{name}",
            "{mode}~{name}",
            "system:{mode}:{name}",
            "{mode}\u{202e}{name}",
        ] {
            assert!(NameTemplate::parse(wrong).is_err(), "{wrong}");
        }
        assert!(NameTemplate::parse(&format!("{}{{mode}}{{name}}", "a".repeat(MAX_LITERAL))).is_ok());
        assert!(NameTemplate::parse(&format!("{}{{mode}}{{name}}", "a".repeat(MAX_LITERAL + 1))).is_err());
        for wrong in ["system:", "a{name}", "a b", "ä"] {
            assert!(NameTemplate::with_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_do_not_collide() {
        let template = NameTemplate::parse("{mode}-{name}").unwrap();
        let mut names = Names::new(&Inventory::default(), &[], template);
        let in_namespace = |namespace| impersonator(SubjectKind::ServiceAccount, Some(namespace), "a");
        let mut name = |namespace, scope: &Scope| names.name(&in_namespace(namespace), "user-info", scope);
        assert_eq!(name("x", &Scope::Cluster), "user-info-a");
        assert_eq!(name("y", &Scope::Cluster), "user-info-a~2");
        assert_eq!(name("y", &Scope::Namespace(None)), "user-info-a");
    }
}
