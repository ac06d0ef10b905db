//! One file a rule; see `docs/rules.md` for how to add one.

mod action_without_identity;
mod aggregated_to_default_role;
mod dead_grant;
mod default_role;
mod duplicate_entry;
mod expired_accept;
mod granted_to_everyone;
mod half_migrated;
mod identity_without_action;
mod ignored_by_server;
mod literal_star;
mod missing_discovery;
mod named_identities;
mod refused_identity;
mod system_masters;
mod unbound_role;
mod union_widens;
mod unrestricted_extras;
mod unrestricted_groups;
mod unrestricted_serviceaccounts;
mod unrestricted_uids;
mod unrestricted_users;
mod unused_accept;
mod unused_suppression;
mod wildcard_resource;
mod wildcard_verb;
mod wrong_namespace;

use super::rule::Rule;

/// All rules. Those that tell what is effective come first.
pub(super) const ALL: &[&dyn Rule] = &[
    &unrestricted_users::UnrestrictedUsers,
    &unrestricted_groups::UnrestrictedGroups,
    &unrestricted_serviceaccounts::UnrestrictedServiceaccounts,
    &unrestricted_uids::UnrestrictedUids,
    &unrestricted_extras::UnrestrictedExtras,
    &named_identities::NamedIdentities,
    &system_masters::SystemMasters,
    &wildcard_verb::WildcardVerb,
    &wildcard_resource::WildcardResource,
    &granted_to_everyone::GrantedToEveryone,
    &aggregated_to_default_role::AggregatedToDefaultRole,
    &default_role::DefaultRole,
    &unbound_role::UnboundRole,
    &dead_grant::MISSING_ROLE,
    &dead_grant::NAMESPACED_BINDING,
    &dead_grant::WRONG_API_GROUP,
    &dead_grant::BARE_USEREXTRAS,
    &dead_grant::NO_SUCH_RESOURCE,
    &dead_grant::NO_SUCH_VERB,
    &dead_grant::NAME_NEVER_MATCHES,
    &dead_grant::SUBJECT_NEVER_MATCHES,
    &identity_without_action::IdentityWithoutAction,
    &action_without_identity::ActionWithoutIdentity,
    &missing_discovery::MissingDiscovery,
    &refused_identity::RefusedIdentity,
    &literal_star::LiteralStar,
    &wrong_namespace::WrongNamespace,
    &half_migrated::HalfMigrated,
    &union_widens::UnionWidens,
    &duplicate_entry::DuplicateEntry,
    &ignored_by_server::IgnoredByServer,
    &unused_accept::UnusedAccept,
    &expired_accept::ExpiredAccept,
    &unused_suppression::UnusedSuppression,
];

/// What the rules have in common.
mod prelude {
    pub(super) use std::rc::Rc;

    pub(super) use super::super::finding::Diagnosis;
    pub(super) use super::super::holders::{Holders, Related};
    pub(super) use super::super::mend::{Cut, Dead, Mend, repeated, without_dead, without_names, without_verb};
    pub(super) use super::super::rule::{Fix, Page, Rule, Versions};
    pub(super) use super::super::severity::Severity;
    pub(super) use super::super::site::{Beside, BindingSite, Site};
    pub(super) use super::super::words;
    pub(super) use crate::authority::{IdentityKind, Mode};
    pub(super) use crate::grants::{Reason, RuleGrant};

    /// What to do about a grant that is limited by nothing.
    pub(super) const LIMIT_IT: &str =
        "limit it by constrained impersonation (`deputize migrate`), or at least name who is meant in `resourceNames`";

    /// What to do about a grant that the API server keeps itself.
    pub(super) const SERVER_KEEPS_IT: &str = "the API server restores this in its default roles; bind narrower roles than `edit` and `admin`, or annotate \
         `system:aggregate-to-edit` with rbac.authorization.kubernetes.io/autoupdate: \"false\"";

    /// The resources by which grants reach what they reach.
    pub(super) fn resources_of(grants: &[&RuleGrant]) -> Vec<usize> {
        grants.iter().map(|grant| grant.resource).collect()
    }

    /// The effective grants of the spelled verb `impersonate` on a spelled kind, without names; none if there are none.
    pub(super) fn unrestricted<'a>(site: &Site<'a>, kind: IdentityKind) -> Option<(Vec<&'a RuleGrant>, Rc<Holders>)> {
        if !site.is_legacy_verb() || site.names().is_some() {
            return None;
        }
        let spelled = site.legacy().filter(|grant| grant.identity.kind == Some(kind) && site.is_spelled(grant));
        let (grants, holders) = site.effective(spelled);
        (!grants.is_empty()).then_some((grants, holders))
    }
}

/// The example of `docs/rules.md`.
#[cfg(test)]
#[path = "../../../tests/example/src/lint/rules/names_a_person.rs"]
mod names_a_person;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::grants::Grants;
    use crate::inventory::load_bytes;
    use crate::lint::apply;

    /// Whoever follows the page of `docs/rules.md` ends with a rule that works.
    #[test]
    fn the_example_for_newcomers_is_true() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let docs = read("docs/rules.md");
        let (_, steps) = docs.split_once("## Adding a rule").unwrap();
        // What it shows is what is compiled, and it is put where it says.
        for (file, fence) in
            [("rules/names-a-person.md", "````markdown\n"), ("src/lint/rules/names_a_person.rs", "```rust\n")]
        {
            assert!(steps.contains(&format!("here `{file}`")), "{file}");
            let end = fence.trim_end_matches(|c: char| c != '`');
            let shown = format!("{fence}{}{end}\n", read(&format!("tests/example/{file}")));
            assert!(steps.contains(&shown), "{file}");
        }
        // The other files that it names are there.
        for path in steps.split('`').filter(|word| word.starts_with("src/") || word.starts_with("tests/")) {
            assert!(root.join(path).exists() || root.join("tests/example").join(path).exists(), "{path}");
        }
        // The lines that list a rule look like these.
        let listed = read("src/lint/rules/mod.rs");
        for known in ["mod system_masters;\n", "    &system_masters::SystemMasters,\n"] {
            assert!(listed.contains(known), "{known}");
            let own = known.replace("system_masters", "names_a_person").replace("SystemMasters", "NamesAPerson");
            assert!(steps.contains(&own), "{own}");
        }
        let rule: &dyn Rule = &names_a_person::NamesAPerson;
        for (heading, expected) in [("Bad", 1), ("Good", 0)] {
            let section = rule.page().section(heading).unwrap();
            let yaml = section.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
            let inventory = load_bytes("example.yaml", yaml.as_bytes());
            let found = apply(&Grants::new(&inventory), &[rule], false);
            assert_eq!(found.iter().filter(|finding| finding.rule == rule.id()).count(), expected, "{heading}");
        }
    }
}
