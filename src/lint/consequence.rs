//! What a grant comes to: the shortest way by it to all power, as far as the input shows one.

use std::sync::Arc;

use super::holders::{Holders, Related};
use crate::authority::{IdentityKind, Mode, Principal};
use crate::grants::{Grants, Path, Power, Source};
use crate::inventory::{Subject, Text};

/// How many namespaces of a grant are tried, and how many steps of a way are shown with their places.
const MAX_TRIED: usize = 20;

/// The way by which holders of legacy grants become cluster-admin who are not already, in words and with its places. `reached`
/// are the kinds of identities and, where the grant is limited, their names; `source` is the rule and a binding.
pub(super) fn consequence(
    grants: &Grants<'_>,
    holders: &Holders,
    reached: &[(IdentityKind, Option<&[Text]>)],
    source: Source,
) -> Vec<Related> {
    // Someone who is not there already, and the number of steps that it takes them.
    let starting = |subject: &'_ Subject| {
        let from = Principal::of_subject(subject)?;
        let own = grants.reach().path(&from).map_or(usize::MAX, |path| path.steps.len());
        (own > 0).then_some((from, own))
    };
    let Some((subject, (from, own))) = holders.some().find_map(|subject| Some((subject, starting(subject)?))) else {
        return Vec::new();
    };
    let spaces: Vec<Option<&str>> = match &holders.namespaces {
        None => vec![None],
        Some(namespaces) => namespaces.iter().take(MAX_TRIED).map(|name| Some(name.as_str())).collect(),
    };
    // A group is impersonated beside a user, never alone.
    let is_someone = |kind| matches!(kind, IdentityKind::Users | IdentityKind::ServiceAccounts);
    let has_someone = || {
        let abilities = grants.subjects().surely(subject);
        IdentityKind::ALL.into_iter().any(|kind| is_someone(kind) && abilities.has_identity(Mode::Legacy, kind))
    };
    let beside = reached.iter().any(|(kind, _)| is_someone(*kind));
    let usable = reached.iter().filter(|(kind, _)| *kind != IdentityKind::Groups || beside || has_someone());
    let ways = usable.flat_map(|(kind, names)| {
        spaces.iter().filter_map(|space| grants.reach().path_through(&from, *kind, *names, *space, source))
    });
    // A shorter way leads past this grant, which then adds nothing.
    let shortest = ways.min_by_key(|path| path.steps.len()).filter(|path| path.steps.len() <= own);
    shortest.map(|path| related_of(grants, &path)).unwrap_or_default()
}

fn related_of(grants: &Grants<'_>, path: &Path) -> Vec<Related> {
    let inventory = grants.inventory();
    let steps = path.steps.iter().map(|step| format!("{} {}", step.means.in_words(), step.to.describe()));
    let way = format!("{} {}", path.from.describe(), steps.collect::<Vec<_>>().join(", then "));
    // The first step is the finding itself.
    let steps = path.steps.iter().enumerate().skip(1).take(MAX_TRIED);
    let steps = steps.map(|(index, step)| (step.source, format!("step {}", index + 1)));
    let (end, last) = match path.power {
        Power::Masters => ("which passes every check".to_owned(), None),
        Power::Everything(source) => {
            let binding = inventory.binding(source.binding).meta.describe();
            (format!("whom {binding} gives everything"), Some((source, "everything".to_owned())))
        }
    };
    let mut places: Vec<Related> = Vec::new();
    for (source, label) in steps.chain(last) {
        let binding = inventory.binding(source.binding);
        places.push(Related {
            message: format!("{label}, by {}", binding.meta.describe()),
            is_binding: false,
            path: Arc::clone(&binding.meta.path),
            places: vec![(binding.role_ref.name.place, label)],
        });
    }
    let message = format!("cluster-admin is in reach: {way}, {end}");
    places.insert(0, Related { message, is_binding: false, path: Arc::from(""), places: Vec::new() });
    places
}
