//! Charts as helm renders them, against the same charts as they are read unrendered: what is found in the rendering must be
//! covered by what is found in the templates.
//!
//! Needs Go to build helm (`tests/helm/build`), and real charts: `DEPUTIZE_CORPUS`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use deputize::authority::Mode;
use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, Text, load, load_bytes};

/// One grant in one template: the file, the verb, and what it reaches.
type Key = (String, String, String);

/// How a grant is there: for which names (none: any), and whether it takes effect.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct How {
    names: Option<Vec<String>>,
    effective: bool,
}

fn grants_of(inventory: &Inventory, file: &dyn Fn(&str, u32) -> String) -> BTreeMap<Key, BTreeSet<How>> {
    let grants = Grants::new(inventory);
    let mut found: BTreeMap<Key, BTreeSet<How>> = BTreeMap::new();
    for (from, index, rule, granted) in grants.granting_rules() {
        let holders = grants.holders(from);
        for entry in grants.entries(from, index, &granted, &holders) {
            let verb = &rule.verbs[entry.grant.verb];
            let identity = &entry.grant.identity;
            let what = format!(
                "{} {:?} {}/{}",
                entry.grant.mode.map_or("-", Mode::as_str),
                identity.api_group,
                identity.resource,
                identity.extra_key.as_deref().unwrap_or_default()
            );
            let path = &inventory.role(from).meta.path;
            let key = (file(path, verb.place.line), verb.as_str().to_owned(), what);
            let names = rule.resource_names.iter().map(Text::as_str).map(str::to_owned).collect();
            let names = (!rule.resource_names.is_empty()).then_some(names);
            found.entry(key).or_default().insert(How { names, effective: entry.reason.is_none() });
        }
    }
    found
}

/// Whether what is written of a name in a template fits a name.
fn fits(written: &str, name: &str) -> bool {
    match (written.find("{{"), written.rfind("}}")) {
        (Some(start), Some(end)) => name.starts_with(&written[..start]) && name.ends_with(&written[end + 2..]),
        _ => written == name,
    }
}

fn covers(unrendered: &How, rendered: &How) -> bool {
    let names = match (&unrendered.names, &rendered.names) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(written), Some(names)) => names.iter().all(|name| written.iter().any(|written| fits(written, name))),
    };
    names && (unrendered.effective || !rendered.effective)
}

/// The template from which each line of a rendering comes.
fn source_of(rendered: &str, line: u32) -> String {
    let before: Vec<&str> = rendered.lines().take(line as usize).collect();
    let source = before.iter().rev().find_map(|line| line.strip_prefix("# Source: "));
    // The first part is the chart's name.
    source.and_then(|source| source.split_once('/')).map_or_else(String::new, |(_, path)| path.to_owned())
}

/// The values that stand alone in the conditions of roles that grant something.
fn switches(inventory: &Inventory) -> BTreeSet<String> {
    let grants = Grants::new(inventory);
    let mut found = BTreeSet::new();
    for (role, _, rule, granted) in grants.granting_rules() {
        let verbs = granted.iter().map(|grant| &rule.verbs[grant.verb].place);
        for condition in verbs.flat_map(|place| inventory.role(role).meta.conditions(place)) {
            let words = condition.split(|c: char| c.is_whitespace() || "()".contains(c));
            found.extend(words.filter_map(|word| word.strip_prefix(".Values.")).map(str::to_owned));
        }
    }
    found
}

fn charts() -> Vec<PathBuf> {
    let root = PathBuf::from(std::env::var_os("DEPUTIZE_CORPUS").expect("DEPUTIZE_CORPUS names the corpus"));
    let files = walkdir::WalkDir::new(root).sort_by_file_name().into_iter().map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.ends_with("Chart.yaml")).map(|path| path.parent().unwrap().to_owned()).collect()
}

fn helm() -> PathBuf {
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helm/build");
    let output = Command::new(build).stderr(std::process::Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "helm could not be built; it needs Go");
    String::from_utf8(output.stdout).unwrap().lines().last().unwrap().into()
}

/// The chart without what it depends on, so that helm renders it though that is not there.
fn alone(chart: &Path, into: &Path) {
    for entry in walkdir::WalkDir::new(chart) {
        let entry = entry.unwrap();
        let to = into.join(entry.path().strip_prefix(chart).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(to).unwrap();
        } else {
            std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
    let text = std::fs::read_to_string(into.join("Chart.yaml")).unwrap();
    let mut kept = String::new();
    let mut within = false;
    for line in text.lines() {
        within = if line.starts_with("dependencies:") { true } else { within && line.starts_with([' ', '-', '#']) };
        if !within {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    std::fs::write(into.join("Chart.yaml"), kept).unwrap();
}

#[test]
#[ignore = "needs Go to build helm, and real charts: DEPUTIZE_CORPUS"]
fn what_is_granted_in_a_rendering_is_found_unrendered() {
    let helm = helm();
    let (mut rendered_charts, mut turned_on, mut failed, mut compared) = (0, 0, Vec::new(), 0);
    let mut differences = Vec::new();
    for chart in charts() {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("chart");
        alone(&chart, &copy);
        let home = directory.path().join("home");
        let render = |settings: &[String]| {
            let mut command = Command::new(&helm);
            command.args(["template", "release", "chart", "--namespace", "apps", "--skip-crds"]).args(settings);
            let output = command.current_dir(directory.path()).env_clear().env("HOME", &home).output().unwrap();
            let why = String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().to_owned();
            if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(why) }
        };
        let text = match render(&[]) {
            Ok(text) => text,
            Err(why) => {
                failed.push(format!("{}: {why}", chart.display()));
                continue;
            }
        };
        rendered_charts += 1;
        let inventory = load(std::slice::from_ref(&copy), &LoadOptions::default());
        let mut rendered = grants_of(&load_bytes("rendered.yaml", text.as_bytes()), &|_, line| source_of(&text, line));
        // Once more with everything turned on that some grant depends on, as far as that is a matter of yes or no.
        let settings: Vec<String> =
            switches(&inventory).into_iter().flat_map(|path| ["--set".to_owned(), format!("{path}=true")]).collect();
        if !settings.is_empty()
            && let Ok(text) = render(&settings)
        {
            turned_on += 1;
            let on = grants_of(&load_bytes("rendered.yaml", text.as_bytes()), &|_, line| source_of(&text, line));
            on.into_iter().for_each(|(key, hows)| rendered.entry(key).or_default().extend(hows));
        }
        let prefix = format!("{}/", copy.display());
        let unrendered = grants_of(&inventory, &|path, _| path.strip_prefix(&prefix).unwrap_or(path).to_owned());
        for (key, hows) in &rendered {
            for how in hows {
                compared += 1;
                if !unrendered.get(key).is_some_and(|found| found.iter().any(|found| covers(found, how))) {
                    let listed: Vec<&str> = inventory
                        .coverage
                        .unread
                        .iter()
                        .filter(|unread| unread.path.ends_with(&key.0))
                        .map(|unread| unread.reason.as_str())
                        .collect();
                    differences.push((
                        format!("{}: {key:?} {how:?}", chart.display()),
                        !listed.is_empty(),
                        listed.join("; "),
                    ));
                }
            }
        }
    }
    println!(
        "{rendered_charts} charts rendered, {turned_on} of them in two ways, {compared} grants compared, {} differences",
        differences.len()
    );
    for chart in &failed {
        println!("not rendered: {chart}");
    }
    for (difference, _, why) in &differences {
        println!("differs: {difference}; not looked at: {why}");
    }
    assert!(rendered_charts > 20 && compared > 20, "{rendered_charts} {compared}");
    let unexplained: Vec<_> = differences.iter().filter(|(_, listed, _)| !listed).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
}
