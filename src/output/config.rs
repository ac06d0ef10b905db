//! The settings in force and where each comes from, for people and as JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::escape;
use super::json::{Location, place_in, write_document};
use super::paint::Style;
use super::table::{Cell, Column, Tone, write_table};
use crate::config::{Config, Date};
use crate::syntax::Place;

/// A setting in force.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name, as the configuration spells it.
    pub key: String,
    /// Its value.
    pub value: EntryValue,
    /// Where it comes from.
    pub origin: Origin,
}

/// The value of a setting.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum EntryValue {
    /// Yes or no.
    Flag(bool),
    /// One text.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

/// Where a setting comes from. What comes later in this list wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing sets it.
    Default,
    /// The configuration file, at this place.
    File(Place),
    /// This environment variable.
    Environment(&'static str),
    /// This argument.
    CommandLine(&'static str),
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ConfigShape<'a> {
    schema: &'static str,
    file: Option<&'a str>,
    settings: Vec<SettingShape<'a>>,
    accept: Vec<AcceptShape<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SettingShape<'a> {
    key: &'a str,
    value: &'a EntryValue,
    from: FromShape<'a>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FromShape<'a> {
    kind: &'static str,
    name: Option<&'static str>,
    location: Option<Location<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct AcceptShape<'a> {
    rules: &'a [&'static str],
    object: Option<NamedShape<'a>>,
    subject: Option<NamedShape<'a>>,
    fingerprint: Option<&'a str>,
    reason: &'a str,
    until: Option<String>,
    location: Option<Location<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct NamedShape<'a> {
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
}

/// Writes the settings as one document.
///
/// # Errors
/// When `out` does.
pub fn write_json(out: &mut dyn Write, config: &Config, entries: &[Entry]) -> io::Result<()> {
    let file = config.path.as_deref();
    let location = |place: &Place| file.map(|path| place_in(path, place));
    let settings = entries.iter().map(|Entry { key, value, origin }| {
        let (kind, name, place) = match origin {
            Origin::Default => ("default", None, None),
            Origin::File(place) => ("file", None, location(place)),
            Origin::Environment(name) => ("environment", Some(*name), None),
            Origin::CommandLine(name) => ("command-line", Some(*name), None),
        };
        SettingShape { key, value, from: FromShape { kind, name, location: place } }
    });
    let accept = config.accept.iter().map(|accept| AcceptShape {
        rules: &accept.rules,
        object: accept.object.as_ref().map(|object| NamedShape {
            kind: &object.kind,
            namespace: object.namespace.as_deref(),
            name: &object.name,
        }),
        subject: accept.subject.as_ref().map(|subject| NamedShape {
            kind: &subject.kind,
            namespace: subject.namespace.as_deref(),
            name: &subject.name,
        }),
        fingerprint: accept.fingerprint.as_deref(),
        reason: &accept.reason,
        until: accept.until.map(|until| until.to_string()),
        location: location(&accept.place),
    });
    let (settings, accept) = (settings.collect(), accept.collect());
    write_document(out, &ConfigShape { schema: "deputize.config/v1", file, settings, accept })
}

/// Writes the settings as a table, and the exceptions below it.
///
/// # Errors
/// When `out` does.
pub fn write_human(
    out: &mut dyn Write,
    config: &Config,
    entries: &[Entry],
    today: Date,
    style: Style,
) -> io::Result<()> {
    let file = config.path.as_deref();
    match file {
        Some(path) => writeln!(out, "configuration {}\n", escape(path))?,
        None => writeln!(out, "no configuration file\n")?,
    }
    let at = |place: &Place| format!("{}:{}:{}", file.unwrap_or_default(), place.line, place.column);
    let rows = entries.iter().map(|Entry { key, value, origin }| {
        let value = match value {
            EntryValue::Flag(value) => value.to_string(),
            EntryValue::Text(value) => value.clone(),
            EntryValue::List(values) => values.join(", "),
        };
        let from = match origin {
            Origin::Default => "default".to_owned(),
            Origin::File(place) => at(place),
            Origin::Environment(name) => format!("environment: {name}"),
            Origin::CommandLine(name) => format!("argument: {name}"),
        };
        let tone = if matches!(origin, Origin::Default) { Tone::Quiet } else { Tone::Plain };
        [Cell::from(key.clone()), Cell::from(value), Cell::new(from, tone)]
    });
    write_table(out, style, ["SETTING", "VALUE", "FROM"].map(Column::new), rows.collect())?;
    if config.accept.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows = config.accept.iter().map(|accept| {
        let until = match accept.until {
            Some(until) if accept.counts_on(today) => Cell::from(until.to_string()),
            Some(until) => Cell::new(format!("{until} (ended)"), Tone::Attention),
            None => Cell::from("-"),
        };
        [Cell::from(accept.describe()), Cell::from(accept.reason.clone()), until, Cell::from(at(&accept.place))]
    });
    let columns = [
        Column::new("ACCEPTS"),
        Column::new("REASON").prose(20),
        Column::new("UNTIL"),
        Column::new("FROM").optional(1),
    ];
    write_table(out, style, columns, rows.collect())
}
