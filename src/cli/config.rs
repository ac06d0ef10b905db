//! `deputize config`.

use std::io::Write;

use clap::ArgMatches;
use clap::parser::ValueSource;
use deputize::authority::KubeVersion;
use deputize::config::{Config, Date, Override, RuleFilter, Setting};
use deputize::output::config::{Entry, EntryValue, Origin, write_human, write_json};
use deputize::source::Patterns;

use super::input::InputArgs;
use super::settings::{RuleArgs, VersionArg};
use super::terminal::{self, Output};
use super::{Outcome, Status};

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 the settings are valid, 2 the configuration has errors.")]
pub(super) struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// How settings are printed
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    version: VersionArg,
}

pub(super) fn run(args: &Args, matches: &ArgMatches) -> Outcome {
    let config = args.input.config()?;
    let matches = matches.subcommand().map_or(matches, |(_, matches)| matches);
    let entries = entries(args, config, matches);
    let mut out = terminal::stdout();
    let printed = match args.output {
        Output::Human => write_human(&mut out, config, &entries, Date::today(), terminal::style()),
        Output::Json => write_json(&mut out, config, &entries),
    };
    terminal::unless_closed(printed.and_then(|()| out.flush()))?;
    Ok(Status::Clean)
}

/// The settings in force.
fn entries(args: &Args, config: &Config, matches: &ArgMatches) -> Vec<Entry> {
    let over = args.rules.over(config);
    let set = |argument: &str, flag: &'static str, variable: &'static str| match matches.value_source(argument) {
        Some(ValueSource::CommandLine) => Some(Origin::CommandLine(flag)),
        Some(ValueSource::EnvVariable) => Some(Origin::Environment(variable)),
        _ => None,
    };
    let mut entries = Vec::new();
    let mut add = |key: &str, value: EntryValue, origin: Option<Origin>| {
        entries.push(Entry { key: key.to_owned(), value, origin: origin.unwrap_or(Origin::Default) });
    };
    let none = || EntryValue::Text("none".to_owned());
    let all = || EntryValue::Text("all".to_owned());
    let patterns = |setting: &Setting<Patterns>| EntryValue::List(setting.value.as_written().to_vec());
    add("exclude", config.exclude.as_ref().map_or_else(none, patterns), config.exclude.as_ref().map(place));
    add("include", config.include.as_ref().map_or_else(all, patterns), config.include.as_ref().map(place));
    let given = |rules: &[String]| (!rules.is_empty()).then(|| EntryValue::List(rules.to_vec()));
    let rules = |setting: &Setting<Vec<&'static str>>| EntryValue::List(names(&setting.value));
    let select = set("select", "--select", "DEPUTIZE_SELECT");
    let value = given(&args.rules.select).or_else(|| over.rules.select.as_ref().map(rules));
    add("select", value.unwrap_or_else(all), select.or_else(|| over.rules.select.as_ref().map(place)));
    let ignore = set("ignore", "--ignore", "DEPUTIZE_IGNORE");
    let value = given(&args.rules.ignore).or_else(|| over.rules.ignore.as_ref().map(rules));
    add("ignore", value.unwrap_or_else(none), ignore.or_else(|| over.rules.ignore.as_ref().map(place)));
    let fail_on = set("fail_on", "--fail-on", "DEPUTIZE_FAIL_ON");
    let value = EntryValue::Text(args.rules.fail_on(config).as_str().to_owned());
    add("fail-on", value, fail_on.or_else(|| config.fail_on.as_ref().map(place)));
    let version = set("kube_version", "--kube-version", "DEPUTIZE_KUBE_VERSION");
    let value = args.version.over(&args.input).given.map_or_else(
        || format!("that of the cluster or snapshot, otherwise {}", KubeVersion::NEWEST),
        |version| version.to_string(),
    );
    add("kube-version", EntryValue::Text(value), version.or_else(|| config.kube_version.as_ref().map(place)));
    let reason = config.require_reason.as_ref();
    add("require-reason", EntryValue::Flag(reason.is_some_and(|setting| setting.value)), reason.map(place));
    add_rules(&mut add, "", &RuleFilter { severity: config.rules.severity.clone(), ..RuleFilter::default() });
    for Override { paths, rules } in &config.overrides {
        add_rules(&mut add, &format!("{}: ", paths.as_written().join(", ")), rules);
    }
    entries
}

/// Adds what is set for rules, here or for some paths.
fn add_rules(add: &mut dyn FnMut(&str, EntryValue, Option<Origin>), paths: &str, rules: &RuleFilter) {
    for (key, setting) in [("select", &rules.select), ("ignore", &rules.ignore)] {
        if let Some(setting) = setting {
            add(&format!("{paths}{key}"), EntryValue::List(names(&setting.value)), Some(place(setting)));
        }
    }
    for (rule, severity) in &rules.severity {
        let value = EntryValue::Text(severity.value.as_str().to_owned());
        add(&format!("{paths}severity of {rule}"), value, Some(place(severity)));
    }
}

fn names(rules: &[&'static str]) -> Vec<String> {
    rules.iter().map(|rule| (*rule).to_owned()).collect()
}

fn place<T>(setting: &Setting<T>) -> Origin {
    Origin::File(setting.place)
}
