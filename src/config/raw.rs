//! The configuration as it is written. The JSON Schema in `docs/schema/config.json` is made from these types; their
//! comments are its descriptions.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::value::Datetime;

/// Settings of deputize for a repository
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RawConfig {
    /// Files and directories that are not read: patterns as in .gitignore, relative to this file
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub exclude: Option<Spanned<Vec<Spanned<String>>>>,
    /// The only files that are read, as patterns; default: all
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub include: Option<Spanned<Vec<Spanned<String>>>>,
    /// The rules that are reported; default: all
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub select: Option<Spanned<Vec<Spanned<String>>>>,
    /// Rules that are not reported
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub ignore: Option<Spanned<Vec<Spanned<String>>>>,
    /// Severity by rule
    #[cfg_attr(test, schemars(with = "BTreeMap<String, RawSeverity>"))]
    pub severity: BTreeMap<Spanned<String>, Spanned<RawSeverity>>,
    /// The severity from which findings make the exit status 1; default: warning
    #[cfg_attr(test, schemars(with = "Option<RawFailOn>"))]
    pub fail_on: Option<Spanned<RawFailOn>>,
    /// The Kubernetes version to check against, as X.Y
    #[cfg_attr(test, schemars(with = "Option<String>", regex(pattern = r"^1\.[0-9]+$")))]
    pub kube_version: Option<Spanned<String>>,
    /// Whether a comment or annotation that hides findings needs a reason; default: false
    #[cfg_attr(test, schemars(with = "Option<bool>"))]
    pub require_reason: Option<Spanned<bool>>,
    /// Settings for some paths; later ones win
    pub overrides: Vec<RawOverride>,
    /// Exceptions: grants that stay
    #[cfg_attr(test, schemars(with = "Vec<RawAccept>"))]
    pub accept: Vec<Spanned<RawAccept>>,
}

/// Settings for some paths
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawOverride {
    /// The paths: patterns as in .gitignore, relative to this file
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub paths: Spanned<Vec<Spanned<String>>>,
    /// The rules that are reported there; default: all
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub select: Option<Spanned<Vec<Spanned<String>>>>,
    /// Rules that are not reported there
    #[cfg_attr(test, schemars(with = "Option<Vec<String>>"))]
    pub ignore: Option<Spanned<Vec<Spanned<String>>>>,
    /// Severity by rule
    #[cfg_attr(test, schemars(with = "BTreeMap<String, RawSeverity>"))]
    #[serde(default)]
    pub severity: BTreeMap<Spanned<String>, Spanned<RawSeverity>>,
}

/// An exception: findings to which all of its conditions apply are accepted. It needs at least one condition
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawAccept {
    /// The rule or rules
    #[cfg_attr(test, schemars(with = "Option<OneOrMore>"))]
    pub rule: Option<Spanned<RawRules>>,
    /// The object that the finding is about
    pub object: Option<RawObject>,
    /// A subject that has the grant. Every subject of a finding needs an exception
    #[cfg_attr(test, schemars(with = "Option<RawSubject>"))]
    pub subject: Option<Spanned<RawSubject>>,
    /// The finding's fingerprint
    #[cfg_attr(test, schemars(with = "Option<String>", regex(pattern = "^[0-9a-f]{32}$")))]
    pub fingerprint: Option<Spanned<String>>,
    /// Why the grant stays
    #[cfg_attr(test, schemars(with = "String", length(min = 1)))]
    pub reason: Spanned<String>,
    /// The last day on which the exception counts, as YYYY-MM-DD
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date")))]
    pub until: Option<Spanned<RawDate>>,
}

/// An object by kind, namespace and name
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawObject {
    /// The kind, such as ClusterRole
    pub kind: String,
    /// The namespace; default for a namespaced kind: default
    pub namespace: Option<String>,
    /// The name
    pub name: String,
}

/// A subject by kind, namespace and name
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RawSubject {
    /// The kind
    pub kind: RawSubjectKind,
    /// The namespace of a service account
    pub namespace: Option<String>,
    /// The name
    pub name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) enum RawSubjectKind {
    User,
    Group,
    ServiceAccount,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawSeverity {
    Error,
    Warning,
    Note,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum RawFailOn {
    Error,
    Warning,
    Note,
    Never,
}

/// One rule or several, for the schema.
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// One rule or several.
#[derive(Debug)]
pub(super) enum RawRules {
    One(String),
    More(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for RawRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RulesVisitor;
        impl<'de> Visitor<'de> for RulesVisitor {
            type Value = RawRules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a rule, or a list of names")
            }

            fn visit_str<E: Error>(self, rule: &str) -> Result<RawRules, E> {
                Ok(RawRules::One(rule.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut rules: A) -> Result<RawRules, A::Error> {
                let mut read = Vec::new();
                while let Some(rule) = rules.next_element()? {
                    read.push(rule);
                }
                Ok(RawRules::More(read))
            }
        }
        deserializer.deserialize_any(RulesVisitor)
    }
}

/// A date, as a string or as TOML's own.
#[derive(Debug)]
pub(super) struct RawDate(pub String);

impl<'de> Deserialize<'de> for RawDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct DateVisitor;
        impl<'de> Visitor<'de> for DateVisitor {
            type Value = RawDate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a date of the form YYYY-MM-DD")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RawDate, E> {
                Ok(RawDate(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RawDate, A::Error> {
                Datetime::deserialize(MapAccessDeserializer::new(map)).map(|date| RawDate(date.to_string()))
            }
        }
        deserializer.deserialize_any(DateVisitor)
    }
}
