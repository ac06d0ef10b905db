//! Recognises programs by the names of their subjects, roles and bindings.
//!
//! No field of a role or binding says which program uses it. Charts and manifests name their objects after the program,
//! so names are a hint, and never more than that. Container images are not used: the inventory holds RBAC only.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::PlannedGrant;
use crate::evidence::Impersonator;
use crate::grants::Grants;
use crate::inventory::ObjectMeta;

/// A program that names give away.
pub trait Program {
    /// What people call it.
    fn name(&self) -> &'static str;
    /// Names that give it away, in lower case.
    fn names(&self) -> &'static [&'static str];
}

/// Returns the program that one of the words names, by whole parts of the word: `capsule-proxy:main` is Capsule Proxy's,
/// `proxy` and `capsule-proxies` are not. The first word that names a program decides, and for this word the first
/// program of the list.
///
/// Words are names of subjects, their namespaces, roles and bindings, and the values of labels such as
/// `app.kubernetes.io/name`, `app.kubernetes.io/part-of` and `helm.sh/chart`.
pub fn recognise<'p, 'w, P: Program>(programs: &'p [P], words: impl Iterator<Item = &'w str>) -> Option<&'p P> {
    let is_named = |program: &P, word: &str| program.names().iter().any(|name| has_part(word, name));
    words.map(str::to_ascii_lowercase).find_map(|word| programs.iter().find(|program| is_named(program, &word)))
}

/// Returns the words of an object: its name, then the values of labels that say what it belongs to.
pub fn words_of(meta: &ObjectMeta) -> impl Iterator<Item = &str> {
    let labels = meta.labels.iter().filter(|(key, _)| key.contains("kubernetes.io/") || key.contains("helm.sh/"));
    [meta.name.as_str()].into_iter().chain(labels.map(|(_, value)| value.as_str()))
}

/// Returns the programs that the planned grants point to, by name, each with the impersonators that it may be.
pub(super) fn recognised<'p, P: Program>(
    programs: &'p [P],
    grants: &Grants<'_>,
    planned: &[PlannedGrant],
    is_asked_for: impl Fn(&Impersonator) -> bool,
) -> Vec<(&'p P, BTreeSet<Impersonator>)> {
    let mut found: BTreeMap<&'static str, (&'p P, BTreeSet<Impersonator>)> = BTreeMap::new();
    for planned in planned {
        let Some(subject) = grants.subject(&planned.holder) else { continue };
        let who = Impersonator::of_subject(subject);
        if !is_asked_for(&who) {
            continue;
        }
        if let Some(program) = recognise(programs, words_for(grants, planned, &who).iter().map(String::as_str)) {
            found.entry(program.name()).or_insert_with(|| (program, BTreeSet::new())).1.insert(who);
        }
    }
    found.into_values().collect()
}

/// Returns the words for a grant, the most telling first: the name of the subject, names and labels of the roles and the
/// binding, the namespace of the subject.
fn words_for(grants: &Grants<'_>, planned: &PlannedGrant, who: &Impersonator) -> Vec<String> {
    let inventory = grants.inventory();
    let mut metas = vec![&inventory.role(planned.from).meta, &inventory.role(planned.holder.role).meta];
    metas.extend(planned.holder.binding().map(|binding| &inventory.binding(binding).meta));
    let of_objects = metas.into_iter().flat_map(words_of).map(str::to_owned);
    let namespace = who.namespace.iter().map(ToString::to_string);
    std::iter::once(who.name.to_string()).chain(of_objects).chain(namespace).collect()
}

/// Reports whether `word` contains `name` between separators or ends.
fn has_part(word: &str, name: &str) -> bool {
    let separates = |c: char| matches!(c, '-' | ':' | '.' | '/' | '_');
    word.match_indices(name).any(|(start, found)| {
        let (before, after) = (&word[..start], &word[start + found.len()..]);
        (before.is_empty() || before.ends_with(separates)) && (after.is_empty() || after.starts_with(separates))
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns the name of the program that a word gives away.
    pub(in super::super) fn name_of<P: Program>(programs: &[P], word: &str) -> Option<&'static str> {
        recognise(programs, std::iter::once(word)).map(Program::name)
    }

    /// Checks that the examples are recognised, in capitals too, and that each program has one.
    pub(in super::super) fn check_examples<P: Program>(programs: &[P], examples: &[(&str, &str)]) {
        for (word, name) in examples {
            assert_eq!(name_of(programs, word), Some(*name), "{word}");
            assert_eq!(name_of(programs, &word.to_uppercase()), Some(*name), "{word}");
        }
        let tested: BTreeSet<_> = examples.iter().map(|(_, name)| *name).collect();
        assert_eq!(tested, programs.iter().map(Program::name).collect());
    }

    /// Checks that each program has names that no other has, and that no earlier program hides it.
    pub(in super::super) fn check_names<P: Program>(programs: &[P]) {
        let mut seen = BTreeSet::new();
        for program in programs {
            assert!(!program.name().is_empty() && !program.names().is_empty());
            for name in program.names() {
                assert!(seen.insert(name), "{name} names two programs");
                assert_eq!(*name, name.to_ascii_lowercase());
                assert_eq!(name_of(programs, name), Some(program.name()), "{name} is hidden");
            }
        }
    }

    /// Checks that a page has one row for each program, which begins with its name and holds the given cells.
    pub(in super::super) fn check_page<P: Program>(page: &str, programs: &[P], cells: impl Fn(&P) -> Vec<String>) {
        for program in programs {
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| {} |", program.name())))
                .unwrap_or_else(|| panic!("{} is not on the page", program.name()));
            for cell in cells(program) {
                assert!(row.contains(&cell), "{}: {cell}", program.name());
            }
        }
        let rows = page.lines().filter(|line| line.contains("| github.com/")).count();
        assert_eq!(rows, programs.len());
    }

    struct Example(&'static str, &'static [&'static str]);

    impl Program for Example {
        fn name(&self) -> &'static str {
            self.0
        }
        fn names(&self) -> &'static [&'static str] {
            self.1
        }
    }

    const EXAMPLES: &[Example] = &[Example("Gate Proxy", &["gate-proxy"]), Example("Gate", &["gate", "gatekeeper"])];

    #[test]
    fn whole_parts_of_words_give_a_program_away() {
        for (word, name) in [
            ("gate", Some("Gate")),
            ("prod.gate_agents/x", Some("Gate")),
            ("system:serviceaccount:x:gate-proxy", Some("Gate Proxy")),
            ("gate-proxy-1.2", Some("Gate Proxy")),
            ("gate-proxies", Some("Gate")),
            ("xgate gate", None),
            ("gates", None),
            ("ü-gateü", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(name_of(EXAMPLES, word), name, "{word}");
        }
    }

    #[test]
    fn the_first_word_that_names_a_program_decides() {
        let name = |words: &[&str]| recognise(EXAMPLES, words.iter().copied()).map(|program| program.0);
        assert_eq!(name(&["deputy", "gatekeeper", "gate-proxy"]), Some("Gate"));
        assert_eq!(name(&["deputy", "gates/x"]), None);
        assert_eq!(name(&[]), None);
        assert_eq!(recognise::<Example>(&[], ["gate"].into_iter()).map(|program| program.0), None);
    }
}
