//! Actions that were meant for some identities and hold for others too.

use std::sync::Arc;

use super::prelude::*;
use crate::grants::Pair;

/// See `rules/union-widens.md`.
#[derive(Debug)]
pub struct UnionWidens;

impl Rule for UnionWidens {
    fn id(&self) -> &'static str {
        "union-widens"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/union-widens.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (mode, named) = site.named_in_mode()?;
        let (grants, holders) = site.effective_beside(named, Beside::Pairs(mode))?;
        let subjects = site.grants.subjects();
        let other_pair = |who| {
            let pairs: Vec<Pair> = subjects.pairs_of(who).filter(|pair| pair.mode == mode).collect();
            let own = pairs.iter().find(|pair| pair.role == site.role_id)?;
            pairs.iter().find(|pair| pair.differs(own)).copied()
        };
        let (subject, other) = holders.some().find_map(|who| Some((who, other_pair(who)?)))?;
        let meta = &site.grants.inventory().role(other.role).meta;
        let related = Related {
            message: format!("{} gives the same subject other identities and actions of the mode", meta.describe()),
            is_binding: false,
            path: Arc::clone(&meta.path),
            places: vec![(meta.name.place, "what this allows counts for both".to_owned())],
        };
        Some(Diagnosis {
            severity: Severity::Note,
            message: format!(
                "{} may do as {} what {} allows as others: actions count for all identities of the mode {mode}",
                subject.describe(),
                site.whom(&grants, &holders),
                meta.describe()
            ),
            help: "to keep them apart give each pair of identities and actions to a service account of its own"
                .to_owned(),
            resources: resources_of(&grants),
            label: "all actions of the mode count for these".to_owned(),
            holders: holders.beside(vec![related]),
        })
    }
}
