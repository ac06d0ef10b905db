//! Constrained identities that legacy reaches as well.

use std::sync::Arc;

use super::prelude::*;
use crate::authority::{Requestable, Username};
use crate::grants::HeldGrant;
use crate::inventory::Text;

/// How many names are compared before a legacy grant is taken for one that has nothing to do with the site.
const MAX_COMPARED: usize = 2_000;

/// See `rules/half-migrated.md`.
#[derive(Debug)]
pub struct HalfMigrated;

impl Rule for HalfMigrated {
    fn id(&self) -> &'static str {
        "half-migrated"
    }

    fn page(&self) -> Page {
        Page(include_str!("../../../rules/half-migrated.md"))
    }

    fn severities(&self) -> &'static [Severity] {
        &[Severity::Note]
    }

    fn versions(&self) -> Versions {
        Versions::CONSTRAINED
    }

    fn check(&self, site: &Site<'_>) -> Option<Diagnosis> {
        let (mode, named) = site.named_in_mode()?;
        let kind = mode.named_kind().in_legacy();
        let (grants, holders) = site.effective_beside(named, Beside::Legacy(kind))?;
        let mut left = MAX_COMPARED;
        let mut meets = |held: &HeldGrant| held.kind == kind && reaches_the_same(site, mode, &holders, held, &mut left);
        let subjects = site.grants.subjects();
        let (subject, held) = holders.some().find_map(|who| Some((who, subjects.legacy(who).find(&mut meets)?)))?;
        let through = place_of(site, &held)?;
        Some(Diagnosis {
            severity: Severity::Note,
            message: format!(
                "the mode {mode} limits nothing yet: {} can impersonate {} by `impersonate` as well",
                subject.describe(),
                site.whom(&grants, &holders)
            ),
            help: "once the constrained grants are proved to suffice (`deputize verify`), remove the legacy grant, wherever the \
                   subject holds it"
                .to_owned(),
            resources: resources_of(&grants),
            label: "legacy reaches these too".to_owned(),
            holders: holders.beside(vec![through]),
        })
    }
}

/// Where a legacy grant stands, or the binding to a default role that has it.
fn place_of(site: &Site<'_>, held: &HeldGrant) -> Option<Related> {
    let inventory = site.grants.inventory();
    Some(if let Some((role, rule, verb)) = held.at {
        let role = inventory.role(role);
        Related {
            message: format!("{} still grants `impersonate`", role.meta.describe()),
            is_binding: false,
            path: Arc::clone(&role.meta.path),
            places: vec![(role.rules.get(rule)?.verbs.get(verb)?.place, "legacy".to_owned())],
        }
    } else {
        let binding = inventory.binding(held.binding);
        Related {
            message: format!("{} gives a default role that grants `impersonate`", binding.meta.describe()),
            is_binding: false,
            path: Arc::clone(&binding.meta.path),
            places: vec![(binding.role_ref.name.place, "the default role".to_owned())],
        }
    })
}

/// Whether a legacy grant reaches identities that the site reaches.
fn reaches_the_same(site: &Site<'_>, mode: Mode, holders: &Holders, held: &HeldGrant, left: &mut usize) -> bool {
    let inventory = site.grants.inventory();
    if let (Some(here), Some(there)) = (&holders.namespaces, inventory.binding(held.binding).meta.effective_namespace())
        && !here.contains(there)
    {
        return false;
    }
    let rule = held.at.and_then(|(role, rule, _)| inventory.role(role).rules.get(rule));
    let Some(rule) = rule.filter(|rule| !rule.resource_names.is_empty()) else { return true };
    let own = site.names().filter(|_| mode != Mode::AssociatedNode);
    rule.resource_names.iter().any(|name| {
        let Some(name) = name_in(mode, name.as_str()) else { return false };
        let Some(own) = own else { return true };
        let compared = own.iter().take(*left);
        *left = left.saturating_sub(own.len());
        compared.map(Text::as_str).any(|known| known == name)
    })
}

/// The name by which a mode asks for someone for whom legacy asks by `name`; none if another mode does.
fn name_in(mode: Mode, name: &str) -> Option<&str> {
    let name = match (mode, Username::parse(name)) {
        (Mode::AssociatedNode | Mode::ArbitraryNode, Username::Node(node)) => return Some(node),
        (Mode::AssociatedNode | Mode::ArbitraryNode, _) => return None,
        _ => name,
    };
    Requestable { mode, kind: mode.named_kind(), extra_key: None }.asks_for(name).then_some(name)
}
