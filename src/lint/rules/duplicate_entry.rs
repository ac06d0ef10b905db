//! What is written twice.

use std::collections::BTreeSet;

use super::prelude::*;
use crate::authority::Verb;
use crate::inventory::{Text, abbreviate};

/// See `rules/duplicate-entry.md`.
#[derive(Debug)]
pub struct DuplicateEntry;

impl Rule for DuplicateEntry {
    fn id(&self) -> &'static str {
        "duplicate-entry"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/duplicate-entry.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn fix(&self) -> Fix {
        Fix::Safe
    }

    fn mend(&self, site: &Site<'_>) -> Option<Mend> {
        let rule = site.rule;
        Some(Mend {
            safety: Fix::Safe,
            is_dead: false,
            cut: Cut {
                rule: site.earlier().is_some(),
                verbs: repeated(&rule.verbs),
                api_groups: repeated(&rule.api_groups),
                resources: repeated(&rule.resources),
                names: repeated(&rule.resource_names),
                urls: repeated(&rule.non_resource_urls),
            },
        })
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        // Branches of a template say the same where one of them is there.
        if site.role.meta.template.is_some() {
            return None;
        }
        let rule = site.rule;
        // One finding a rule, at the first verb that has to do with impersonation.
        let speaks = |verb: &Text| !matches!(Verb::parse(verb.as_str()), Verb::Other);
        if rule.verbs.iter().position(speaks) != Some(site.verb_index) {
            return None;
        }
        let (message, help) = if let Some(index) = site.earlier() {
            (
                format!("rule {} of {} says the same as rule {index}", site.index, site.role.meta.describe()),
                "remove one of them",
            )
        } else {
            let lists = rule.lists().into_iter();
            let twice: BTreeSet<String> = lists
                .flat_map(|(_, list)| repeated(list).into_iter().filter_map(|index| list.get(index)))
                .map(|text| format!("{:?}", abbreviate(text.as_str())))
                .collect();
            if twice.is_empty() {
                return None;
            }
            (format!("this rule names {} more than once", words::list(twice.into_iter())), "remove what is repeated")
        };
        Some(Diagnosis {
            severity: Severity::Note,
            message,
            help: help.to_owned(),
            resources: Vec::new(),
            label: "written twice".to_owned(),
            holders: site.nobody(),
        })
    }
}
