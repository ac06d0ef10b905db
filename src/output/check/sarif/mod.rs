//! SARIF 2.1.0, for GitHub's code scanning and every other reader of it.

mod notifications;
mod shape;

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::io::{self, Write};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use self::notifications::{notifications, of_failure};
use self::shape::{
    ArtifactChange, ArtifactLocation, AutomationDetails, BaseId, BaseIds, Configuration, Descriptor, Driver, FixShape,
    Invocation, Location, Log, LogicalLocation, PartialFingerprints, PhysicalLocation, Properties, Region, Replacement,
    ResultShape, Run, Suppression, Text, Tool,
};
use super::place::{ReportedPath, Spot};
use super::{CheckRun, Checked};
use crate::about;
use crate::fix;
use crate::lint::{Finding, Rule, Severity, catalogue};
use crate::output::json::write_document;
use crate::syntax::Place;
use crate::triage::{Hidden, HiddenBy};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
const ROOT: &str = "SRCROOT";
/// GitHub takes no more results of one run.
const MAX_RESULTS: usize = 25_000;
/// Locations related to one result; GitHub refuses very long lists.
const MAX_RELATED: usize = 100;

/// What a URI holds as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// Writes the results, a run for each cluster.
pub(super) fn write(out: &mut dyn Write, run: &CheckRun<'_>) -> io::Result<()> {
    let of_worlds = run.worlds.iter().map(|world| run_of_world(run, world));
    let of_failures = run.failures.iter().map(|failure| {
        let notification = of_failure(failure);
        let (rules, notifications) = (Vec::new(), vec![notification]);
        run_shape(run, Some(&failure.name), rules, notifications, Results { run, rules: Vec::new(), list: Vec::new() })
    });
    let runs = of_worlds.chain(of_failures).collect();
    write_document(out, &Log { schema: SCHEMA, version: "2.1.0", runs })
}

fn run_of_world<'a>(run: &'a CheckRun<'a>, world: &'a Checked<'a>) -> Run<'a> {
    let reported = world.findings().iter().map(|finding| Listed { world, finding, hidden: None });
    let listed = world.triage.hidden.iter().filter(|hidden| !matches!(hidden.by, HiddenBy::Configuration { .. }));
    let hidden = listed.map(|hidden| Listed { world, finding: &hidden.finding, hidden: Some(hidden) });
    let mut list: Vec<Listed<'a>> = reported.chain(hidden).collect();
    // The worst first, since readers show so many only; those of one severity stay in the order of their places.
    list.sort_by_key(|listed| (listed.hidden.is_some(), Reverse(listed.finding.severity)));
    let left_out = list.len().saturating_sub(MAX_RESULTS);
    list.truncate(MAX_RESULTS);
    let used: BTreeSet<&str> = list.iter().map(|listed| listed.finding.rule).collect();
    let rules: Vec<&dyn Rule> = catalogue().iter().copied().filter(|rule| used.contains(rule.id())).collect();
    let descriptors = rules.iter().map(|rule| descriptor(*rule)).collect();
    let context = Some(world.context()).filter(|_| world.inventory().live);
    let rules = rules.iter().map(|rule| rule.id()).collect();
    run_shape(run, context, descriptors, notifications(run, world, left_out), Results { run, rules, list })
}

fn run_shape<'a>(
    run: &CheckRun<'_>,
    context: Option<&str>,
    rules: Vec<Descriptor>,
    notifications: Vec<shape::Notification>,
    results: Results<'a>,
) -> Run<'a> {
    let used: BTreeSet<&str> = notifications.iter().map(|notification| notification.descriptor.id).collect();
    let kinds = notifications::KINDS.iter().filter(|kind| used.contains(kind.id));
    let descriptors = kinds.map(|kind| Descriptor {
        full_description: Some(text(kind.description)),
        help: Some(text(kind.help)),
        ..plain_descriptor(kind.id, kind.description)
    });
    Run {
        tool: Tool {
            driver: Driver {
                name: "deputize",
                semantic_version: about::VERSION,
                information_uri: about::REPOSITORY,
                rules,
                notifications: descriptors.collect(),
            },
        },
        invocations: [Invocation {
            execution_successful: run.exit_code < 2,
            exit_code: run.exit_code,
            tool_execution_notifications: notifications,
        }],
        automation_details: context.map(|context| AutomationDetails { id: format!("deputize/{context}/") }),
        original_uri_base_ids: BaseIds { root: BaseId { uri: format!("{}/", file_uri(&run.repository.root_text())) } },
        column_kind: "unicodeCodePoints",
        newline_sequences: ["\r\n", "\n", "\r"],
        results,
    }
}

/// What is said of a rule: all that a reader needs who has this file alone.
fn descriptor(rule: &dyn Rule) -> Descriptor {
    let page = rule.page();
    let summary = page.summary();
    let why = page.section("Why").and_then(|why| why.split("\n\n").next()).unwrap_or(&summary).replace('\n', " ");
    let words = rule.id().split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    });
    let level = rule.severities().first().map_or("warning", |severity| level(*severity));
    Descriptor {
        name: Some(words.collect()),
        full_description: Some(text(&why)),
        default_configuration: Some(Configuration { level }),
        help_uri: about::rule_url(rule.id()),
        help: Some(Text {
            markdown: Some(page.text().to_owned()),
            ..text(page.section("What to do").unwrap_or(&summary))
        }),
        properties: Some(Properties { tags: ["security", "kubernetes", "rbac", "impersonation"] }),
        ..plain_descriptor(rule.id(), &summary)
    }
}

fn plain_descriptor(id: &'static str, description: &str) -> Descriptor {
    Descriptor {
        id,
        name: None,
        short_description: text(description),
        full_description: None,
        default_configuration: None,
        help_uri: None,
        help: None,
        properties: None,
    }
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A finding that is written.
pub(super) struct Listed<'a> {
    world: &'a Checked<'a>,
    finding: &'a Finding,
    hidden: Option<&'a Hidden>,
}

/// The results, which are made while they are written.
pub(super) struct Results<'a> {
    run: &'a CheckRun<'a>,
    rules: Vec<&'static str>,
    list: Vec<Listed<'a>>,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.list.len()))?;
        for listed in &self.list {
            list.serialize_element(&self.result(listed))?;
        }
        list.end()
    }
}

impl Results<'_> {
    fn result<'f>(&self, listed: &Listed<'f>) -> ResultShape<'f> {
        let Listed { world, finding, hidden } = listed;
        let run = self.run;
        let mut main = location(&run.spot(world, finding));
        main.logical_locations.extend(logical_location(world, finding));
        ResultShape {
            rule_id: finding.rule,
            rule_index: self.rules.iter().position(|rule| *rule == finding.rule),
            level: level(finding.severity),
            message: message_of(finding),
            locations: [main],
            related_locations: related_locations(run, world, finding),
            partial_fingerprints: PartialFingerprints { own: &finding.fingerprint },
            baseline_state: hidden.filter(|hidden| is_known_before(&hidden.by)).map(|_| "unchanged"),
            suppressions: hidden.iter().map(|hidden| suppression(run, &hidden.by)).collect(),
            fixes: self.fixes(finding),
        }
    }
}

impl Results<'_> {
    fn fixes(&self, finding: &Finding) -> Vec<FixShape> {
        let Some(replacements) = self.run.fixes.get(&finding.fingerprint) else { return Vec::new() };
        let change = |replacement: &fix::Replacement| ArtifactChange {
            artifact_location: artifact_location(&self.run.repository.locate(&replacement.path)),
            replacements: [Replacement {
                deleted_region: region(&replacement.place),
                inserted_content: (!replacement.text.is_empty()).then(|| text(&replacement.text)),
            }],
        };
        vec![FixShape {
            description: text("Apply the safe fix, which changes no permission."),
            artifact_changes: replacements.iter().map(change).collect(),
        }]
    }
}

/// The message as sentences, with what explains it and what to do.
fn message_of(finding: &Finding) -> Text {
    let mut message = sentence(&finding.message);
    for related in finding.related.iter().filter(|related| related.places.is_empty()) {
        message.push(' ');
        message.push_str(&sentence(&related.message));
    }
    message.push_str("\nHelp: ");
    message.push_str(&sentence(&finding.help));
    text(&message)
}

fn sentence(text: &str) -> String {
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}

/// Text of the input in a message. There `{0}` stands for an argument and `[a](b)` is a link, so both are escaped.
fn text(text: &str) -> Text {
    Text { text: literal(text), markdown: None }
}

fn literal(text: &str) -> String {
    let mut escaped = if text.contains("](") { text.replace('[', "\\[").replace(']', "\\]") } else { text.to_owned() };
    let digits = |rest: &str| rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0);
    let is_placeholder = |rest: &str| digits(rest).is_some_and(|end| rest[end..].starts_with('}'));
    if escaped.match_indices('{').any(|(at, _)| is_placeholder(&escaped[at + 1..])) {
        escaped = escaped.replace('{', "{{").replace('}', "}}");
    }
    escaped
}

fn is_known_before(by: &HiddenBy) -> bool {
    matches!(by, HiddenBy::Baseline { .. } | HiddenBy::BaseRevision { .. })
}

fn suppression(run: &CheckRun<'_>, by: &HiddenBy) -> Suppression {
    let until = by.until().map(|until| format!(" (until {until})")).unwrap_or_default();
    let justification = match (by, by.reason()) {
        (_, Some(reason)) => format!("{reason}{until}"),
        (HiddenBy::Baseline { path }, None) => format!("listed in the baseline {path}"),
        (HiddenBy::BaseRevision { revision }, None) => format!("found at the revision {revision}, too"),
        _ => "no reason is given".to_owned(),
    };
    Suppression {
        kind: if matches!(by, HiddenBy::Suppression { .. }) { "inSource" } else { "external" },
        status: "accepted",
        justification,
        location: by.source().map(|source| location(&run.spot_in_file(&source.path, source.place))),
    }
}

/// The object that a finding is about.
fn logical_location(world: &Checked<'_>, finding: &Finding) -> Option<LogicalLocation> {
    let meta = finding.about.meta(world.inventory())?;
    let context = Some(world.context()).filter(|_| world.inventory().live);
    let parts = [context, Some(meta.kind.as_str()), meta.namespace.as_deref(), Some(meta.name.as_str())];
    Some(LogicalLocation {
        name: meta.name.as_str().to_owned(),
        fully_qualified_name: parts.into_iter().flatten().collect::<Vec<_>>().join("/"),
        kind: "resource",
    })
}

/// Bindings and other places that belong to a finding, and other definitions of the same object.
fn related_locations(run: &CheckRun<'_>, world: &Checked<'_>, finding: &Finding) -> Vec<Location> {
    if world.inventory().live {
        return Vec::new();
    }
    let related = finding.related.iter().flat_map(|related| {
        let message = |label: &str| {
            if label.is_empty() { related.message.clone() } else { format!("{}: {label}", related.message) }
        };
        related.places.iter().map(move |(place, label)| (&related.path, *place, message(label)))
    });
    let meta = finding.about.meta(world.inventory());
    let copies = meta.into_iter().flat_map(|meta| &meta.copies);
    let copies = copies.map(|(path, place)| (path, *place, "the same definition".to_owned()));
    let all = related.chain(copies).take(MAX_RELATED).enumerate();
    all.map(|(index, (path, place, message))| Location {
        id: Some(index + 1),
        message: Some(text(&message)),
        ..location(&run.spot_in_file(path, place))
    })
    .collect()
}

fn location(spot: &Spot) -> Location {
    Location {
        id: None,
        physical_location: PhysicalLocation {
            artifact_location: artifact_location(&spot.path),
            region: spot.region.as_ref().map(region),
        },
        logical_locations: Vec::new(),
        message: None,
    }
}

fn artifact_location(path: &ReportedPath) -> ArtifactLocation {
    match path {
        ReportedPath::Inside(path) => ArtifactLocation { uri: encode(path), uri_base_id: Some(ROOT) },
        ReportedPath::Outside(_) => ArtifactLocation { uri: file_uri(&path.shown()), uri_base_id: None },
        ReportedPath::Stdin | ReportedPath::Object(_) => {
            ArtifactLocation { uri: encode(&path.shown()), uri_base_id: None }
        }
    }
}

fn encode(path: &str) -> String {
    utf8_percent_encode(path, PLAIN).to_string()
}

fn file_uri(path: &str) -> String {
    let path = path.trim_end_matches('/');
    format!("file://{}{}", if path.starts_with('/') || path.is_empty() { "" } else { "/" }, encode(path))
}

fn region(place: &Place) -> Region {
    Region {
        start_line: place.line,
        start_column: place.column,
        end_line: place.end_line,
        end_column: place.end_column,
        byte_offset: place.offset,
        byte_length: place.length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_the_input_is_no_link_and_no_placeholder() {
        assert_eq!(literal("User \"[a](https://b)\" {0}"), "User \"\\[a\\](https://b)\" {{0}}");
        assert_eq!(literal("{{ .Release.Name }} [x] {}"), "{{ .Release.Name }} [x] {}");
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(encode("a b/ü:#?.yaml"), "a%20b/%C3%BC%3A%23%3F.yaml");
        assert_eq!(file_uri("/a b/"), "file:///a%20b");
        assert_eq!(file_uri("/"), "file://");
        assert_eq!(file_uri("C:/a"), "file:///C%3A/a");
    }
}
