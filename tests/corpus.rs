//! Real manifests: every verb that a plain text search finds is found by the program at its own bytes, or listed with the
//! reason why it is not judged.
//!
//! The corpus is not part of this repository. `DEPUTIZE_CORPUS` names it; it has the directories `manifests` and
//! `negative`. Run with `cargo test --test corpus -- --ignored --nocapture`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use deputize::grants::Grants;
use deputize::inventory::{Inventory, LoadOptions, load};
use deputize::lint::{Selection, Severity, check};

fn corpus(part: &str) -> PathBuf {
    let root = std::env::var_os("DEPUTIZE_CORPUS").expect("DEPUTIZE_CORPUS names the corpus");
    let path = PathBuf::from(root).join(part);
    assert!(path.is_dir(), "{} is no directory", path.display());
    path
}

fn load_corpus(part: &str) -> Inventory {
    load(&[corpus(part)], &LoadOptions::default())
}

/// Places of the word in a text where it stands as a list item of its own, told by the text alone.
fn verbs_in(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, word) in text.match_indices("impersonate") {
        let line_start = text[..at].rfind('\n').map_or(0, |index| index + 1);
        let before = &text[line_start..at];
        let after = text[at + word.len()..].lines().next().unwrap_or_default();
        let is_item = before.trim_start_matches([' ', '\t', '-', '"', '\'']).is_empty()
            && before.contains(['-', '"', '\''])
            || before.trim_start().starts_with("verbs") && before.ends_with(['[', ' ', ',', '"', '\''])
            || before.trim_start().starts_with("\"verbs\"") && before.ends_with('"');
        let ends = after.trim_start_matches(['"', '\'']).trim_start();
        if is_item && (ends.is_empty() || ends.starts_with([',', ']', '#'])) {
            found.push(at);
        }
    }
    found
}

/// The document around a place, told by the text alone; of a list, the item.
fn document(text: &str, at: usize) -> &str {
    let start = text[..at].rfind("\n---").max(text[..at].rfind("\n- a")).unwrap_or(0);
    let end = text[at..].find("\n---").into_iter().chain(text[at..].find("\n- a")).min();
    &text[start..end.map_or(text.len(), |index| at + index)]
}

#[test]
#[ignore = "needs the corpus of real manifests: DEPUTIZE_CORPUS"]
fn every_written_verb_is_found_at_its_own_bytes() {
    let inventory = load_corpus("manifests");
    let grants = Grants::new(&inventory);
    let role_of = |role| inventory.role(role).meta.embedded.as_deref();
    // Each place, and whether it is in a template.
    let mut found: BTreeMap<(String, usize), bool> = BTreeMap::new();
    for (role, _, rule, granted) in grants.granting_rules() {
        for grant in granted {
            let (path, verb) = (&inventory.role(role).meta.path, &rule.verbs[grant.verb]);
            let bytes = std::fs::read(&**path).unwrap();
            let place = verb.place;
            let slice = &bytes[place.offset as usize..place.end() as usize];
            // What is encoded or folded stands in its scalar.
            let is_own = role_of(role).is_none() || slice.len() == verb.as_str().len();
            assert!(!is_own || slice == verb.as_str().as_bytes(), "{path}:{}", place.line);
            let in_template = inventory.role(role).meta.template.is_some();
            found.insert((path.to_string(), place.offset as usize), in_template);
        }
    }
    let embedded: BTreeSet<(String, usize)> = grants
        .granting_rules()
        .filter(|(role, ..)| role_of(*role).is_some())
        .flat_map(|(role, _, rule, granted)| {
            let path = inventory.role(role).meta.path.to_string();
            granted.into_iter().map(move |grant| (path.clone(), rule.verbs[grant.verb].place.offset as usize))
        })
        .collect();
    let mentions: BTreeMap<(&str, u32), &str> = inventory
        .coverage
        .mentions
        .iter()
        .map(|mention| ((&*mention.path, mention.place.line), mention.reason.describe()))
        .collect();
    let copies: BTreeSet<&str> =
        inventory.roles.iter().flat_map(|role| role.meta.copies.iter().map(|(path, _)| &**path)).collect();
    let templates: BTreeSet<(&str, u32)> = inventory
        .coverage
        .unread
        .iter()
        .flat_map(|unread| unread.mentions.iter().map(|line| (&*unread.path, *line)))
        .collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for entry in walkdir::WalkDir::new(corpus("manifests")).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        let Some("yaml" | "yml" | "json" | "tpl") = path.extension().and_then(|extension| extension.to_str()) else {
            continue;
        };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let name = path.to_str().unwrap();
        for at in verbs_in(&text) {
            let line = text[..at].matches('\n').count() as u32 + 1;
            let place = (name.to_owned(), at);
            let why = if embedded.contains(&place) {
                "found in another object, at its own bytes"
            } else if let Some(in_template) = found.get(&place) {
                if *in_template { "found in a template, at its own bytes" } else { "found at its own bytes" }
            } else if templates.contains(&(name, line)) {
                "in a template, listed as not looked at"
            } else if let Some(reason) = mentions.get(&(name, line)) {
                reason
            } else if document(&text, at).contains("aggregationRule") {
                "in an aggregated role, as a copy of the contributor's rule beside it"
            } else if copies.contains(name) {
                "in a copy of a definition that was found"
            } else {
                unexplained.push(format!("{name}:{line}"));
                "unexplained"
            };
            *counts.entry(why).or_default() += 1;
        }
    }
    println!("written verbs by plain text search: {counts:#?}");
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(counts["found at its own bytes"] > 50, "{counts:?}");
    assert!(counts["found in another object, at its own bytes"] >= 3, "{counts:?}");
    assert!(counts["found in a template, at its own bytes"] > 30, "{counts:?}");
    for unread in &inventory.coverage.unread {
        println!("not looked at: {}:{}: {}", unread.path, unread.line, unread.reason);
        assert!(!unread.reason.is_empty());
    }
}

#[test]
#[ignore = "needs the corpus of real manifests: DEPUTIZE_CORPUS"]
fn manifests_without_identities_have_no_error_or_warning() {
    let inventory = load_corpus("negative");
    assert!(inventory.coverage.objects > 100);
    let findings = check(&Grants::new(&inventory), &Selection::default());
    let grave: Vec<_> = findings.iter().filter(|finding| finding.severity > Severity::Note).collect();
    assert!(grave.is_empty(), "{grave:#?}");
    assert_eq!(inventory.problems, [], "no template is a problem");
    let in_templates = inventory.roles.iter().filter(|role| role.meta.template.is_some()).count();
    assert!(in_templates > 20, "{in_templates}");
    println!(
        "{} objects, of these {in_templates} roles in templates, {} findings, {} parts of templates not looked at",
        inventory.coverage.objects,
        findings.len(),
        inventory.coverage.unread.len(),
    );
}
